"""Silences, and who is on duty: what people do about alerts before and beside single breaches."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from services.notifier.alerts import Desk
from services.notifier.cases import RESPONDERS
from services.notifier.views import Body
from shared.alerting.groups import Silence
from shared.alerting.terms import BREACH, Match
from shared.ports.alerts import Alerts, StoredOverride, StoredSilence
from shared.ports.credentials import Credential
from shared.ports.ledger import Actor
from shared.ports.time import TimeSource
from shared.runtime import problems
from shared.runtime.auth import require_role
from shared.runtime.problems import Problem
from shared.sla.instants import DAY, HOUR, format_instant, from_datetime

LOOKERS: Final = ("viewer", *RESPONDERS)  # silences speak of all vendors
LENGTH_MAX: Final = 366 * DAY
SNOOZE: Final = 2 * HOUR
_ERRORS: Final = problems.responses(
    s401="no acceptable token", s403="a role that may not do this", s422="not acceptable", s503="the ledger is away: see Retry-After"
)
_ERRORS_ONE: Final = _ERRORS | problems.responses(s404="there is none such")


class Turn(NamedTuple):
    """Who is on duty in a rota now, until when (ms), and who comes then."""

    rota: str
    person: str
    until: int
    then: str


class Silences:
    """Makes and ends silences."""

    def __init__(self, alerts: Alerts, time: TimeSource) -> None:
        self._alerts, self._time = alerts, time

    async def add(self, match: Match, starts_at: int | None, ends_at: int, by: str, reason: str) -> Silence:
        """From `starts_at` (None: now) until before `ends_at` (ms). Raises ValueError where that is no time, LedgerUnavailable."""
        now = self._time.wall()
        begin = now if starts_at is None else starts_at
        if not max(begin, now) < ends_at <= begin + LENGTH_MAX:
            raise ValueError("a silence ends in the future, after it begins, within a year")
        if not match.labels:
            raise ValueError("a silence names at least one label")
        silence = Silence(id=secrets.token_hex(8), match=match, starts_at=begin, ends_at=ends_at, author=by, reason=reason)
        await self._alerts.silence(silence)
        return silence

    async def snooze(self, breach_id: str, by: Actor) -> bool:
        """Nobody hears of one breach for two hours. Raises LedgerUnavailable."""
        await self.add(Match(labels={BREACH: (breach_id,)}), None, self._time.wall() + SNOOZE, by.name, "snoozed")
        return True

    async def end(self, silence_id: str, by: str) -> StoredSilence | None:
        """End it now; None where there is none. Raises LedgerUnavailable."""
        return await self._alerts.unsilence(silence_id, by, self._time.wall())

    async def all(self, *, over: bool = False, limit: int = 200) -> list[StoredSilence]:
        """Those that are not over, or those that are. Raises LedgerUnavailable."""
        return await self._alerts.silences(self._time.wall(), over=over, limit=limit)


class Rotas:
    """Who is on duty, and who stands in."""

    def __init__(self, desk: Desk, alerts: Alerts, time: TimeSource) -> None:
        self._desk, self._alerts, self._time = desk, alerts, time

    async def now(self) -> list[Turn]:
        """Every rota. Raises LedgerUnavailable."""
        await self._desk.refresh()
        alerting, now = self._desk.routes.alerting, self._time.wall()
        if alerting is None:
            return []
        turns = []
        for name, duty in alerting.duties.items():
            until = duty.next_change(now)
            turns.append(Turn(name, duty.on_duty(now), until, duty.on_duty(until)))
        return turns

    async def overrides(self) -> list[StoredOverride]:
        """Those that are not over. Raises LedgerUnavailable."""
        return await self._alerts.overrides(self._time.wall())

    async def override(self, rota: str, person: str, starts_at: int, ends_at: int, by: str) -> StoredOverride:
        """Somebody stands in. Raises ValueError where the routing does not know them or it is no time, LedgerUnavailable."""
        alerting = self._desk.routes.alerting
        if alerting is None or rota not in alerting.routing.rotas:
            raise ValueError(f"there is no rota {rota[:80]!r}")
        if person not in alerting.routing.people:
            raise ValueError(f"there is no person {person[:80]!r}")
        if not max(starts_at, self._time.wall()) < ends_at <= starts_at + LENGTH_MAX:
            raise ValueError("it ends in the future, after it begins, within a year")
        made = StoredOverride(secrets.token_hex(8), rota, person, starts_at, ends_at, by)
        await self._alerts.override(made)
        await self._desk.refresh()
        return made

    async def remove(self, override_id: str) -> bool:
        """Take it back; False where there is none. Raises LedgerUnavailable."""
        removed = await self._alerts.remove_override(override_id)
        await self._desk.refresh()
        return removed


# ---- the API

Pattern = Annotated[str, Field(max_length=500)]
Patterns = Annotated[list[Pattern], Field(max_length=50), BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]
Labels = dict[Annotated[str, Field(min_length=1, max_length=100)], Patterns]


class Wish(Body):
    """A silence to be made."""

    match: Labels = Field(description="label to texts of which it is one (or one text); * stands for any", min_length=1, max_length=20)
    but_not: Labels = Field(default_factory=dict, description="label to texts of which it is none", max_length=20)
    starts_at: AwareDatetime | None = Field(default=None, description="left out: now")
    ends_at: AwareDatetime
    reason: str = Field(min_length=1, max_length=500)


class SilenceOut(BaseModel):
    """A silence. `active`: it holds now."""

    id: str
    match: dict[str, list[str]]
    but_not: dict[str, list[str]]
    starts_at: str
    ends_at: str
    active: bool
    author: str
    reason: str
    ended_by: str | None = Field(description="who ended it before its time")


class SilencesOut(BaseModel):
    silences: list[SilenceOut]


class OverrideWish(Body):
    """Somebody who is to stand in."""

    person: str = Field(max_length=200)
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class OverrideOut(BaseModel):
    id: str
    rota: str
    person: str
    starts_at: str
    ends_at: str
    author: str


class RotaOut(BaseModel):
    """Who is on duty, until when, and who comes then."""

    rota: str
    person: str
    until: str
    then: str


class RotasOut(BaseModel):
    rotas: list[RotaOut]
    overrides: list[OverrideOut]


def _listed(labels: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(values) for name, values in labels.items()}


def _tupled(labels: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in labels.items()}


def _silence_out(stored: StoredSilence, now: int) -> SilenceOut:
    silence = stored.silence
    return SilenceOut(
        id=silence.id,
        match=_listed(silence.match.labels),
        but_not=_listed(silence.match.but_not),
        starts_at=format_instant(silence.starts_at),
        ends_at=format_instant(silence.ends_at),
        active=silence.starts_at <= now < silence.ends_at,
        author=silence.author,
        reason=silence.reason,
        ended_by=stored.ended_by,
    )


def _override_out(stored: StoredOverride) -> OverrideOut:
    return OverrideOut(**stored._asdict() | {"starts_at": format_instant(stored.starts_at), "ends_at": format_instant(stored.ends_at)})


def _instant(value: datetime | None) -> int | None:
    return None if value is None else from_datetime(value)


def _refused(wrong: ValueError) -> Problem:
    return Problem(422, "invalid", "Not acceptable", str(wrong))


def routes(silences: Silences, rotas: Rotas, time: TimeSource) -> APIRouter:
    """`/v1/silences` and `/v1/rotas`."""
    router = APIRouter(tags=["alerts"])
    looker, responder = Depends(require_role(*LOOKERS)), Depends(require_role(*RESPONDERS))

    @router.get("/v1/silences", summary="List silences", responses=_ERRORS)
    async def list_silences(
        _credential: Annotated[Credential, looker],
        over: Annotated[bool, Query(description="those that are over")] = False,
        limit: Annotated[int, Query(ge=1, le=500)] = 200,
    ) -> SilencesOut:
        """Those that hold or are yet to begin, the first to end first."""
        return SilencesOut(silences=[_silence_out(each, time.wall()) for each in await silences.all(over=over, limit=limit)])

    @router.post("/v1/silences", summary="Make a silence", status_code=201, responses=_ERRORS)
    async def add_silence(wish: Wish, credential: Annotated[Credential, responder]) -> SilenceOut:
        """Nobody is told of matching alerts until it ends; then those that are still open are told at once."""
        match = Match(labels=_tupled(wish.match), but_not=_tupled(wish.but_not))
        try:
            made = await silences.add(match, _instant(wish.starts_at), from_datetime(wish.ends_at), credential.name, wish.reason)
        except ValueError as wrong:
            raise _refused(wrong) from None
        return _silence_out(StoredSilence(made, None), time.wall())

    @router.delete("/v1/silences/{silence_id}", summary="End a silence", responses=_ERRORS_ONE)
    async def end_silence(silence_id: str, credential: Annotated[Credential, responder]) -> SilenceOut:
        """Now; it stays on record. One that is over already stays as it is."""
        ended = await silences.end(silence_id, credential.name)
        if ended is None:
            raise Problem(404, "no-such-silence", "No such silence", f"there is no silence {silence_id[:80]!r}")
        return _silence_out(ended, time.wall())

    @router.get("/v1/rotas", summary="Who is on duty", responses=_ERRORS)
    async def list_rotas(_credential: Annotated[Credential, looker]) -> RotasOut:
        """Of every rota of the Routing file: now, and after the next hand-over; with those who stand in."""
        turns = [RotaOut(**turn._asdict() | {"until": format_instant(turn.until)}) for turn in await rotas.now()]
        return RotasOut(rotas=turns, overrides=[_override_out(each) for each in await rotas.overrides()])

    @router.post("/v1/rotas/{rota}/overrides", summary="Let somebody stand in", status_code=201, responses=_ERRORS)
    async def add_override(rota: str, wish: OverrideWish, credential: Annotated[Credential, responder]) -> OverrideOut:
        """On top of those in the Routing file; the last one made holds."""
        begin, end = from_datetime(wish.starts_at), from_datetime(wish.ends_at)
        try:
            return _override_out(await rotas.override(rota, wish.person, begin, end, credential.name))
        except ValueError as wrong:
            raise _refused(wrong) from None

    @router.delete("/v1/rotas/overrides/{override_id}", summary="Take a stand-in back", status_code=204, responses=_ERRORS_ONE)
    async def remove_override(override_id: str, _credential: Annotated[Credential, responder]) -> None:
        """Of those made here; those in the Routing file stand there."""
        if not await rotas.remove(override_id):
            raise Problem(404, "no-such-override", "No such override", f"there is no override {override_id[:80]!r}")

    return router
