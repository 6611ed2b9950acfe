"""The console: what is open and at risk now, one breach in full, signing in. Server-rendered; the page fetches the parts that changed."""

import hashlib
import hmac
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifier.actions import NOTE_CHARACTERS_MAX, READERS, RESPONDERS, Actions, vendor_of
from services.notifier.api import evidence_of
from services.notifier.console.sessions import COOKIE, LIFE_MS, Session, Sessions
from services.notifier.live import Hub, signals
from services.notifier.messages import by_how_much, duration, promise
from services.notifier.texts import TEXTS
from shared.ports.credentials import Credential, CredentialsUnavailable
from shared.ports.ledger import Action, Case, Ledger, LedgerUnavailable
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, BadCredential
from shared.sla.instants import format_instant
from shared.wire import verdicts

HERE: Final = Path(__file__).parent
OPEN_MAX: Final = 100
RISKS_MAX: Final = 50
RECENT_MAX: Final = 30
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class _Refused(Exception):
    """Ends a request with a page; `status` says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _SignInFirst(Exception):
    """Nobody is signed in."""


class Viewer(msgspec.Struct, frozen=True):
    """Who looks."""

    credential: Credential
    session: Session

    @property
    def vendor(self) -> str | None:
        return vendor_of(self.credential)

    @property
    def may_act(self) -> bool:
        return self.credential.role in RESPONDERS


def _versions() -> dict[str, str]:
    """A short hash of each static file, so that a browser may keep it for ever."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:10] for file in (HERE / "static").iterdir() if file.is_file()}


def local_path(text: str) -> str:
    """A path of this site to go to after signing in; whatever is not one becomes `/`."""
    parts = urlsplit(text)
    safe = text.startswith("/") and not text.startswith("//") and not parts.netloc and "\\" not in text and text.isprintable()
    return text if safe else "/"


class Console:
    """The pages of one notifier."""

    def __init__(
        self,
        ledger: Ledger,
        actions: Actions,
        authenticator: Authenticator,
        sessions: Sessions,
        time: TimeSource,
        *,
        environment: str,
    ) -> None:
        self._ledger, self._actions = ledger, actions
        self._authenticator, self._sessions, self._time = authenticator, sessions, time
        versions = _versions()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            t=TEXTS,
            environment=environment,
            static=lambda name: f"/static/{name}?v={versions[name]}",
            duration=duration,
            instant=format_instant,
            responders=RESPONDERS,
            note_max=NOTE_CHARACTERS_MAX,
        )

    # ---- who

    async def viewer(self, request: Request) -> Viewer:
        """Who looks; asked on every request, so that a revoked token ends its sessions. Raises _SignInFirst, _Refused."""
        session = self._sessions.read(request.cookies.get(COOKIE, ""), self._time.wall())
        if session is None:
            raise _SignInFirst
        try:
            credential = await self._authenticator.by_id(session.credential)
        except BadCredential:
            raise _SignInFirst from None
        except CredentialsUnavailable:
            raise _Refused(503, TEXTS("login.unavailable")) from None
        return Viewer(credential, session)

    async def actor(self, request: Request, csrf: str) -> Viewer:
        """Who acts: may he, and does the form come from our own page?"""
        self.same_origin(request)
        viewer = await self.viewer(request)
        if not hmac.compare_digest(csrf.encode(), viewer.session.csrf.encode()):
            raise _Refused(403, "the form does not belong to this session")
        if not viewer.may_act:
            raise _Refused(403, f"a token of role {viewer.credential.role} may not do this")
        return viewer

    @staticmethod
    def same_origin(request: Request) -> None:
        """Refuse a form that another site made the browser send."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        other_host = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
        if other_host or site not in (None, "same-origin", "none"):
            raise _Refused(403, "the form came from another site")

    # ---- pages

    def page(self, template: str, viewer: Viewer | None, status: int = 200, **values: Any) -> HTMLResponse:
        html = self._templates.get_template(template).render(viewer=viewer, **values)
        return HTMLResponse(html, status, HEADERS)

    async def part(self, name: str, viewer: Viewer) -> dict[str, Any]:
        """What a part of the page shows."""
        vendor = viewer.vendor
        match name:
            case "counts":
                return {"totals": await self._ledger.totals(vendor)}
            case "open":
                rows = await self._ledger.recent(["open"], vendor=vendor, limit=OPEN_MAX)
                rows.sort(key=lambda row: row.seq, reverse=True)
                return {"breaches": rows, "totals": await self._ledger.totals(vendor)}
            case "risk":
                return {"risks": await self._ledger.risks(vendor=vendor, limit=RISKS_MAX), "now": self._time.wall()}
            case _:
                return {"recent": await self._ledger.recent(["closed", "retracted"], vendor=vendor, limit=RECENT_MAX)}

    def case_values(self, case: Case) -> dict[str, Any]:
        """What the page of one breach shows: its statements in words, people's doings among them, and who was told."""
        said = {row.id: (row, verdicts.decode(row.body.encode())) for row in case.statements}
        timeline: list[tuple[int, str, dict[str, Any]]] = [
            (
                row.decided_at,
                "statement",
                {
                    "row": row,
                    "name": TEXTS("tag." + row.type),
                    "by": by_how_much(verdict),
                    "raw": msgspec.json.format(row.body, indent=2),
                    "delay": max(0, row.appended - row.decided_at),
                },
            )
            for row, verdict in said.values()
        ]
        timeline += [(action.at, "action", {"action": action}) for action in case.actions]
        timeline.sort(key=lambda line: line[0])
        last = verdicts.decode(case.statements[-1].body.encode()) if case.statements else None
        return {
            "breach": case.breach,
            "promise": promise(last) if last else case.breach.objective,
            "timeline": timeline,
            "deliveries": [(sent, TEXTS("tag." + said[sent.verdict_id][0].type)) for sent in case.deliveries if sent.verdict_id in said],
            "evidence": evidence_of(case),
        }

    async def case(self, breach_id: str, viewer: Viewer) -> Case:
        case = await self._ledger.case(breach_id, viewer.vendor)
        if case is None:
            raise _Refused(404, "no such breach")
        return case

    async def act(self, request: Request, breach_id: str, action: Action, csrf: str, text: str = "") -> None:
        viewer = await self.actor(request, csrf)
        if await self._actions.act(breach_id, action, viewer.credential, text) is None:
            raise _Refused(404, "no such breach")

    async def sign_in(self, request: Request, token: str, to: str) -> Response:
        """Token in, cookie out."""
        self.same_origin(request)
        try:
            credential = await self._authenticator.authenticate(token.strip())
            if credential.kind != "token" or credential.role not in READERS:
                raise BadCredential("it is a key for systems; people have tokens")
        except BadCredential as wrong:
            return self.page("login.html", None, 401, error=TEXTS("login.wrong", why=wrong), to=local_path(to))
        except CredentialsUnavailable:
            return self.page("login.html", None, 503, error=TEXTS("login.unavailable"), to=local_path(to))
        answer = RedirectResponse(local_path(to), 303, HEADERS)
        secure = request.url.scheme == "https"
        value = self._sessions.open(credential.id, self._time.wall())
        answer.set_cookie(COOKIE, value, max_age=LIFE_MS // 1000, httponly=True, samesite="strict", secure=secure, path="/")
        return answer


def install(app: FastAPI, console: Console, hub: Hub) -> None:
    """Put the console's routes on the application."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    async def on_sign_in_first(request: Request, wrong: Exception) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"HX-Redirect": "/login"})
        if request.url.path == "/live":
            return Response(status_code=401)
        return RedirectResponse(f"/login?to={quote(request.url.path)}" if request.url.path != "/" else "/login", 303, HEADERS)

    async def on_refused(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, _Refused)
        return console.page("error.html", None, wrong.status, text=wrong.text)

    app.add_exception_handler(_SignInFirst, on_sign_in_first)
    app.add_exception_handler(_Refused, on_refused)

    @routes.get("/login")
    async def login(to: str = "/") -> Response:
        return console.page("login.html", None, error="", to=local_path(to))

    @routes.post("/login")
    async def sign_in(request: Request, token: Annotated[str, Form(max_length=400)] = "", to: Annotated[str, Form()] = "/") -> Response:
        return await console.sign_in(request, token, to)

    @routes.get("/session")
    async def session(request: Request) -> Response:
        """For the sign-in page: a link from a mail carries no Strict cookie, a fetch from our own page does."""
        await console.viewer(request)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        console.same_origin(request)
        answer = RedirectResponse("/login", 303, HEADERS)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    @routes.get("/")
    async def now(request: Request) -> Response:
        viewer = await console.viewer(request)
        try:
            values: dict[str, Any] = {}
            for name in ("counts", "open", "risk", "recent"):
                values |= await console.part(name, viewer)
        except LedgerUnavailable:
            raise _Refused(503, TEXTS("page.unavailable")) from None
        return console.page("now.html", viewer, **values)

    @routes.get("/parts/breaches/{breach_id}")
    async def case_part(request: Request, breach_id: str) -> Response:
        viewer = await console.viewer(request)
        return console.page("_case.html", viewer, **console.case_values(await console.case(breach_id, viewer)))

    @routes.get("/parts/{name}")
    async def part(request: Request, name: str) -> Response:
        viewer = await console.viewer(request)
        if name not in ("counts", "open", "risk", "recent"):
            raise _Refused(404, "no such part")
        return console.page(f"_{name}.html", viewer, **await console.part(name, viewer))

    @routes.get("/breaches/{breach_id}")
    async def case(request: Request, breach_id: str) -> Response:
        viewer = await console.viewer(request)
        return console.page("case.html", viewer, **console.case_values(await console.case(breach_id, viewer)))

    @routes.post("/breaches/{breach_id}/acknowledge")
    async def acknowledge(request: Request, breach_id: str, csrf: Annotated[str, Form()] = "") -> Response:
        await console.act(request, breach_id, "acknowledge", csrf)
        if request.headers.get("hx-request"):
            return Response(status_code=204)  # the page hears of it like everybody's
        return RedirectResponse(f"/breaches/{breach_id}", 303, HEADERS)

    @routes.post("/breaches/{breach_id}/note")
    async def note(
        request: Request,
        breach_id: str,
        text: Annotated[str, Form(min_length=1, max_length=NOTE_CHARACTERS_MAX)],
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        await console.act(request, breach_id, "note", csrf, text)
        return RedirectResponse(f"/breaches/{breach_id}", 303, HEADERS)

    @routes.get("/live")
    async def live(request: Request) -> Response:
        viewer = await console.viewer(request)
        return StreamingResponse(signals(hub, viewer.vendor), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    app.include_router(routes)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
