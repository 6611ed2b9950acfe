"""The console's pages: now, cases, one case in full, vendors, deliveries, health. Server-rendered; parts that change are fetched."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args
from urllib.parse import quote, urlencode

import msgspec
from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from services.notifier.actions import CaseActions
from services.notifier.cases import Refused as CaseRefused
from services.notifier.cases import Verb, correction_state
from services.notifier.catalogue import Catalogue
from services.notifier.console import faults
from services.notifier.console.panels import Panels
from services.notifier.console.rendering import HEADERS, HERE, LANGUAGE_COOKIE, Pages, local_path, texts_of
from services.notifier.console.sessions import COOKIE, LIFE_MS
from services.notifier.console.signin import Refused, SignIn, SignInFirst, Viewer
from services.notifier.console.timeline import MarkKind, Told, bounds, draw
from services.notifier.explanations import Explanation, Explanations, Missing
from services.notifier.live import Hub, signals
from services.notifier.messages import by_how_much, promise
from services.notifier.texts import LANGUAGES, Texts
from services.notifier.views import evidence_of
from shared.ports.cases import Cases
from shared.ports.casework import Priority, Status
from shared.ports.credentials import CredentialsUnavailable
from shared.ports.deliveries import Deliveries, DeliveryState
from shared.ports.ledger import Case, Ledger, LedgerUnavailable, Wanted
from shared.ports.time import TimeSource
from shared.runtime.credentials import BadCredential
from shared.runtime.passwords import Accounts, TooManyGuesses
from shared.sla.instants import DAY, parse_instant
from shared.sla.terms import Deadline
from shared.wire import verdicts
from shared.wire.verdicts import Verdict

OPEN_MAX: Final = 100
RISKS_MAX: Final = 50
RECENT_MAX: Final = 30
CORRECTIONS_MAX: Final = 30
CASES_MAX: Final = 50
SENT_MAX: Final = 100
TREND_DAYS: Final = 30
PARTS: Final = ("counts", "open", "acked", "risk", "corrections", "recent")
STATUSES: Final[tuple[str, ...]] = get_args(Status)
PRIORITIES: Final[tuple[str, ...]] = get_args(Priority)
_SHORT: Final = Form(max_length=200)


class Context(NamedTuple):
    """What the pages work with."""

    ledger: Ledger
    cases: Cases
    work: CaseActions
    deliveries: Deliveries
    channels: Callable[[], Mapping[str, str | None]]
    catalogue: Catalogue
    panels: Panels
    explanations: Explanations
    readiness: Callable[[], Mapping[str, str]]
    routes_error: Callable[[], str]
    sign_in: SignIn
    accounts: Accounts
    pages: Pages
    time: TimeSource


class Console:
    """The pages of one notifier."""

    def __init__(self, context: Context) -> None:
        self.it = context

    async def viewer(self, request: Request) -> Viewer:
        return await self.it.sign_in.viewer(request)

    async def insider(self, request: Request) -> Viewer:
        """Who looks, unless it is a vendor's."""
        viewer = await self.viewer(request)
        if viewer.vendor is not None:
            raise Refused(404, "refused.page")
        return viewer

    # ---- what pages show

    async def part(self, name: str, viewer: Viewer) -> dict[str, Any]:
        """What a part of the page `now` shows."""
        ledger, vendor, now = self.it.ledger, viewer.vendor, self.it.time.wall()
        match name:
            case "counts":
                return {"totals": await ledger.totals(vendor)}
            case "open" | "acked":
                wanted = Wanted(vendor=vendor, standing="open", acknowledged=name == "acked")
                return {name: await ledger.breaches(wanted, limit=OPEN_MAX), "totals": await ledger.totals(vendor)}
            case "risk":
                return {"risks": await ledger.risks(vendor=vendor, limit=RISKS_MAX), "now": now}
            case "corrections":
                rows = await self.it.cases.corrections(vendor=vendor, limit=CORRECTIONS_MAX)
                return {"corrections": rows, "correction_state": correction_state, "now": now}
            case _:
                return {"recent": await ledger.recent(["closed", "retracted"], vendor=vendor, limit=RECENT_MAX)}

    async def case(self, breach_id: str, viewer: Viewer) -> Case:
        case = await self.it.ledger.case(breach_id, viewer.vendor)
        if case is None:
            raise Refused(404, "refused.breach")
        return case

    async def explained(self, case: Case) -> Explanation | Missing | None:
        """Why the breach's clock stands as it does, or why that is not known; None where it is of no clock."""
        breach = case.breach
        objective = self.it.catalogue.objective_of(breach.agreement, breach.version, breach.objective)
        is_clock = breach.case is not None and (objective is None or isinstance(objective, Deadline))
        return await self.it.explanations.of(breach) if is_clock else None

    def case_values(self, case: Case, texts: Texts, explained: Explanation | Missing | Literal["later"] | None) -> dict[str, Any]:
        """What the page of one breach shows: its drawing, its statements in words, people's doings among them, and who was told.

        `explained`: "later": the page fetches it once it is there.
        """
        now = self.it.time.wall()
        said = {row.id: (row, verdicts.decode(row.body.encode())) for row in case.statements}
        timeline: list[tuple[int, str, dict[str, Any]]] = [
            (
                row.decided_at,
                "statement",
                {
                    "row": row,
                    "name": texts("tag." + row.type),
                    "by": by_how_much(verdict, texts),
                    "raw": msgspec.json.format(row.body, indent=2),
                },
            )
            for row, verdict in said.values()
        ]
        timeline += [(action.at, "action", {"action": action}) for action in case.actions]
        timeline.sort(key=lambda line: line[0])
        last = next((verdict for row, verdict in reversed(said.values()) if row.revision is not None), None)
        return {
            "breach": case.breach,
            "promise": promise(last, texts) if last else case.breach.objective,
            "last": last.data if last else None,
            "timeline": timeline,
            "deliveries": [(sent, texts("tag." + said[sent.verdict_id][0].type)) for sent in case.deliveries if sent.verdict_id in said],
            "evidence": evidence_of(case),
            "drawing": self._drawing(case, last, texts, now, explained if isinstance(explained, Explanation) else None),
            "explained": explained if isinstance(explained, Explanation) else None,
            "unexplained": explained if isinstance(explained, str) else "",
            "correction_state": correction_state,
            "now": now,
            "priorities": PRIORITIES,
        }

    def _drawing(self, case: Case, last: Verdict | None, texts: Texts, now: int, explained: Explanation | None) -> Any:
        breach = case.breach
        happened: list[tuple[int, MarkKind, str, str]] = [
            (row.decided_at, "statement", row.type.rpartition(".")[2], texts("tag." + row.type)) for row in case.statements
        ]
        happened += [(done.at, "action", "action", _deed(texts, done.action, done.actor)) for done in case.actions]
        happened += [
            (sent.settled_at, "delivery", sent.state, f"{sent.channel}: {texts('delivery.' + sent.state)}")
            for sent in case.deliveries
            if sent.settled_at is not None
        ]
        if explained is not None:
            happened += [
                (step.instant, "evidence", step.what, _about(texts("step." + step.what), step.event, step.note)) for step in explained.steps
            ]
        held = last.data.held if last is not None and isinstance(last.data.held, dict) else {}
        shut = (parse_instant(str(held["from"])), parse_instant(str(held["until"]))) if held.get("from") and held.get("until") else None
        told = Told(
            breach.started,
            breach.due,
            breach.stopped,
            breached=breach.standing != "retracted",
            over=breach.standing != "open",
            held=shut,
            happened=happened,
            pauses=[(*pause.span, pause.why) for pause in explained.pauses] if explained is not None else (),
        )
        hours = self.it.catalogue.working_hours(last.data, *bounds(told, now)) if last is not None else None
        return draw(told, now, hours, {name: texts("mark." + name) for name in ("started", "due", "stopped")})

    # ---- what people do

    async def do(self, request: Request, breach_id: str, verb: Verb, csrf: str, **fields: Any) -> Response:
        """Carry out a request about a case and go back to its page."""
        viewer = await self.it.sign_in.actor(request, csrf)
        if not viewer.may(verb):
            raise Refused(403, "refused.role")
        try:
            breach = await self.it.work.do(breach_id, verb, viewer.credential, **fields)
        except CaseRefused as refused:
            raise Refused(409, f"reason.{refused.reason.name}") from None
        if breach is None:
            raise Refused(404, "refused.breach")
        return RedirectResponse(f"/breaches/{quote(breach_id, safe='')}", 303, HEADERS)

    async def session_of(self, request: Request, credential: str, to: str) -> Response:
        """A cookie for the token with this id."""
        answer = RedirectResponse(local_path(to), 303, HEADERS)
        secure = self.it.sign_in.secure or request.url.scheme == "https"
        value = self.it.sign_in.sessions.open(credential, self.it.time.wall())
        answer.set_cookie(COOKIE, value, max_age=LIFE_MS // 1000, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    async def sign_in(self, request: Request, token: str, name: str, password: str, to: str) -> Response:
        """Token, or name and password, in; cookie out."""
        self.it.sign_in.same_origin(request)
        texts = texts_of(request)

        def again(status: int, error: str) -> Response:
            return self.it.pages.page(request, "login.html", None, status, error=error, to=local_path(to))

        try:
            if name.strip():
                address = request.client.host if request.client else ""
                credential = await self.it.sign_in.authenticator.by_id(
                    await self.it.accounts.credential_of(name.strip(), password, address)
                )
            else:
                credential = await self.it.sign_in.authenticator.authenticate(token.strip())
            if credential.kind != "token":
                raise BadCredential("it is a key for systems; people have tokens")
        except BadCredential as wrong:
            return again(401, texts("login.wrong.account") if name.strip() else texts("login.wrong", why=wrong))
        except TooManyGuesses:
            return again(429, texts("login.slow"))
        except CredentialsUnavailable:
            return again(503, texts("login.unavailable"))
        return await self.session_of(request, credential.id, to)


def _about(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)


def _deed(texts: Texts, action: str, who: str) -> str:
    """What somebody did, in words."""
    key = f"action.{action}"
    return texts(key, who=who) if key in texts else texts("action.other", action=action, who=who)


def install(app: FastAPI, console: Console, hub: Hub, *more: Callable[[APIRouter], None]) -> None:
    """Put the console's routes on the application; `more` put those of other files there."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    it, page = console.it, console.it.pages.page

    async def on_sign_in_first(request: Request, wrong: Exception) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"HX-Redirect": "/login"})
        if request.url.path == "/live":
            return Response(status_code=401)
        return RedirectResponse(f"/login?to={quote(request.url.path)}" if request.url.path != "/" else "/login", 303, HEADERS)

    async def on_refused(request: Request, wrong: Exception) -> Response:
        assert isinstance(wrong, Refused)
        return page(request, "error.html", None, wrong.status, text=texts_of(request)(wrong.key, **wrong.gaps))

    app.add_exception_handler(SignInFirst, on_sign_in_first)
    app.add_exception_handler(Refused, on_refused)
    faults.install(app, it.pages)
    _people(routes, console)
    _case(routes, console)
    _looking(routes, console)
    for put in more:
        put(routes)

    @routes.get("/live")
    async def live(request: Request) -> Response:
        viewer = await console.viewer(request)
        return StreamingResponse(signals(hub, viewer.vendor), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @routes.get("/health")
    async def health(request: Request) -> Response:
        viewer = await console.insider(request)
        return page(
            request,
            "health.html",
            viewer,
            here="health",
            figures=it.panels.figures(),
            states=it.panels.states,
            missing=it.readiness(),
            routes_error=it.routes_error(),
        )

    app.include_router(routes)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


def _people(routes: APIRouter, console: Console) -> None:
    """Signing in and out, and the language."""
    page = console.it.pages.page

    @routes.get("/login")
    async def login(request: Request, to: str = "/") -> Response:
        return page(request, "login.html", None, error="", to=local_path(to))

    @routes.post("/login")
    async def sign_in(
        request: Request,
        token: Annotated[str, Form(max_length=400)] = "",
        name: Annotated[str, _SHORT] = "",
        password: Annotated[str, _SHORT] = "",
        to: Annotated[str, Form()] = "/",
    ) -> Response:
        return await console.sign_in(request, token, name, password, to)

    @routes.get("/session")
    async def session(request: Request) -> Response:
        """For the sign-in page: a link from a mail carries no Strict cookie, a fetch from our own page does."""
        await console.viewer(request)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        console.it.sign_in.same_origin(request)
        answer = RedirectResponse("/login", 303, HEADERS)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    @routes.post("/language")
    async def language(request: Request, choice: Annotated[str, Form()], to: Annotated[str, Form()] = "/") -> Response:
        console.it.sign_in.same_origin(request)
        answer = RedirectResponse(local_path(to), 303, HEADERS)
        if choice in LANGUAGES:
            secure = console.it.sign_in.secure or request.url.scheme == "https"
            answer.set_cookie(LANGUAGE_COOKIE, choice, max_age=365 * 86_400, httponly=True, samesite="lax", secure=secure, path="/")
        return answer


def _looking(routes: APIRouter, console: Console) -> None:
    """The pages that only show."""
    it, page = console.it, console.it.pages.page

    @routes.get("/")
    async def now(request: Request) -> Response:
        viewer = await console.viewer(request)
        try:
            values: dict[str, Any] = {}
            for name in PARTS:
                values |= await console.part(name, viewer)
        except LedgerUnavailable:
            raise Refused(503, "page.unavailable") from None
        return page(request, "now.html", viewer, here="now", **values)

    @routes.get("/parts/{name}")
    async def part(request: Request, name: str) -> Response:
        viewer = await console.viewer(request)
        if name not in PARTS:
            raise Refused(404, "refused.page")
        return page(request, f"_{name}.html", viewer, **await console.part(name, viewer))

    @routes.get("/breaches")
    async def cases(
        request: Request, vendor: str = "", status: str = "", owner: str = "", priority: str = "", before: int | None = None
    ) -> Response:
        viewer = await console.viewer(request)
        if (status and status not in STATUSES) or (priority and priority not in PRIORITIES):
            raise Refused(422, "refused.form")
        chosen = {"vendor": vendor, "status": status, "owner": owner, "priority": priority}
        wanted = msgspec.convert({name: value for name, value in chosen.items() if value}, Wanted)
        wanted = msgspec.structs.replace(wanted, vendor=viewer.vendor or wanted.vendor)
        rows = await it.ledger.breaches(wanted, limit=CASES_MAX + 1, before=before)
        kept = {name: value for name, value in chosen.items() if value}
        older = urlencode({**kept, "before": rows[CASES_MAX - 1].seq}) if len(rows) > CASES_MAX else ""
        return page(
            request,
            "cases.html",
            viewer,
            here="breaches",
            rows=rows[:CASES_MAX],
            chosen=chosen,
            older=older,
            first=before is None,
            newest=urlencode(kept),
            statuses=STATUSES,
            priorities=PRIORITIES,
        )

    @routes.get("/vendors")
    async def vendors(request: Request) -> Response:
        viewer = await console.viewer(request)
        rows = await it.cases.vendors(it.time.wall(), TREND_DAYS, viewer.vendor)
        return page(request, "vendors.html", viewer, here="vendors", rows=rows)

    @routes.get("/vendors/{vendor:path}")
    async def vendor(request: Request, vendor: str) -> Response:
        viewer, now = await console.viewer(request), it.time.wall()
        if viewer.vendor not in (None, vendor):
            raise Refused(404, "refused.page")
        rows = await it.cases.vendors(now, TREND_DAYS, vendor)
        promises = await it.cases.objectives(vendor, now - TREND_DAYS * DAY)
        latest = await it.ledger.breaches(Wanted(vendor=vendor), limit=RECENT_MAX)
        if not (rows or promises or latest):
            raise Refused(404, "refused.page")
        values: dict[str, Any] = {
            "row": rows[0] if rows else None,
            "promises": promises,
            "rows": latest,
        }
        return page(request, "vendor.html", viewer, here="vendors", vendor=vendor, **values)

    @routes.get("/deliveries")
    async def deliveries(request: Request, channel: str = "", state: str = "") -> Response:
        viewer = await console.insider(request)
        states: tuple[str, ...] = get_args(DeliveryState)
        if state and state not in states:
            raise Refused(422, "refused.form")
        wanted = msgspec.convert(state or None, DeliveryState | None)
        rows = await it.cases.sent(channel=channel or None, state=wanted, limit=SENT_MAX)
        values: dict[str, Any] = {"rows": rows, "channels": it.channels(), "chosen": {"channel": channel, "state": state}, "states": states}
        return page(request, "deliveries.html", viewer, here="deliveries", **values)


def _case(routes: APIRouter, console: Console) -> None:
    """The page of one breach, and its parts."""
    page = console.it.pages.page

    @routes.get("/breaches/{breach_id}")
    async def case(request: Request, breach_id: str) -> Response:
        viewer = await console.viewer(request)
        values = console.case_values(await console.case(breach_id, viewer), texts_of(request), "later")
        return page(request, "case.html", viewer, here="breaches", **values)

    @routes.get("/parts/breaches/{breach_id}")
    async def case_part(request: Request, breach_id: str) -> Response:
        viewer = await console.viewer(request)
        case = await console.case(breach_id, viewer)
        return page(request, "_case.html", viewer, **console.case_values(case, texts_of(request), await console.explained(case)))

    @routes.get("/parts/drawings/{breach_id}")
    async def drawing_part(request: Request, breach_id: str) -> Response:
        viewer = await console.viewer(request)
        case = await console.case(breach_id, viewer)
        return page(request, "_drawing.html", viewer, **console.case_values(case, texts_of(request), await console.explained(case)))
