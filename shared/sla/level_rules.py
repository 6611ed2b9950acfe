"""A windowed objective under one version of its agreement, compiled: which events count, for what, and what the level must be."""

from bisect import insort
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from shared.sla.calendars import Calendar
from shared.sla.evidence import Evidence
from shared.sla.measures import Goal, Measured, Number, number_of
from shared.sla.rules import NO_ROLE, CompiledTrigger, CompiledWarn, Data, ObjectiveRules, Role, Unknown, finder, question
from shared.sla.terms import Aggregate, Agreement, Availability, BurnPair, EventsOf, Level, ObjectiveOf, Ratio
from shared.sla.windows import grid_of

ON_EMPTY: Final = {"met": "met", "no_data": "no_data", "breach": "breached"}


def limit_of(pair: BurnPair, budget: Fraction) -> Fraction:
    """The share of bad ones above which a window burns too fast."""
    return Fraction(pair.factor) * budget


class LevelRules(ObjectiveRules[Level]):
    """What ratio, aggregate and availability share."""

    def __init__(self, agreement: Agreement, objective: Level, calendars: dict[str, Calendar], unknown: Unknown) -> None:
        super().__init__(agreement, objective, calendars, unknown)
        self.grid = grid_of(agreement, objective.window, self.zone)
        self.goal = Goal(objective.target)
        self.budget = 1 - self.goal.value
        self.warnings = tuple(CompiledWarn(warn) for warn in objective.warn_at)
        self.burn: tuple[BurnPair, ...] = objective.burn_rate if isinstance(objective, Ratio | Availability) else ()
        self.limits = tuple(limit_of(pair, self.budget) for pair in self.burn)
        self.of = objective.of.objective if isinstance(objective, Ratio) and isinstance(objective.of, ObjectiveOf) else None
        self.aggregate = objective.aggregate if isinstance(objective, Aggregate) else None
        self.grows = self.aggregate in ("sum", "count")  # with the window, and so a forecast is in proportion
        self.is_lost_by_missing = self._cannot_recover()
        events = objective.of if isinstance(objective, Ratio | Aggregate) and isinstance(objective.of, EventsOf) else None
        self._events = None if events is None else CompiledTrigger(events.events, unknown)
        self._counted = frozenset(() if events is None else events.events.on)
        self._good = None if events is None or events.good is None else question(events.good, unknown)
        field = objective.field if isinstance(objective, Aggregate) else None
        self._field = None if field is None else finder(field)
        self.roles: dict[str, list[tuple[Role, bool, CompiledTrigger]]] = {}  # type -> (start or stop, of an exclusion, trigger)
        if isinstance(objective, Availability):
            for role, excludes, trigger in (
                (Role.START, False, objective.down),
                (Role.STOP, False, objective.up),
                (Role.START, True, objective.exclude_from),
                (Role.STOP, True, objective.exclude_to),
            ):
                self._add_role(role, excludes, CompiledTrigger(trigger, unknown), trigger.on)
        self.types = self._counted | self.roles.keys()
        self.reads_case = self.when is not None or bool(self.roles) or (events is not None and events.events.when is not None)

    def _cannot_recover(self) -> bool:
        """Whether a level of marks that misses its goal misses it whatever marks are added."""
        if self.aggregate is None:
            return self.goal.op == ">=" and self.goal.value == 1  # one that is not good spoils it
        return self.aggregate == ("min" if self.goal.wants_more else "max") or (self.aggregate == "count" and not self.goal.wants_more)

    def _add_role(self, role: Role, excludes: bool, trigger: CompiledTrigger, types: Sequence[str]) -> None:
        for event_type in types:
            insort(self.roles.setdefault(event_type, []), (role, excludes, trigger), key=lambda entry: entry[0])

    def rank(self, event: Evidence) -> Role:
        """Its place among events of the same instant."""
        fired = (role for role, _, trigger in self.roles.get(event.type, ()) if trigger.fires(event, event.data))
        return next(fired, NO_ROLE)

    def mark(self, event: Evidence, data: Data) -> bool | Number | None:
        """What an event counts for: good or not, or a number; None: it does not count."""
        if event.type not in self._counted or self._events is None or not self.holds(self._events, event, data):
            return None
        if self._good is not None:
            return self._good(event, event.data)
        if self.aggregate == "count":
            return 1
        return None if self._field is None else number_of(self._field(event, event.data))

    def state(self, measured: Measured) -> str:
        """met, breached or no_data."""
        if measured.value is None or not measured.events:
            return ON_EMPTY[self.objective.on_empty]
        if measured.events < self.objective.min_events:
            return "no_data"
        return "met" if self.goal.is_met(measured.value) else "breached"

    def used_by(self, value: Fraction) -> Fraction | None:
        """The share of the error budget that a ratio uses up by its value, or of what it may come to that an aggregate does."""
        if not self.goal.wants_more and self.goal.value > 0:
            return value / self.goal.value
        return self.used(1 - value) if self.aggregate is None else None

    def used(self, bad: Fraction) -> Fraction | None:
        """The share of the error budget that a share of bad ones uses up; None without a budget."""
        return bad / self.budget if self.goal.wants_more and 0 < self.budget < 1 else None


class Story:
    """One case's evidence in the order that counts, with its data merged so far, as one objective reads it."""

    __slots__ = ("data", "last")

    def __init__(self) -> None:
        self.data: Data = {}
        self.last: int | None = None  # the time of the latest evidence read

    def is_next(self, event: Evidence) -> bool:
        """Whether an event comes after all that was read."""
        return self.last is None or event.time > self.last

    def read(self, event: Evidence) -> Data:
        """The case's data with the next event's."""
        self.last = event.time
        data = event.data
        if data:
            self.data = {**self.data, **data} if self.data else data
        return self.data


def read_next(stories: dict[str, Story], event: Evidence, events: Sequence[Evidence]) -> Data | None:
    """The data of an event's case, where it is the next of its story; None: the case is to be read again, `events` is all of it."""
    story = stories.setdefault(event.case, Story())
    if (len(events) > 1 and story.last is None) or not story.is_next(event):
        return None
    return story.read(event)
