"""The forms of a case: what people do to it from its page."""

from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from services.notifier.actions import NOTE_CHARACTERS_MAX
from services.notifier.cases import Verb
from services.notifier.console.pages import PRIORITIES, Console
from services.notifier.console.rendering import HEADERS
from services.notifier.console.signin import Refused

_LONG: Final = Form(max_length=NOTE_CHARACTERS_MAX)
_SHORT: Final = Form(max_length=200)
_WORDS: Final = Form(min_length=1, max_length=NOTE_CHARACTERS_MAX)


def local_instant(text: str, zone: str) -> int | None:
    """The instant (ms since 1970) of a form's date and time, `2026-03-02T08:30`, in the browser's zone; None if empty. Raises Refused."""
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        return round((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone or "UTC"))).timestamp() * 1000)
    except (ValueError, ZoneInfoNotFoundError, OverflowError, OSError):
        raise Refused(422, "refused.form") from None


def install(routes: APIRouter, console: Console) -> None:
    """Put the forms' routes on a router."""
    it = console.it

    @routes.post("/breaches/{breach_id}/acknowledge")
    async def acknowledge(request: Request, breach_id: str, csrf: Annotated[str, Form()] = "") -> Response:
        viewer = await it.sign_in.actor(request, csrf)
        if not viewer.may_act:
            raise Refused(403, "refused.role")
        if await it.work.acknowledge(breach_id, viewer.credential) is None:
            raise Refused(404, "refused.breach")
        if request.headers.get("hx-request"):
            return Response(status_code=204)  # the page hears of it like everybody's
        return RedirectResponse(f"/breaches/{quote(breach_id, safe='')}", 303, HEADERS)

    @routes.post("/breaches/{breach_id}/note")
    async def note(
        request: Request,
        breach_id: str,
        text: Annotated[str, _WORDS],
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        return await console.do(request, breach_id, "note", csrf, text=text)

    @routes.post("/breaches/{breach_id}/assign")
    async def assign(
        request: Request,
        breach_id: str,
        owner: Annotated[str, _SHORT] = "",
        priority: Annotated[str, Form()] = "",
        category: Annotated[str, Form(max_length=100)] = "",
        me: Annotated[str, Form()] = "",
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        if me:
            viewer = await console.viewer(request)
            return await console.do(request, breach_id, "assign", csrf, owner=viewer.credential.name)
        if priority and priority not in PRIORITIES:
            raise Refused(422, "refused.form")
        fields = {"owner": owner.strip() or None, "priority": priority or None, "category": category.strip() or None}
        return await console.do(request, breach_id, "assign", csrf, **fields)

    @routes.post("/breaches/{breach_id}/correct")
    async def correct(
        request: Request,
        breach_id: str,
        root_cause: Annotated[str, _LONG] = "",
        action: Annotated[str, _LONG] = "",
        due: Annotated[str, Form(max_length=40)] = "",
        zone: Annotated[str, Form(max_length=80)] = "",
        done: Annotated[str, Form()] = "",
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        if done:
            return await console.do(request, breach_id, "correct", csrf, done=True)
        fields: dict[str, Any] = {"root_cause": root_cause.strip() or None, "action": action.strip() or None}
        if fields["action"]:
            fields["due"] = local_instant(due, zone)
        return await console.do(request, breach_id, "correct", csrf, **fields)

    def reasoned(verb: Verb) -> None:
        @routes.post(f"/breaches/{{breach_id}}/{verb}", name=verb)
        async def act(
            request: Request,
            breach_id: str,
            text: Annotated[str, _WORDS],
            csrf: Annotated[str, Form()] = "",
        ) -> Response:
            return await console.do(request, breach_id, verb, csrf, text=text)

    reasoned("dispute")
    reasoned("reopen")

    @routes.post("/breaches/{breach_id}/close")
    async def close(request: Request, breach_id: str, text: Annotated[str, _LONG] = "", csrf: Annotated[str, Form()] = "") -> Response:
        return await console.do(request, breach_id, "close", csrf, text=text)

    @routes.post("/breaches/{breach_id}/excuse")
    async def excuse(
        request: Request,
        breach_id: str,
        text: Annotated[str, _WORDS],
        approver: Annotated[str, _SHORT] = "",
        csrf: Annotated[str, Form()] = "",
    ) -> Response:
        return await console.do(request, breach_id, "excuse", csrf, text=text, approver=approver.strip())

    @routes.post("/channels/{channel:path}/enable")
    async def enable(request: Request, channel: str, csrf: Annotated[str, Form()] = "") -> Response:
        viewer = await it.sign_in.actor(request, csrf)
        if viewer.credential.role != "operator":
            raise Refused(403, "refused.role")
        await it.deliveries.enable(channel)
        return RedirectResponse("/deliveries", 303, HEADERS)
