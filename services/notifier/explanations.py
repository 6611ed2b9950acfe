"""Asks the evaluators why a clock stands as it does: its pauses, and the events that moved it."""

from typing import Any, Final, Literal, Self

import httpx2
import msgspec
import structlog

from shared.ports.ledger import BreachRow
from shared.sla.instants import parse_instant

TIMEOUT_S: Final = 1.0  # a page waits no longer
Missing = Literal["off", "away", "gone"]  # no token is set; no evaluator answers; the case has left their memory
log = structlog.get_logger()


class Pause(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to", "worked_s": "s"}):
    """A stretch that does not count. `worked_s`: how much of it is working time, in seconds."""

    start: str
    end: str
    worked_s: float
    why: str

    @property
    def span(self) -> tuple[int, int]:
        """From when to when (ms)."""
        return parse_instant(self.start), parse_instant(self.end)


class Step(msgspec.Struct, frozen=True):
    """What happened to the clock, by which event; none: by the agreement or by time."""

    at: str
    what: str
    event: str | None
    note: str

    @property
    def instant(self) -> int:
        """When (ms)."""
        return parse_instant(self.at)


class Explanation(msgspec.Struct, frozen=True):
    """One cycle of a clock; `cycle` is None where no clock began."""

    cycle: int | None
    pauses: list[Pause]
    steps: list[Step]


class _Answer(msgspec.Struct, frozen=True):
    explained: list[Explanation]


class _Elsewhere(msgspec.Struct, frozen=True):
    owner: str


class Explanations:
    """Asks at `url`, and once more whoever is said there to have the vendor."""

    def __init__(self, url: str, token: str, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """`token`: of role viewer; empty: nobody is asked."""
        self._url, self._token = url.rstrip("/"), token
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False, headers=headers, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *wrong: object) -> None:
        await self._http.aclose()

    async def of(self, breach: BreachRow) -> Explanation | Missing:
        """Of the breach's clock; or why there is none."""
        if not self._token:
            return "off"
        asked = {
            "vendor": breach.vendor,
            "service": breach.service,
            "case": breach.case or "",
            "agreement": breach.agreement,
            "objective": breach.objective,
        }
        try:
            answer = await self._ask(self._url, asked)
            if answer.status_code == 421:
                answer = await self._ask(msgspec.json.decode(answer.content, type=_Elsewhere).owner.rstrip("/"), asked)
            if answer.status_code == 404:
                return "gone"
            answer.raise_for_status()
            cycles = msgspec.json.decode(answer.content, type=_Answer).explained
        except (httpx2.HTTPError, httpx2.InvalidURL, msgspec.DecodeError) as wrong:
            log.warning("the evaluator does not explain", breach=breach.breach_id, error=str(wrong) or type(wrong).__name__)
            return "away"
        return next((one for one in cycles if one.cycle == breach.cycle), "gone")

    async def _ask(self, url: str, asked: dict[str, Any]) -> httpx2.Response:
        return await self._http.get(f"{url}/v1/explain", params=asked)
