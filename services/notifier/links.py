"""Links in messages by which whoever got one acknowledges or snoozes the breach without signing in.

A link is signed, says what it does, to which breach and on which channel it went out, works once and for a week. To open it changes
nothing (chats and mail filters open every link they see): the page behind it has a button, which posts.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from enum import StrEnum
from html import escape
from typing import Final, Literal, NamedTuple, Protocol

import msgspec
import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from services.notifier.messages import SNOOZE_MS, Addresses, clean, duration
from services.notifier.texts import TEXTS, TEXTS_ZH, Texts
from shared.ports.ledger import Actor, Case, LedgerUnavailable
from shared.ports.links import UsedLinks
from shared.ports.time import TimeSource
from shared.sla.instants import DAY
from shared.wire.verdicts import Verdict

PATH: Final = "/act"
LIFE: Final = 7 * DAY
TOKEN_MAX: Final = 1_000  # characters
MAC_BYTES: Final = 16
Act = Literal["acknowledge", "snooze"]
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
log = structlog.get_logger()


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What a link says: do this to that breach, as of that revision; it went out on `channel`, and works until `expires` (ms)."""

    act: Act
    breach_id: str
    revision: int
    channel: str
    expires: int


class Links:
    """Makes and reads the links of one installation."""

    def __init__(self, pepper: bytes, public_url: str, time: TimeSource) -> None:
        self._key = hmac.digest(pepper, b"slawatch links in messages", hashlib.sha256)
        self._public_url, self._time = public_url, time

    def addresses(self, verdict: Verdict, channel: str) -> Addresses:
        """The links of a message about this verdict; `services.notifier.messages.Composer` asks for them."""
        expires, data = self._time.wall() + LIFE, verdict.data
        acknowledge, snooze = (
            f"{self._public_url}{PATH}/{self.sign(Claim(act, data.breach_id, data.revision or 0, channel[:200], expires))}"
            for act in ("acknowledge", "snooze")
        )
        return Addresses(acknowledge, snooze)

    def sign(self, claim: Claim) -> str:
        """The text that goes into the address."""
        body = msgspec.msgpack.encode(claim)
        return base64.urlsafe_b64encode(self._mac(body) + body).decode().rstrip("=")

    def read(self, token: str) -> Claim | None:
        """What a link says; None if it is not one of ours, altered, or too old."""
        if len(token) > TOKEN_MAX or not token.isascii():
            return None
        try:
            said = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(said[:MAC_BYTES], self._mac(said[MAC_BYTES:])):
            return None
        claim = msgspec.msgpack.decode(said[MAC_BYTES:], type=Claim)
        return claim if claim.expires > self._time.wall() else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:MAC_BYTES]


class Answer(StrEnum):
    """What came of a link."""

    ready = "ready"  # it would work
    done = "done"
    dead = "dead"  # forged, altered, too old, or of a breach that is not here
    used = "used"
    over = "over"  # the breach has moved on: closed, withdrawn, or opened anew since


class Found(NamedTuple):
    """A link that was looked at; `claim` and `case` where it is good."""

    answer: Answer
    claim: Claim | None = None
    case: Case | None = None


class Cases(Protocol):
    """Of the ledger, what is needed here."""

    async def case(self, breach_id: str, vendor: str | None = None) -> Case | None:
        """See `shared.ports.ledger.Ledger`."""


Do = Callable[[str, Actor], Awaitable[bool]]  # breach id, who -> done; raises LedgerUnavailable


class LinkActions:
    """Follows links. `acknowledge` and `snooze` are what they do."""

    def __init__(self, links: Links, used: UsedLinks, ledger: Cases, time: TimeSource, *, acknowledge: Do, snooze: Do) -> None:
        self._links, self._used, self._ledger, self._time = links, used, ledger, time
        self._do: dict[Act, Do] = {"acknowledge": acknowledge, "snooze": snooze}

    async def look(self, token: str) -> Found:
        """What the link would do; changes nothing. Raises LedgerUnavailable."""
        claim = self._links.read(token)
        case = await self._ledger.case(claim.breach_id) if claim is not None else None
        if claim is None or case is None:
            return Found(Answer.dead)
        anew = any(row.type == "slawatch.breach.reopened" and (row.revision or 0) > claim.revision for row in case.statements)
        return Found(Answer.over if anew or case.breach.standing != "open" else Answer.ready, claim, case)

    async def follow(self, token: str) -> Found:
        """Do what the link says, once. Raises LedgerUnavailable: then nothing was done, and the link still works."""
        found = await self.look(token)
        link = hashlib.sha256(token.encode()).hexdigest()[:40]
        if found.answer is not Answer.ready or found.claim is None:
            log.warning("a link was refused", why=found.answer, link=link[:12])
            return found
        claim = found.claim
        if not await self._used.use(link, self._time.wall(), claim.expires):
            log.warning("a link was refused", why=Answer.used, link=link[:12])
            return found._replace(answer=Answer.used)
        try:
            done = await self._do[claim.act](claim.breach_id, Actor(f"link on {claim.channel}", f"link:{link[:12]}", "responder"))
        except LedgerUnavailable:
            await self._used.release(link)
            raise
        return found._replace(answer=Answer.done if done else Answer.dead)


def install(app: FastAPI, actions: LinkActions) -> None:
    """Put the pages behind links on the application. They need no sign-in: the link is the right to do one thing."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get(PATH + "/{token}")
    async def show(request: Request, token: str) -> Response:
        return await _page(request, actions.look, token)

    @routes.post(PATH + "/{token}")
    async def do(request: Request, token: str) -> Response:
        return await _page(request, actions.follow, token)

    app.include_router(routes)


_STATUS: Final = {Answer.dead: 404, Answer.used: 409, Answer.over: 409}


async def _page(request: Request, ask: Callable[[str], Awaitable[Found]], token: str) -> Response:
    texts = TEXTS_ZH if request.headers.get("accept-language", "").lower().startswith("zh") else TEXTS
    try:
        found = await ask(token)
    except LedgerUnavailable:
        return HTMLResponse(_html(texts, texts("act.failed"), texts("act.away")), 503, HEADERS | {"Retry-After": "2"})
    if found.claim is None or found.case is None or found.answer is Answer.dead:
        return HTMLResponse(_html(texts, texts("act.failed"), texts("act.dead")), 404, HEADERS)
    breach, act, time = found.case.breach, found.claim.act, duration(SNOOZE_MS / 1000, texts)
    names = {"vendor": clean(breach.vendor), "objective": clean(breach.objective), "case": clean(breach.case or breach.service)}
    title, button = texts("slawatch.breach.opened", **names), ""
    if found.answer is Answer.ready:
        said = texts(f"act.{act}.title") + " " + texts(f"act.{act}.text", time=time)
        button = f'<form method="post"><button type="submit">{escape(texts(f"act.{act}.button", time=time))}</button></form>'
    elif found.answer is Answer.done:
        said = texts(f"act.{act}.done", time=time)
    else:
        said = texts(f"act.{found.answer}")
    return HTMLResponse(_html(texts, title, said, button), _STATUS.get(found.answer, 200), HEADERS)


def _html(texts: Texts, title: str, said: str, form: str = "") -> str:
    return (
        f'<!doctype html><html lang="{texts.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/static/console.css"></head>'
        f'<body><main id="content" class="narrow"><h1>{escape(title)}</h1><p role="status">{escape(said)}</p>{form}</main></body></html>'
    )
