"""Templates, languages, headers: how a page is put together."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifier.actions import NOTE_CHARACTERS_MAX
from services.notifier.console.signin import Viewer
from services.notifier.console.timeline import sparkline
from services.notifier.messages import duration
from services.notifier.texts import LANGUAGES, TEXTS, Texts
from shared.sla.instants import format_instant

HERE: Final = Path(__file__).parent
LANGUAGE_COOKIE: Final = "slawatch_language"
NAMES: Final = {"en": "English", "zh": "中文"}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Language, Cookie",
}
PAGES: Final = ("now", "breaches", "vendors", "silences", "rota", "deliveries", "health")
PAGES_OF_VENDORS: Final = PAGES[:3]  # how we alert ourselves is not a vendor's business


def _versions() -> dict[str, str]:
    """A short hash of each static file, so that a browser may keep it for ever."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:10] for file in (HERE / "static").iterdir() if file.is_file()}


def local_path(text: str) -> str:
    """A path of this site to go to after signing in; whatever is not one becomes `/`."""
    parts = urlsplit(text)
    safe = text.startswith("/") and not text.startswith("//") and not parts.netloc and "\\" not in text and text.isprintable()
    return text if safe else "/"


def language_of(cookie: str, accepted: str) -> str:
    """The choice kept in the cookie, else the first language of `Accept-Language` (by weight) that there is, else English."""
    if cookie in LANGUAGES:
        return cookie
    weighed = []
    for place, part in enumerate(accepted[:500].split(",")):
        name, _, weight = part.strip().partition(";q=")
        language = name.split("-")[0].lower()
        try:
            share = float(weight or 1)
        except ValueError:
            continue
        if language in LANGUAGES and share > 0:
            weighed.append((-share, place, language))
    return min(weighed)[2] if weighed else TEXTS.language


def texts_of(request: Request) -> Texts:
    """The words in the language of whoever asks."""
    return LANGUAGES[language_of(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", ""))]


class Pages:
    """Makes pages from templates."""

    def __init__(self, environment: str) -> None:
        versions = _versions()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            environment=environment,
            static=lambda name: f"/static/{name}?v={versions[name]}",
            instant=format_instant,
            sparkline=sparkline,
            languages=NAMES,
            note_max=NOTE_CHARACTERS_MAX,
        )

    def page(self, request: Request, template: str, viewer: Viewer | None, status: int = 200, **values: Any) -> HTMLResponse:
        """A page or a part of one. `here` is the page's place in the navigation."""
        t = texts_of(request)

        def length(seconds: float) -> str:
            return duration(seconds, t)

        html = self._templates.get_template(template).render(
            viewer=viewer, t=t, duration=length, path=request.url.path, again=_again(request), nav=_nav(viewer), **{"here": "", **values}
        )
        return HTMLResponse(html, status, HEADERS)


def _nav(viewer: Viewer | None) -> Sequence[str]:
    if viewer is None:
        return ()
    return PAGES_OF_VENDORS if viewer.vendor is not None else PAGES


def _again(request: Request) -> str:
    """The address of this very page, for the parts of it that are fetched anew."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
