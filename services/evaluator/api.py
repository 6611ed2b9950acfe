"""What can be asked of an evaluator: the clocks of the vendors it owns, and why one stands as it does."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, FastAPI, Query
from prometheus_client import CollectorRegistry

from services.evaluator.core import Partition
from shared.ports.credentials import Credential
from shared.ports.log import LogUnavailable
from shared.runtime import auth, problems, reference
from shared.runtime.credentials import Authenticator
from shared.runtime.problems import Problem
from shared.runtime.serving import Readiness, add_health
from shared.sla.books import CaseLine, Place, place_of
from shared.sla.engine import books_of
from shared.sla.explaining import explain_case
from shared.wire.reports import case_line
from shared.wire.topics import partition_of

LINES_MAX = 1_000
AT_ONCE = 200  # clocks looked at before the pipeline, which shares the loop, gets its turn
Reader = Annotated[Credential, Depends(auth.require_role("viewer", "responder", "manager", "operator", "vendor"))]
State = Literal["running", "paused", "met", "breached", "breached_closed", "cancelled", "skipped"]


class Shares:
    """Who has which partition: here, and elsewhere."""

    def __init__(
        self, owned: Callable[[], dict[int, Partition]], count: Callable[[], int | None], owners: Callable[[], Awaitable[dict[int, str]]]
    ) -> None:
        """`count`: of all partitions, None while unknown, or vendors may be anywhere (event mode); `owners`: addresses by partition."""
        self.owned, self._count, self._owners = owned, count, owners

    async def owner_of(self, vendor: str) -> str | None:
        """The address of the other evaluator that has a vendor; None: it is here. Raises Problem where nobody has it."""
        count = self._count()
        if count is None or (number := partition_of(vendor.encode(), count)) in self.owned():
            return None
        owner = (await self._addresses()).get(number)
        if owner is None:
            raise problems.unavailable(f"partition {number}, vendor {vendor}'s, is changing hands")
        return owner

    async def elsewhere(self) -> list[str]:
        """The addresses of those who have the partitions that are not here."""
        count = self._count()
        if count is None or count == len(self.owned()):
            return []
        return sorted({address for number, address in (await self._addresses()).items() if number not in self.owned()})

    async def _addresses(self) -> dict[int, str]:
        try:
            return await self._owners()
        except LogUnavailable as wrong:
            raise problems.unavailable(f"who has it cannot be asked: {wrong}") from None


def _cursor_of(key: Place) -> str:
    return urlsafe_b64encode(msgspec.json.encode(key)).decode()


def _after(cursor: str) -> Place:
    try:
        found: Place = msgspec.json.decode(urlsafe_b64decode(cursor.encode()), type=Place)
    except (ValueError, msgspec.DecodeError):
        raise Problem(400, "bad-cursor", "Not a cursor", "give `next` of the page before, as it was") from None
    return found


def build(shares: Shares, authenticator: Authenticator, registry: CollectorRegistry, ready: Readiness) -> FastAPI:
    """The HTTP application."""
    app = FastAPI(title="slawatch evaluator", version="1", redirect_slashes=False, docs_url=None, redoc_url=None)
    problems.install(app)
    reference.install(app)
    auth.install(app, authenticator)
    add_health(app, registry, ready)

    async def here(vendor: str) -> None:
        if (owner := await shares.owner_of(vendor)) is not None:
            detail = f"vendor {vendor} is with another evaluator: ask {owner}"
            raise Problem(421, "elsewhere", "Another evaluator has it", detail, more={"owner": owner})

    @app.get(
        "/v1/clocks",
        tags=["clocks"],
        responses=problems.responses(
            s400="not a cursor", s421="another evaluator has this vendor: `owner` is its address", s503="changing hands"
        ),
    )
    async def clocks(
        who: Reader,
        vendor: Annotated[str | None, Query(description="only this vendor's")] = None,
        case: Annotated[str | None, Query(description="only this case's")] = None,
        state: Annotated[State | None, Query(description="only those in this state")] = None,
        limit: Annotated[int, Query(ge=1, le=LINES_MAX)] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    ) -> dict[str, Any]:
        """Clocks of the vendors this evaluator owns, as lines of `cases.ndjson`, by agreement, objective, vendor and case.

        `next` is the cursor of the next page, if there is one; `elsewhere` are the evaluators that have the other vendors.
        """
        after = None if cursor is None else _after(cursor)
        if vendor is not None and who.may_act_for(vendor):
            await here(vendor)
        found: list[CaseLine] = []
        for partition in list(shares.owned().values()):
            lines = partition.engine.clocks(vendor, case)
            while piece := list(islice(lines, AT_ONCE)):
                found += [line for line in piece if who.may_act_for(line.vendor) and state in (None, line.view.state)]
                await asyncio.sleep(0)
        found.sort(key=place_of)
        left = found if after is None else [line for line in found if place_of(line) > after]
        page = left[:limit]
        return {
            "clocks": [case_line(line) for line in page],
            "total": len(found),
            "next": _cursor_of(place_of(page[-1])) if len(left) > limit else None,
            "elsewhere": await shares.elsewhere() if vendor is None else [],
        }

    @app.get(
        "/v1/explain",
        tags=["clocks"],
        responses=problems.responses(
            s404="no clock of this case is in memory",
            s421="another evaluator has this vendor: `owner` is its address",
            s503="changing hands",
        ),
    )
    async def explain(
        who: Reader,
        vendor: Annotated[str, Query(description="whose case it is")],
        case: Annotated[str, Query(description="the events' subject")],
        service: Annotated[str | None, Query(description="only of this service")] = None,
        agreement: Annotated[str | None, Query(description="only under this agreement")] = None,
        objective: Annotated[str | None, Query(description="only this objective's")] = None,
    ) -> dict[str, Any]:
        """Why the clocks of a case stand as they do: steps, pauses and intervals of each, as `slawatch explain --json` tells them.

        What was stated is not told here: the notifier has it. A case leaves memory a horizon after its last evidence.
        """
        if who.may_act_for(vendor):
            await here(vendor)
        found = [
            (book, kept.events, partition.engine.log_time_of(vendor))
            for partition in (list(shares.owned().values()) if who.may_act_for(vendor) else ())
            for desk in partition.engine.desks()
            if desk.vendor == vendor and service in (None, desk.service)
            if (kept := partition.engine.case(desk, case)) is not None
            for book in books_of(kept)
            if agreement in (None, book.agreement) and objective in (None, book.objective)
        ]
        if not found:
            detail = (
                f"no clock of case {case} of vendor {vendor} is in memory: it is unknown, or left after its horizon (`slawatch explain`)"
            )
            raise Problem(404, "no-such-case", "No such case", detail)
        return {"explained": [told for book, events, log_time in found for told in explain_case(book, events, log_time, None)]}

    return app
