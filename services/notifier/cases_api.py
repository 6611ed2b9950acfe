"""What people do to a breach's case, over HTTP."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from services.notifier.actions import NOTE_CHARACTERS_MAX, CaseActions
from services.notifier.cases import MAY, RESPONDERS, Reason, Refused, Verb
from services.notifier.views import Body, Breach, breach_of, no_such
from shared.ports.casework import Priority
from shared.ports.credentials import Credential
from shared.ports.ledger import BreachRow
from shared.runtime import problems
from shared.runtime.auth import require_role
from shared.runtime.problems import Problem
from shared.sla.instants import BadInstant, parse_instant

NAME_MAX: Final = 200
_ERRORS: Final = problems.responses(
    s401="no acceptable token",
    s403="a role that may not do this",
    s404="no such breach, or another vendor's",
    s409="the case stands so that this cannot be done: `detail` says why",
    s422="wrong parameters",
    s503="the ledger is away: see Retry-After",
)


class Note(Body):
    """A person's words."""

    text: str = Field(min_length=1, max_length=NOTE_CHARACTERS_MAX)


class Words(Body):
    """Why, if there is something to say."""

    text: str = Field(default="", max_length=NOTE_CHARACTERS_MAX)


class Grounds(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=NOTE_CHARACTERS_MAX)


class Excused(Grounds):
    """Why, and who agreed."""

    approver: str = Field(default="", max_length=NAME_MAX, description="who agreed; left out: whoever sends this")


class Assignment(Body):
    """What is left out stays; null takes it back."""

    owner: str | None = Field(default=None, min_length=1, max_length=NAME_MAX)
    priority: Priority | None = None
    class_: str | None = Field(default=None, alias="class", min_length=1, max_length=100)


class CorrectiveAction(Body):
    """What is left out stays; null takes it back."""

    root_cause: str | None = Field(default=None, min_length=1, max_length=NOTE_CHARACTERS_MAX)
    action: str | None = Field(default=None, min_length=1, max_length=NOTE_CHARACTERS_MAX)
    due: str | None = Field(default=None, description="an instant, RFC 3339: the action's own deadline")
    done: bool | None = Field(default=None, description="true: it is done, as of now")


def conflict(refused: Refused) -> Problem:
    """The answer for what the case does not allow."""
    status, title = (403, "Not allowed") if refused.reason is Reason.not_yours else (409, "Not as the case stands")
    return Problem(status, refused.reason.name.replace("_", "-"), title, refused.reason.value)


def routes(work: CaseActions) -> APIRouter:
    """`POST /v1/breaches/{id}/…`."""
    router = APIRouter(prefix="/v1/breaches/{breach_id}", tags=["cases"], responses=_ERRORS)

    def may(verb: Verb) -> Any:
        return Depends(require_role(*MAY[verb]))

    def told(breach_id: str, breach: BreachRow | None) -> Breach:
        if breach is None:
            raise no_such(breach_id)
        return breach_of(breach, work.now())

    async def do(breach_id: str, verb: Verb, credential: Credential, **fields: Any) -> Breach:
        try:
            return told(breach_id, await work.do(breach_id, verb, credential, **fields))
        except Refused as refused:
            raise conflict(refused) from None

    @router.post("/acknowledge", summary="Acknowledge a breach")
    async def acknowledge(breach_id: str, credential: Annotated[Credential, Depends(require_role(*RESPONDERS))]) -> Breach:
        """Say that you have taken it on. The first acknowledgement stands; a second changes nothing."""
        return told(breach_id, await work.acknowledge(breach_id, credential))

    @router.post("/note", summary="Add a note", status_code=201)
    async def note(breach_id: str, words: Note, credential: Annotated[Credential, may("note")]) -> Breach:
        """Words for whoever looks at the breach next; they stay in its timeline."""
        return await do(breach_id, "note", credential, text=words.text)

    @router.post("/assign", summary="Give the case an owner, a priority, a class")
    async def assign(breach_id: str, body: Assignment, credential: Annotated[Credential, may("assign")]) -> Breach:
        """Changes what is given, and nothing else."""
        given = {"category" if name == "class_" else name: getattr(body, name) for name in body.model_fields_set}
        return await do(breach_id, "assign", credential, **given)

    @router.post("/correct", summary="Say the root cause and what is done about it")
    async def correct(breach_id: str, body: CorrectiveAction, credential: Annotated[Credential, may("correct")]) -> Breach:
        """A corrective action has its own deadline; the case is closed after it is done."""
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if given.get("due") is not None:
            try:
                given["due"] = parse_instant(given["due"])
            except BadInstant as wrong:
                raise Problem(422, "invalid", "Not acceptable", f"due: {wrong}", errors=[("/due", str(wrong))]) from None
        if "done" in given:
            given["done"] = bool(given["done"])
        return await do(breach_id, "correct", credential, **given)

    @router.post("/dispute", summary="Say that it is no breach")
    async def dispute(breach_id: str, body: Grounds, credential: Annotated[Credential, may("dispute")]) -> Breach:
        """The vendor itself may, about its own breaches. Ended by `reopen` (not granted), `excuse` (granted) or late evidence."""
        return await do(breach_id, "dispute", credential, text=body.reason)

    @router.post("/excuse", summary="Do not hold it against the vendor")
    async def excuse(breach_id: str, body: Excused, credential: Annotated[Credential, may("excuse")]) -> Breach:
        """For managers. The verdict stays as it is; the reason and who agreed stay with it."""
        return await do(breach_id, "excuse", credential, text=body.reason, approver=body.approver.strip())

    @router.post("/close", summary="Close the case")
    async def close(breach_id: str, credential: Annotated[Credential, may("close")], body: Words | None = None) -> Breach:
        """Nothing is left to do. Not while a corrective action is open."""
        return await do(breach_id, "close", credential, text=body.text if body else "")

    @router.post("/reopen", summary="Open a closed, excused or disputed case again")
    async def reopen(breach_id: str, body: Grounds, credential: Annotated[Credential, may("reopen")]) -> Breach:
        """An excuse or a dispute holds no longer; the audit trail keeps both. Taking back an excuse is for managers."""
        return await do(breach_id, "reopen", credential, text=body.reason)

    return router
