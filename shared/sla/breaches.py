"""What stands stated about one promise, and the statements that bring it up to what is (semantics.md, "Breaches and corrections")."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from shared.sla.books import BREACHED, Moment
from shared.sla.rules import Ruled
from shared.sla.statements import Statement

BreachState = Literal["breached", "breached_closed"]
_OPENS: Final = ("opened", "reopened")


class Place(NamedTuple):
    """One objective as it is owed by one vendor for one service."""

    agreement: str
    objective: str
    vendor: str
    service: str

    def statement(
        self,
        kind: str,
        instant: int,
        instance: tuple[str, ...],
        standing: "Standing",
        rules: Ruled,
        now: Moment,
        *marks: str,
        **told: Any,
    ) -> Statement:
        """A statement of type `kind` about an instance of the promise; `marks` and `told` as in Statement."""
        told = {"state": standing.state or "", "severity": rules.objective.severity, **told}
        return Statement(
            type=kind,
            time=instant,
            instance=instance,
            marks=marks,
            revision=standing.revision,
            agreement=self.agreement,
            version=rules.version,
            objective=self.objective,
            vendor=self.vendor,
            service=self.service,
            case=told.pop("case", None),
            decided_at=now.decided_at,
            **told,
        )


class Standing:
    """What stands stated about one breach id."""

    __slots__ = ("decided_at", "revision", "said", "shown", "state")

    def __init__(self) -> None:
        self.state: Literal["breached", "breached_closed", "retracted"] | None = None  # None: never a breach
        self.revision: int | None = None
        self.shown: object = None  # what the last statement showed: if it differs now, it is amended
        self.decided_at = 0
        self.said: set[str] = set()  # ids of what is said once

    @property
    def is_breach(self) -> bool:
        return self.state in BREACHED

    def is_final(self, horizon: int, now: Moment) -> bool:
        """Whether the time in which it may be corrected is over; a retraction has its time too."""
        return self.state is not None and now.log_time > self.decided_at + horizon

    def is_once(self, statement: Statement) -> bool:
        """Whether a statement was not said before; it is now."""
        if statement.id in self.said:
            return False
        self.said.add(statement.id)
        return True

    def bring_to(self, state: BreachState | None, shown: object, now: Moment) -> Iterator[str]:
        """The types of the breach statements that lead to a state (None: no breach), each with its revision standing while it is taken."""
        for name in self._steps(state, shown):
            self.revision = 0 if self.revision is None else self.revision + 1
            self.decided_at, self.shown = now.decided_at, shown
            self.state = "retracted" if name == "retracted" else "breached" if name in _OPENS else state
            yield f"slawatch.breach.{name}"

    def _steps(self, state: BreachState | None, shown: object) -> tuple[str, ...]:
        if state is None:
            return ("retracted",) if self.is_breach else ()
        if not self.is_breach:
            opening = "opened" if self.state is None else "reopened"
            return (opening,) if state == "breached" else (opening, "closed")
        if self.state != state:
            return ("closed",) if state == "breached_closed" else ("reopened",)
        return ("amended",) if shown != self.shown else ()
