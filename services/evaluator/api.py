"""What can be asked of an evaluator: the clocks of the vendors it owns."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from prometheus_client import CollectorRegistry

from services.evaluator.core import Partition
from shared.ports.credentials import Credential
from shared.runtime import auth, problems
from shared.runtime.credentials import Authenticator
from shared.runtime.serving import Readiness, add_health
from shared.sla.books import CaseLine
from shared.wire.reports import case_line

LINES_MAX = 1_000
Reader = Annotated[Credential, Depends(auth.require_role("viewer", "responder", "manager", "operator", "vendor"))]


def build(
    partitions: Callable[[], dict[int, Partition]], authenticator: Authenticator, registry: CollectorRegistry, ready: Readiness
) -> FastAPI:
    """The HTTP application."""
    app = FastAPI(title="slawatch evaluator", version="1", redirect_slashes=False)
    problems.install(app)
    auth.install(app, authenticator)
    add_health(app, registry, ready)

    @app.get("/v1/clocks", tags=["clocks"])
    async def clocks(
        who: Reader,
        vendor: Annotated[str | None, Query(description="only this vendor's")] = None,
        case: Annotated[str | None, Query(description="only this case's")] = None,
        state: Annotated[str | None, Query(description="running, paused, met, breached, breached_closed, cancelled or skipped")] = None,
        limit: Annotated[int, Query(ge=1, le=LINES_MAX)] = 100,
    ) -> dict[str, Any]:
        """Clocks of the vendors this evaluator owns, as lines of `cases.ndjson`, by agreement, objective, vendor and case."""
        found: list[CaseLine] = []
        for partition in partitions().values():
            for line in partition.engine.case_lines():
                mine = who.may_act_for(line.vendor) and vendor in (None, line.vendor)
                if mine and case in (None, line.case) and state in (None, line.view.state):
                    found.append(line)
            await asyncio.sleep(0)  # the pipeline shares this loop
        found.sort(key=lambda line: (line.agreement, line.objective, line.vendor, line.service, line.case, line.cycle))
        return {"clocks": [case_line(line) for line in found[:limit]], "total": len(found)}

    return app
