"""The book of one windowed objective for one (vendor, service): which windows there are, what was stated, what must be stated now.

    |---- provisional ----|---- provisional ----|-- at risk? --
    first event's window                        ^ the current one: said at its end + grace

All instants and durations are milliseconds.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from shared.sla.books import HELD, Moment, Outcome, Schedule, Timer
from shared.sla.breaches import Place, Standing
from shared.sla.burning import BurnWatch, Count
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER, format_instant
from shared.sla.intervals import Interval
from shared.sla.level_rules import LevelRules
from shared.sla.measures import Measured, as_number
from shared.sla.meters import DowntimeMeter, Key, Mark, MarkMeter, Outlook, Touched
from shared.sla.statements import Statement
from shared.sla.windows import Span, Timetable

Window = Span[LevelRules]


class LevelLine(msgspec.Struct):
    """One line of `levels.ndjson`; instants in ms, numbers as JSON shows them."""

    agreement: str
    version: int
    objective: str
    vendor: str
    service: str
    window_start: int
    window_end: int
    good: int | float | None
    total: int | float | None
    value: int | float | None
    target: int | float | None
    state: str
    provisional: bool
    approximate: bool


class LevelNow(NamedTuple):
    """A level as it stands in its current window, in floats: to be shown, never to be judged by."""

    place: Place
    target: float
    value: float | None
    is_kept: bool
    budget_left: float | None  # share of the error budget; below 0: overdrawn; None: a level that has none
    burn_rates: dict[str, float]  # by window, such as 1h: how many times too fast the budget burns


def line_of(place: Place, window: Window, measured: Measured, state: str, *, provisional: bool) -> LevelLine:
    """A window's line."""
    return LevelLine(
        *(place.agreement, window.rules.version, place.objective, place.vendor, place.service, window.start, window.end),
        good=as_number(measured.good),
        total=as_number(measured.total),
        value=as_number(measured.value),
        target=as_number(window.rules.goal.value),
        state=state,
        provisional=provisional,
        approximate=measured.approximate,
    )


def level_statement(
    place: Place, kind: str, instant: int, window: Window, measured: Measured, standing: Standing, now: Moment, *marks: str, **told: Any
) -> Statement:
    """A statement of type `kind` about a window's level; `marks` and `told` as in `Place.statement`."""
    start, end, rules = window
    detail: dict[str, Any] = {
        "kind": type(rules.objective).__struct_config__.tag,
        "window_start": format_instant(start),
        "window_end": format_instant(end),
        "good": as_number(measured.good),
        "total": as_number(measured.total),
        "value": as_number(measured.value),
        "target": as_number(rules.goal.value),
        **told.pop("detail", {}),
    }
    if measured.approximate:
        detail["approximate"] = True
    instance = (format_instant(start), format_instant(end))
    return place.statement(kind, instant, instance, standing, rules, now, *marks, started=start, due=end, detail=detail, **told)


def risks_of(rules: LevelRules, outlook: Outlook) -> Iterator[tuple[str, str]]:
    """(label, cause) of why an open window is at risk, if it is; the label is empty but for what `warn_at` wrote."""
    if outlook.is_lost:
        yield "", "can_no_longer_be_met"
    elif outlook.forecast is not None and not rules.goal.is_met(outlook.forecast):
        yield "", "forecast"
    for warn in rules.warnings:
        by_share = warn.share is not None and outlook.used is not None and outlook.used >= warn.share
        by_lead = warn.lead is not None and outlook.left is not None and outlook.left <= warn.lead
        if by_share or by_lead:
            yield warn.label, "budget_used"


class LevelBook(ABC):
    """What period, tumbling and rolling windows share: the measure, the evidence refused, burn rates."""

    def __init__(self, place: Place, timetable: Timetable[LevelRules], *, is_availability: bool) -> None:
        self.place = place
        self.agreement, self.objective = place.agreement, place.objective
        self.timetable = timetable
        self.excluded: set[tuple[str, str]] = set()  # evidence that came too late, or awaits review
        self.kept: tuple[Evidence, ...] = ()  # superseded by such evidence, and so still standing
        self.first: int | None = None  # the time of the first event of the (vendor, service)
        self.downtime = DowntimeMeter(timetable) if is_availability else None
        self.marks = MarkMeter(timetable)
        self.meter: MarkMeter | DowntimeMeter = self.downtime or self.marks
        self.burn = BurnWatch()
        self._bad: list[tuple[LevelRules, Interval]] = []  # where something bad lies that was not yet looked at
        self.marks.listener = self._noticed

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.marks.listener = self._noticed

    # -- evidence ------------------------------------------------------------------------------------------------

    def begin(self, now: Moment, schedule: Schedule) -> list[Statement]:
        """A version was activated: the windows go on, if they had ended."""
        return []

    def take(
        self, event: Evidence, events: Sequence[Evidence], first: int, now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Fold one more piece of evidence; `events` is all of its case's, this one included (if it is of this case).

        `first` is the time of the first event of the (vendor, service); `superseded` is what it replaces here; it is in `events` no more.
        """
        moved = self._begin_at(first, now, schedule)
        self._reach(event.time, now, schedule)
        touched: Touched = []
        if superseded is not None:
            touched = self.meter.refold(superseded.case, self._counted(superseded.case, events), event)
        elif event.type in self.timetable.editions.types or self.meter.follows(event.case):
            touched = self.meter.fold(event, self._counted(event.case, events))
        if not touched and not moved:
            return []
        refused = self._refused(touched, event, event.time if superseded is None else min(event.time, superseded.time), now)
        if refused is not None:
            self.excluded.add(event.key)
            if superseded is not None:
                self.kept += (superseded,)
            case = event.case if superseded is None else superseded.case
            self.meter.refold(case, self._counted(case, events), event)
        return (refused or []) + self._judge(touched + moved, (event.id,), now, schedule) + self._watch(touched, now, schedule)

    def restate(self, now: Moment, schedule: Schedule) -> list[Statement]:
        """Forget the evidence, which is about to be told again under other versions; what stands stated is kept, to be compared."""
        self._forget()
        return []

    def _forget(self) -> None:
        self.first = None
        self.downtime = None if self.downtime is None else DowntimeMeter(self.timetable)
        self.marks = MarkMeter(self.timetable)
        self.marks.listener = self._noticed
        self.meter = self.downtime or self.marks
        self.burn = BurnWatch()

    def _begin_at(self, first: int, now: Moment, schedule: Schedule) -> Touched:
        """The first event has moved, or is seen for the first time: the time for which windows come or go."""
        before, self.first = self.first, first
        return [] if before is None or before == first else [(min(first, before), max(first, before) + 1)]

    def _counted(self, case: str, events: Sequence[Evidence]) -> Sequence[Evidence]:
        if not self.excluded:
            return events
        return [e for e in (*self.kept, *events) if e.key not in self.excluded and e.case == case]

    def hear(self, case: str, objective: str, outcomes: Mapping[Key, Outcome], now: Moment, schedule: Schedule) -> list[Statement]:
        """Outcomes of a case's clocks, or of a slot, under another objective have changed; those it does not count are left out."""
        counted = {key: outcome for key, outcome in outcomes.items() if self._counts(objective, outcome)}
        before = self.marks.heard(case)
        if counted == before:
            return []
        touched = self.marks.hear(case, counted)
        if self._refused(touched, None, now.log_time, now) is not None:
            self.marks.hear(case, before)
            return []
        return self._judge(touched, (), now, schedule) + self._watch(touched, now, schedule)

    def _counts(self, objective: str, outcome: Outcome) -> bool:
        span = self.timetable.at(outcome.instant)
        return span is not None and span.rules.of == objective

    # -- cases that leave ----------------------------------------------------------------------------------------

    @property
    def has_let_go(self) -> bool:
        """Whether it counts evidence of cases that have left, which cannot be told again."""
        return self.meter.has_let_go or self.marks.has_let_go

    def follows(self, case: str) -> bool:
        """Whether it is to be told of all evidence of a case."""
        return self.meter.follows(case)

    def is_open(self, case: str) -> bool:
        """Whether a case is down, or excluded, until its own evidence ends that."""
        return self.downtime is not None and self.downtime.is_open(case)

    def cases(self) -> set[str]:
        """Cases in memory, and slots, that count for anything here."""
        return self.marks.cases() | (set() if self.downtime is None else self.downtime.cases())

    def let_go(self, case: str) -> None:
        """A case leaves memory: what it counted for stays, for good."""
        self.marks.let_go(case)
        if self.downtime is not None:
            self.downtime.let_go(case)

    # -- burn rates ----------------------------------------------------------------------------------------------

    def _noticed(self, rules: LevelRules, mark: Mark, sign: int) -> None:
        self.burn.count(rules, mark.instant, mark.value is False, sign)
        if mark.value is False:
            self._bad.append((rules, (mark.instant, mark.instant + 1)))

    def _watch(self, touched: Touched, now: Moment, schedule: Schedule) -> list[Statement]:
        """Arm the timers of burn rates, where something bad has happened."""
        if self.downtime is not None:
            for start, end in touched:
                span = self.timetable.following(start)  # what is down when the agreement begins is down
                if span is not None and span.rules.burn:
                    self._bad.append((span.rules, (max(start, span.start), end)))
        for rules, (start, end) in self._bad:
            for number, edge in self.burn.edges(rules, start, end, now.log_time - rules.grace):
                self._wait(f"burn {number}", edge, edge, rules, now, schedule)
        self._bad.clear()
        return []

    def _look(self, number: int, edge: int, now: Moment, schedule: Schedule) -> list[Statement]:
        span = self.timetable.at(edge - 1)
        if span is None:
            return []
        rules = span.rules
        goes_on = None if self.downtime is None else self.downtime.goes_on(edge, rules.calendar)
        onset, again = self.burn.look(rules, number, edge, self._downtime_count(edge), goes_on)
        if again is not None:
            self._wait(f"burn {number}", again, again, rules, now, schedule)
        if onset is None:
            return []
        window, standing = self._current(edge)
        pair = onset.pair
        label = f"{pair.factor}x over {_short(pair.long)} and {_short(pair.short)}"
        measured = self.meter.measure(window.start, window.end, rules, edge)
        told = {"state": "burning", "severity": pair.severity, "cause": "burn_rate", "detail": {"threshold": label}}
        evidence = self.meter.evidence(edge - pair.short, edge)
        marks = (label, format_instant(edge))
        kind = "slawatch.level.burning"
        return [level_statement(self.place, kind, edge, window, measured, standing, now, *marks, evidence=evidence, **told)]

    def _downtime_count(self, as_of: int) -> Count | None:
        """How burn rates count downtime; None: they count marks."""
        downtime = self.downtime
        if downtime is None:
            return None

        def count(start: int, end: int, rules: LevelRules) -> tuple[int, int]:
            return downtime.lost(start, end, rules.calendar, as_of), downtime.total(start, end, rules.calendar, as_of)

        return count

    # -- to be shown ---------------------------------------------------------------------------------------------

    def now(self, log_time: int) -> LevelNow | None:
        """The level as it stands at the end of log time; None where there is none."""
        span = None if self.first is None else self.timetable.at(log_time)
        window = None if span is None else self._window_of(span)
        if window is None:
            return None
        start, end, rules = window
        value = self.meter.measure(start, end, rules, log_time).value
        used = None if value is None or rules.aggregate is not None else rules.used(1 - value)
        rates = self.burn.rates(rules, log_time, self._downtime_count(log_time))
        return LevelNow(
            self.place,
            float(rules.goal.value),
            None if value is None else float(value),
            value is not None and rules.goal.is_met(value),
            None if used is None else float(1 - used),
            {_short(length): float(rate) for length, rate in rates},
        )

    def _window_of(self, span: Window) -> Window | None:
        """The window that a span of the grid stands for."""
        return span

    # -- timers --------------------------------------------------------------------------------------------------

    def _wait(self, what: str, start: int, instant: int, rules: LevelRules, now: Moment, schedule: Schedule) -> int:
        """Arm a timer; `start` tells which window or edge it is of. The instant that it speaks of."""
        timer = now.timer(instant, rules.grace, (*self.place, str(start)), what)
        schedule(timer, self)
        return timer.instant

    def fire(self, timer: Timer, now: Moment, schedule: Schedule) -> list[Statement]:
        """A timer has fired; one that no longer holds does nothing."""
        start = int(timer.key[4])
        if timer.what.startswith("burn"):
            return self._look(int(timer.what.split()[1]), start, now, schedule)
        return self._fire(timer, start, now, schedule)

    # -- what windows differ in ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def reached(self) -> Interval:
        """The span for whose instants `_reach` does nothing."""

    @abstractmethod
    def _reach(self, instant: int, now: Moment, schedule: Schedule) -> None:
        """An event of the (vendor, service) happened: there are windows up to then."""

    @abstractmethod
    def _refused(self, touched: Touched, event: Evidence | None, since: int, now: Moment) -> list[Statement] | None:
        """Statements in place of a change that may not be made; None: go on. `since`: from when on evidence changes what is known."""

    @abstractmethod
    def _judge(self, touched: Touched, evidence: tuple[str, ...], now: Moment, schedule: Schedule) -> list[Statement]:
        """State the difference that changes make, and arm the timers."""

    @abstractmethod
    def _current(self, edge: int) -> tuple[Window, Standing]:
        """The window that an edge closes or lies in, and what stands stated about it."""

    @abstractmethod
    def _fire(self, timer: Timer, start: int, now: Moment, schedule: Schedule) -> list[Statement]:
        """A timer of its own."""

    @abstractmethod
    def lines(self, log_time: int) -> Iterator[LevelLine]:
        """The lines of `levels.ndjson`, in order of the windows."""


class _Entry:
    """A window in the book."""

    __slots__ = ("decided_at", "look", "measured", "standing", "state", "told", "window")

    def __init__(self, window: Window) -> None:
        self.window, self.standing = window, Standing()
        self.state: str | None = None  # met, breached, no_data; None: not yet stated
        self.measured: Measured | None = None  # as stated
        self.decided_at = 0
        self.told: set[str] = set()  # labels of the risks that were told
        self.look: int | None = None  # the instant at which its risk is looked at again


class WindowBook(LevelBook):
    """Contract periods and tumbling windows: each is stated once it has ended, and again when late evidence changes it."""

    def __init__(self, place: Place, timetable: Timetable[LevelRules], *, is_availability: bool) -> None:
        super().__init__(place, timetable, is_availability=is_availability)
        self._entries: dict[int, _Entry] = {}  # by start
        self._starts: list[int] = []
        self._inherited: dict[tuple[int, int], Standing] = {}  # what stood stated before a restatement

    # -- which windows there are ---------------------------------------------------------------------------------

    def begin(self, now: Moment, schedule: Schedule) -> list[Statement]:
        if self._starts and self.first is not None:
            self._follow(self._entries[self._starts[-1]].window.end, now, schedule)
        return []

    def restate(self, now: Moment, schedule: Schedule) -> list[Statement]:
        self._forget()
        old, said = self._entries, list[Statement]()
        self._entries, self._starts = {}, []
        for entry in old.values():
            start, end, _ = entry.window
            span = self.timetable.at(start)
            if span is not None and (span.start, span.end) == (start, end):
                self._inherited[start, end] = entry.standing
                continue
            if entry.measured is not None:  # there is no such window any more
                kinds = entry.standing.bring_to(None, None, now)
                said += [self._say(entry, kind, end, entry.measured, now, state="retracted") for kind in kinds]
        return said

    @property
    def reached(self) -> Interval:
        return (self._starts[0], self._entries[self._starts[-1]].window.end) if self._starts else (FOREVER, FOREVER)

    def _reach(self, instant: int, now: Moment, schedule: Schedule) -> None:
        if not self._starts:
            self._open(self.timetable.following(instant), now, schedule)
            return
        first, last = self._entries[self._starts[0]].window, self._entries[self._starts[-1]].window
        span = self.timetable.following(instant) if instant < first.start else None
        while span is not None and span.start < first.start:  # earlier evidence: windows from there on
            self._open(span, now, schedule)
            span = self.timetable.following(span.end)
        following: Window | None = last
        while following is not None and instant >= following.end:
            following = self._follow(following.end, now, schedule)

    def _follow(self, end: int, now: Moment, schedule: Schedule) -> Window | None:
        span = self.timetable.following(end)
        self._open(span, now, schedule)
        return span

    def _open(self, span: Window | None, now: Moment, schedule: Schedule) -> None:
        if span is None or span.start in self._entries:
            return
        entry = self._entries[span.start] = _Entry(span)
        entry.standing = self._inherited.pop((span.start, span.end), entry.standing)
        insort(self._starts, span.start)
        self._wait("close", span.start, span.end, span.rules, now, schedule)

    def _over(self, touched: Touched) -> list[_Entry]:
        """The windows that lie over some time, in order, each once."""
        if len(touched) == 1:  # as most are
            return self._between(*touched[0])
        found = {entry.window.start: entry for interval in touched for entry in self._between(*interval)}
        return [found[start] for start in sorted(found)]

    def _between(self, start: int, end: int) -> list[_Entry]:
        starts, entries = self._starts, self._entries
        some = starts[max(bisect_right(starts, start) - 1, 0) : bisect_left(starts, end)]
        return [entry for at in some if (entry := entries[at]).window.end > start]

    def _is_needed(self, entry: _Entry) -> bool:
        return self.first is not None and entry.window.end > self.first

    # -- what is stated ------------------------------------------------------------------------------------------

    def _measure(self, entry: _Entry) -> Measured:
        window = entry.window
        return self.meter.measure(window.start, window.end, window.rules)

    @staticmethod
    def _is_past(entry: _Entry, now: Moment) -> bool:
        return now.log_time > entry.decided_at + entry.window.rules.horizon

    def _refused(self, touched: Touched, event: Evidence | None, since: int, now: Moment) -> list[Statement] | None:
        for entry in self._over(touched):
            if entry.state is None or self._measure(entry) == entry.measured:
                continue
            if self._is_past(entry, now):
                return []
            if event is None or now.event_mode or now.arrival is None or not entry.standing.is_breach:
                continue
            if now.arrival - since > entry.window.rules.agreement.max_lateness:
                return self._contested(entry, event, now)
        return None

    def _contested(self, entry: _Entry, event: Evidence, now: Moment) -> list[Statement]:
        assert entry.measured is not None
        statement = self._say(entry, "slawatch.breach.contested", event.time, entry.measured, now, evidence=(event.id,))
        return [statement] if entry.standing.is_once(statement) else []

    def _judge(self, touched: Touched, evidence: tuple[str, ...], now: Moment, schedule: Schedule) -> list[Statement]:
        said: list[Statement] = []
        for entry in self._over(touched):
            if entry.state is None:
                said += self._risk(entry, now.log_time, evidence, now, schedule)
            else:
                said += self._state(entry, evidence, now, schedule)
        return said

    def _state(self, entry: _Entry, evidence: tuple[str, ...], now: Moment, schedule: Schedule) -> list[Statement]:
        """State a window that has ended, or what has changed in it."""
        window, measured = entry.window, self._measure(entry)
        state = window.rules.state(measured) if self._is_needed(entry) else "no_data"
        if entry.state is not None and measured == entry.measured and state == entry.state:
            return []
        said: list[Statement] = []
        is_first, entry.state, entry.measured = entry.state is None, state, measured
        shown = (measured.good, measured.total, measured.value)
        for kind in entry.standing.bring_to("breached" if state == "breached" else None, shown, now):
            told = evidence or self.meter.evidence(window.start, window.end)
            said.append(self._say(entry, kind, window.end, measured, now, state=state, cause="level", evidence=told))
        if said and state == "breached":
            final = now.decided_at + window.rules.horizon
            schedule(Timer(final, final, (*self.place, str(window.start)), "final"), self)
        if state != "breached" and self._is_needed(entry):
            statement = self._say(entry, f"slawatch.level.{state}", window.end, measured, now, state=state, evidence=evidence)
            if entry.standing.is_once(statement):
                said.append(statement)
        if said or is_first:
            entry.decided_at = now.decided_at
        return said

    def _say(self, entry: _Entry, kind: str, instant: int, measured: Measured, now: Moment, *marks: str, **told: Any) -> Statement:
        provisional = not kind.endswith(".final")
        return level_statement(
            self.place, kind, instant, entry.window, measured, entry.standing, now, *marks, provisional=provisional, **told
        )

    def _risk(self, entry: _Entry, instant: int, evidence: tuple[str, ...], now: Moment, schedule: Schedule) -> list[Statement]:
        """Say that an open window is at risk, once for each reason; and look again when it may get worse by itself."""
        window = entry.window
        if len(entry.told) > len(window.rules.warnings) or now.log_time - window.rules.grace >= window.end:
            return []
        outlook = self._outlook(entry, now.log_time)
        said: list[Statement] = []
        for label, cause in risks_of(window.rules, outlook):
            if label not in entry.told:
                entry.told.add(label)
                detail = {"threshold": label} if label else {}
                measured = self.meter.measure(window.start, window.end, window.rules, now.log_time - window.rules.grace)
                marks = (label,) if label else ()
                told = {"state": "at_risk", "cause": cause, "evidence": evidence or self.meter.evidence(*window[:2]), "detail": detail}
                statement = self._say(entry, "slawatch.level.at_risk", instant, measured, now, *marks, **told)
                if entry.standing.is_once(statement):
                    said.append(statement)
        if outlook.look_again is not None and outlook.look_again != entry.look:
            entry.look = self._wait("risk", window.start, outlook.look_again, window.rules, now, schedule)
        return said

    def _outlook(self, entry: _Entry, log_time: int) -> Outlook:
        start, end, rules = entry.window
        return self.meter.outlook(start, end, rules, log_time - rules.grace, log_time)

    # -- timers --------------------------------------------------------------------------------------------------

    def _fire(self, timer: Timer, start: int, now: Moment, schedule: Schedule) -> list[Statement]:
        entry = self._entries.get(start)
        if entry is None:
            return []
        if timer.what in ("close", HELD + "close") and entry.state is None:
            said = self._state(entry, (), now, schedule) if timer.what == "close" else []
            self._follow(entry.window.end, now, schedule)
            return said
        if timer.what == "risk" and entry.state is None and entry.look == timer.instant:
            entry.look = None
            return self._risk(entry, timer.instant, (), now, schedule)
        if timer.what == "final" and entry.standing.is_breach and entry.measured is not None:
            if timer.instant != entry.standing.decided_at + entry.window.rules.horizon:
                return []
            statement = self._say(entry, "slawatch.breach.final", timer.instant, entry.measured, now, state="breached")
            return [statement] if entry.standing.is_once(statement) else []
        return []

    def _current(self, edge: int) -> tuple[Window, Standing]:
        entry = self._over([(edge - 1, edge)])[0]
        return entry.window, entry.standing

    # -- reports -------------------------------------------------------------------------------------------------

    def lines(self, log_time: int) -> Iterator[LevelLine]:
        for start in self._starts:
            entry = self._entries[start]
            window = entry.window
            if not self._is_needed(entry):
                continue
            if entry.state is not None and entry.measured is not None:
                provisional = log_time <= entry.decided_at + window.rules.horizon
                yield line_of(self.place, window, entry.measured, entry.state, provisional=provisional)
            elif any(risks_of(window.rules, self._outlook(entry, log_time))):
                measured = self.meter.measure(window.start, window.end, window.rules, log_time - window.rules.grace)
                yield line_of(self.place, window, measured, "at_risk", provisional=True)


def _short(length: int) -> str:
    """5m, 1h, 3d."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if length % size == 0:
            return f"{length // size}{unit}"
    return f"{length // 1000}s"
