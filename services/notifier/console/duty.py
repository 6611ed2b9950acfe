"""The pages of silences and of who is on duty, and the button that tests a channel."""

from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from services.notifier.console.forms import local_instant
from services.notifier.console.pages import Console
from services.notifier.console.rendering import HEADERS
from services.notifier.console.signin import Refused, Viewer
from services.notifier.silences import Rotas, Silences
from services.notifier.trying import TooSoon, Trials
from shared.alerting.terms import Match
from shared.sla.instants import HOUR

FIELDS: Final = ("vendor", "service", "agreement", "objective", "severity", "case", "breach")
LENGTHS: Final = ("1", "4", "24", "168")  # hours
OVER_MAX: Final = 20


class Desk(NamedTuple):
    """What the pages work with."""

    silences: Silences
    rotas: Rotas
    trials: Trials


def install(routes: APIRouter, console: Console, desk: Desk) -> None:
    """Put the pages' routes on a router."""
    page, time = console.it.pages.page, console.it.time

    async def actor(request: Request, csrf: str) -> Viewer:
        viewer = await console.it.sign_in.actor(request, csrf)
        if not viewer.may_act:
            raise Refused(403, "refused.role")
        return viewer

    @routes.get("/silences")
    async def silences(request: Request) -> Response:
        viewer = await console.insider(request)
        values: dict[str, Any] = {
            "active": await desk.silences.all(),
            "over": await desk.silences.all(over=True, limit=OVER_MAX),
            "given": {name: request.query_params.get(name, "") for name in FIELDS},
            "fields": FIELDS,
            "lengths": LENGTHS,
            "now": time.wall(),
        }
        return page(request, "silences.html", viewer, here="silences", **values)

    @routes.post("/silences")
    async def silence(
        request: Request,
        reason: Annotated[str, Form(min_length=1, max_length=500)],
        hours: Annotated[str, Form()],
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        viewer = await actor(request, csrf)
        form = await request.form(max_fields=40)
        labels: dict[str, tuple[str, ...]] = {name: (text,) for name in FIELDS if (text := str(form.get(name, "")).strip()[:500])}
        if hours not in LENGTHS or not labels:
            raise Refused(422, "refused.form")
        try:
            await desk.silences.add(Match(labels=labels), None, time.wall() + int(hours) * HOUR, viewer.credential.name, reason)
        except ValueError:
            raise Refused(422, "refused.form") from None
        return RedirectResponse("/silences", 303, HEADERS)

    @routes.post("/silences/{silence_id}/end")
    async def end(request: Request, silence_id: str, csrf: Annotated[str, Form()] = "") -> Response:
        viewer = await actor(request, csrf)
        if await desk.silences.end(silence_id, viewer.credential.name) is None:
            raise Refused(404, "refused.page")
        return RedirectResponse("/silences", 303, HEADERS)

    @routes.get("/rota")
    async def rota(request: Request) -> Response:
        viewer = await console.insider(request)
        values: dict[str, Any] = {"turns": await desk.rotas.now(), "overrides": await desk.rotas.overrides()}
        return page(request, "rota.html", viewer, here="rota", **values)

    @routes.post("/rota/{name}/overrides")
    async def stand_in(
        request: Request,
        name: str,
        person: Annotated[str, Form(min_length=1, max_length=200)],
        begins: Annotated[str, Form(max_length=40)],
        ends: Annotated[str, Form(max_length=40)],
        zone: Annotated[str, Form(max_length=80)] = "",
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        viewer = await actor(request, csrf)
        first, last = local_instant(begins, zone), local_instant(ends, zone)
        if first is None or last is None:
            raise Refused(422, "refused.form")
        try:
            await desk.rotas.override(name, person.strip(), first, last, viewer.credential.name)
        except ValueError:
            raise Refused(422, "refused.form") from None
        return RedirectResponse("/rota", 303, HEADERS)

    @routes.post("/rota/overrides/{override_id}/remove")
    async def remove(request: Request, override_id: str, csrf: Annotated[str, Form()] = "") -> Response:
        await actor(request, csrf)
        if not await desk.rotas.remove(override_id):
            raise Refused(404, "refused.page")
        return RedirectResponse("/rota", 303, HEADERS)

    @routes.post("/channels/{channel:path}/test")
    async def test(request: Request, channel: str, csrf: Annotated[str, Form()] = "") -> Response:
        viewer = await console.it.sign_in.actor(request, csrf)
        if viewer.credential.role != "operator":
            raise Refused(403, "refused.role")
        try:
            tested = await desk.trials.test(channel)
        except TooSoon:
            raise Refused(429, "channel.soon") from None
        if tested is None:
            raise Refused(404, "refused.page")
        return page(request, "tested.html", viewer, here="deliveries", tested=tested)
