"""What the evidence of one (vendor, service) says about an objective's level, window by window.

    events of a case, in order ──► marks (good or not, numbers) or spells (down, excluded) ──► Measured of any window

Evidence that comes in order adds to what is there; evidence out of order is read again with all of its case.
Both ways end in the same state. All instants are milliseconds.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from math import ceil
from typing import Any, Final, NamedTuple, Protocol

from shared.sla.books import Outcome
from shared.sla.calendars import Calendar
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER, SECOND
from shared.sla.intervals import Interval, Union, WorkedTime, minus
from shared.sla.level_rules import LevelRules, Story, read_next
from shared.sla.measures import Measured, Tally, tally_of
from shared.sla.rules import NO_ROLE, Role, in_order
from shared.sla.windows import Timetable

EVIDENCE_MAX: Final = 100  # ids of events that a statement about a level names

Key = tuple[str, ...]
Touched = list[Interval]  # the time for which the level may have changed


class Mark(NamedTuple):
    """What one event, or one outcome, counts for."""

    instant: int
    value: Any  # bool, int or Decimal
    id: str


class Outlook(NamedTuple):
    """How an open window will end, as it stands; `look_again`: when this may get worse although nothing happens."""

    is_lost: bool  # it can no longer be met
    forecast: Fraction | None
    used: Fraction | None  # share of the error budget; None too where no warning asks for it
    left: int | None  # ms of error budget
    look_again: int | None


NO_OUTLOOK: Final = Outlook(False, None, None, None, None)
Listener = Callable[[LevelRules, Mark, int], None]


class Meter(Protocol):
    """The measure of one objective for one (vendor, service)."""

    def fold(self, event: Evidence, events: Sequence[Evidence]) -> Touched:
        """Take one more piece of evidence; `events` is all of its case's, this one included."""
        ...

    def follows(self, case: str) -> bool:
        """Whether it is to be told of all evidence of a case; of others it is told from the first of which the objective speaks."""
        ...

    def refold(self, case: str, events: Sequence[Evidence], new: Evidence) -> Touched:
        """Take a case's evidence anew, because of `new`."""
        ...

    def measure(self, start: int, end: int, rules: LevelRules, as_of: int = FOREVER) -> Measured:
        """The level of [start, end); what goes on is known up to `as_of`."""
        ...

    def outlook(self, start: int, end: int, rules: LevelRules, as_of: int, log_time: int) -> Outlook:
        """How the open window [start, end) will end."""
        ...

    def evidence(self, start: int, end: int) -> tuple[str, ...]:
        """Ids of events that the level rests on: the bad ones where there are such; at most `EVIDENCE_MAX`, the earliest."""
        ...


class _Cell:
    """The marks of one window, or of one bucket of a rolling one."""

    __slots__ = ("for_good", "marks", "tally")

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.marks: dict[Key, Mark] = {}  # that may go again
        self.for_good: list[tuple[int, str]] = []  # (instant, id) of the earliest other marks that are evidence

    def let_go(self, key: Key) -> None:
        """A mark counts for good."""
        mark = self.marks.pop(key, None)
        if mark is not None and mark.value is not True:
            insort(self.for_good, (mark.instant, mark.id))
            del self.for_good[EVIDENCE_MAX:]

    def evidence(self) -> Iterator[tuple[int, str]]:
        """(instant, id) of what is not just good."""
        yield from self.for_good
        yield from ((mark.instant, mark.id) for mark in self.marks.values() if mark.value is not True)


class MarkMeter:
    """Ratio and aggregate: each event, or outcome of a clock, is a mark in the window that holds its instant."""

    def __init__(self, timetable: Timetable[LevelRules]) -> None:
        self._timetable = timetable
        self._cells: dict[int, _Cell] = {}  # by start of the window or bucket
        self._starts: list[int] = []
        self._cases: dict[str, dict[Key, Mark]] = {}  # of events
        self._outcomes: dict[str, dict[Key, Mark]] = {}  # of clocks and slots, likewise by case
        self._stories: dict[str, Story] = {}
        self.has_let_go = False  # it counts marks of cases that have left
        self.listener: Listener | None = None  # told of each mark that comes (1) or goes (-1) where burn rates are watched

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"listener": None}  # whose book it is links it again

    # -- marks ---------------------------------------------------------------------------------------------------

    def fold(self, event: Evidence, events: Sequence[Evidence]) -> Touched:
        if self._timetable.editions.reads_case:
            read = read_next(self._stories, event, events)
            if read is None:
                return self.refold(event.case, events, event)
            data = read
        else:
            data = event.data
        mark = self._mark(event, data)
        if mark is None:
            return []
        self._cases.setdefault(event.case, {})[event.key] = mark
        return [self._put(event.key, mark)]

    def follows(self, case: str) -> bool:
        return case in self._stories

    def marks_of(self, case: str) -> Iterator[Mark]:
        """What a case that is in memory, or a slot, counts for."""
        yield from self._cases.get(case, {}).values()
        yield from self._outcomes.get(case, {}).values()

    def cases(self) -> set[str]:
        """Those that count for anything, and are in memory."""
        return self._cases.keys() | self._outcomes.keys()

    def refold(self, case: str, events: Sequence[Evidence], new: Evidence) -> Touched:
        story = self._stories[case] = Story()
        marks: dict[Key, Mark] = {}
        with self._timetable.editions.unknown.again(new):
            for event in in_order(events, lambda _: NO_ROLE):
                mark = self._mark(event, story.read(event))
                if mark is not None:
                    marks[event.key] = mark
        return self._replace(self._cases, case, marks)

    def hear(self, case: str, outcomes: Mapping[Key, Outcome]) -> Touched:
        """Take the outcomes of a case's clocks, or of a slot, in place of those known of it."""
        return self._replace(self._outcomes, case, {key: Mark(o.instant, o.good, o.id) for key, o in outcomes.items()})

    def heard(self, case: str) -> dict[Key, Outcome]:
        """The outcomes that stand for a case."""
        return {key: Outcome(mark.value, mark.instant, mark.id) for key, mark in self._outcomes.get(case, {}).items()}

    def _mark(self, event: Evidence, data: dict[str, Any]) -> Mark | None:
        span = self._timetable.at(event.time)
        if span is None or not self._timetable.editions.knows(event.known):
            return None
        value = span.rules.mark(event, data)
        return None if value is None else Mark(event.time, value, event.id)

    def _replace(self, cases: dict[str, dict[Key, Mark]], case: str, marks: dict[Key, Mark]) -> Touched:
        touched: Touched = []
        before = cases.get(case, {})
        for key, mark in before.items():
            if marks.get(key) != mark:
                touched.append(self._take(key, mark))
        for key, mark in marks.items():
            if before.get(key) != mark:
                touched.append(self._put(key, mark))
        if marks:
            cases[case] = marks
        else:
            cases.pop(case, None)
        return touched

    def _put(self, key: Key, mark: Mark) -> Interval:
        span = self._timetable.at(mark.instant)
        if span is not None:
            cell = self._cells.get(span.start)
            if cell is None:
                cell = self._cells[span.start] = _Cell(tally_of(span.rules.aggregate))
                insort(self._starts, span.start)
            cell.tally.add(mark.value)
            cell.marks[key] = mark
            if span.rules.burn and self.listener is not None:
                self.listener(span.rules, mark, 1)
        return mark.instant, mark.instant + 1

    def _take(self, key: Key, mark: Mark) -> Interval:
        span = self._timetable.at(mark.instant)
        cell = None if span is None else self._cells.get(span.start)
        if span is not None and cell is not None and cell.marks.pop(key, None) is not None:
            cell.tally.remove(mark.value)
            if span.rules.burn and self.listener is not None:
                self.listener(span.rules, mark, -1)
        return mark.instant, mark.instant + 1

    # -- levels --------------------------------------------------------------------------------------------------

    def measure(self, start: int, end: int, rules: LevelRules, as_of: int = FOREVER) -> Measured:
        starts = self._starts
        found = starts[bisect_left(starts, start) : bisect_left(starts, end)]
        if len(found) == 1:
            return self._cells[found[0]].tally.measure()
        whole, cells = tally_of(rules.aggregate), self._cells
        whole.absorb(*[cells[at].tally for at in found])
        return whole.measure()

    def outlook(self, start: int, end: int, rules: LevelRules, as_of: int, log_time: int) -> Outlook:
        measured = self.measure(start, end, rules)
        if measured.value is None or not measured.events or measured.events < rules.objective.min_events:
            return NO_OUTLOOK
        value, goal, look_again, used = measured.value, rules.goal, None, None
        forecast = value
        if rules.grows:
            elapsed = min(max(log_time - start, 1), end - start)
            forecast = Fraction(value.numerator * (end - start), value.denominator * elapsed)
            if goal.wants_more and goal.value > 0 and goal.is_met(forecast):
                look_again = start + int(value * (end - start) / goal.value) + 1  # from then on it has grown too little
        is_lost = rules.is_lost_by_missing and not goal.is_met(value)
        if rules.warnings:
            used = rules.used_by(value)
        return Outlook(is_lost, forecast, used, None, look_again if look_again is not None and look_again < end else None)

    def evidence(self, start: int, end: int) -> tuple[str, ...]:
        first = max(bisect_right(self._starts, start) - 1, 0)  # the span of a burn rate begins inside a window
        cells = (self._cells[self._starts[i]] for i in range(first, bisect_left(self._starts, end)))
        found = sorted(mark for cell in cells for mark in cell.evidence() if start <= mark[0] < end)
        return tuple(id_ for _, id_ in found[:EVIDENCE_MAX])

    # -- cases that leave ----------------------------------------------------------------------------------------

    def let_go(self, case: str) -> None:
        """A case leaves memory: its marks stay, for good."""
        self._stories.pop(case, None)
        for marks in (self._cases.pop(case, None), self._outcomes.pop(case, None)):
            for key, mark in marks.items() if marks else ():
                span = self._timetable.at(mark.instant)
                cell = None if span is None else self._cells.get(span.start)
                if cell is not None:
                    cell.let_go(key)
                    self.has_let_go = True

    def forget_until(self, instant: int) -> None:
        """Nothing before an instant is measured any more."""
        count = bisect_left(self._starts, instant)
        for start in self._starts[:count]:
            del self._cells[start]
        del self._starts[:count]


class Spell(NamedTuple):
    """Down, or excluded, from an event of one case to another of it; `end` None while it lasts."""

    excludes: bool
    start: int
    end: int | None
    id: str


class _CaseSpells:
    """One case's spells."""

    __slots__ = ("instants", "open", "spells", "story")

    def __init__(self) -> None:
        self.story = Story()
        self.spells: list[Spell] = []
        self.open: dict[bool, Spell] = {}  # by `excludes`
        self.instants: list[int] = []  # of the events that play a part


class DowntimeMeter:
    """Availability: the union of all cases' downtime within service hours, without what is excluded."""

    def __init__(self, timetable: Timetable[LevelRules]) -> None:
        self._timetable = timetable
        self._cases: dict[str, _CaseSpells] = {}
        self._unions = {False: Union(), True: Union()}  # by `excludes`; spells that have ended
        self._open: dict[bool, dict[str, int]] = {False: {}, True: {}}  # by `excludes`, then case: since when
        self._open_starts: dict[bool, list[int]] = {False: [], True: []}  # the same, in order
        self._instants: list[int] = []
        self._downs: list[tuple[int, str]] = []  # (instant, id) of the events that began downtime
        self._for_good: list[Spell] = []  # downtime of cases that have left
        self.has_let_go = False  # it counts evidence of cases that have left
        self._lost: dict[int, tuple[WorkedTime, WorkedTime]] = {}  # by calendar: downtime not excluded; exclusions

    # -- spells --------------------------------------------------------------------------------------------------

    def fold(self, event: Evidence, events: Sequence[Evidence]) -> Touched:
        case = self._cases.get(event.case)
        if case is None:
            case = self._cases[event.case] = _CaseSpells()
        if (len(events) > 1 and case.story.last is None) or not case.story.is_next(event):
            return self.refold(event.case, events, event)
        touched: Touched = []
        self._read(case, event, touched)
        for excludes in (False, True):
            self._note_open(event.case, case, excludes)
        return touched

    def follows(self, case: str) -> bool:
        return case in self._cases

    def spells_of(self, case: str) -> Iterator[Spell]:
        """Downtime and exclusions of a case that is in memory."""
        known = self._cases.get(case)
        if known is not None:
            yield from known.spells
            yield from known.open.values()

    def cases(self) -> set[str]:
        """Those that are followed, and in memory."""
        return set(self._cases)

    def refold(self, name: str, events: Sequence[Evidence], new: Evidence) -> Touched:
        before, case = self._cases.get(name, _CaseSpells()), _CaseSpells()
        touched: Touched = []
        for spell in before.spells:
            self._count(spell, -1, touched)
        for instant in before.instants:
            del self._instants[bisect_left(self._instants, instant)]
        touched += [(spell.start, FOREVER) for spell in before.open.values()]
        self._forget_downs(before)
        unknown = self._timetable.editions.unknown
        with unknown.again(None):
            ordered = in_order(events, self._rank)
        with unknown.again(new):
            for event in ordered:
                self._read(case, event, touched)
        self._cases[name] = case
        for excludes in (False, True):
            self._note_open(name, case, excludes)
        return touched

    def _rank(self, event: Evidence) -> Role:
        span = self._timetable.following(event.time)
        return NO_ROLE if span is None else span.rules.rank(event)

    def _read(self, case: _CaseSpells, event: Evidence, touched: Touched) -> None:
        data, now = case.story.read(event), event.time
        span = self._timetable.following(now)  # what is down when the agreement begins is down
        if span is None or not self._timetable.editions.knows(event.known):
            return
        fired = [
            (role, excludes) for role, excludes, trigger in span.rules.roles.get(event.type, ()) if span.rules.holds(trigger, event, data)
        ]
        for role, excludes in fired:
            spell = case.open.get(excludes)
            if role is Role.START and spell is None:
                case.open[excludes] = Spell(excludes, now, None, event.id)
                if not excludes:
                    insort(self._downs, (now, event.id))
                touched.append((now, FOREVER))
            elif role is Role.STOP and spell is not None:
                del case.open[excludes]
                case.spells.append(spell._replace(end=now))
                self._count(case.spells[-1], 1, [])
                touched.append((now, FOREVER))
        if fired:
            case.instants.append(now)
            insort(self._instants, now)
            touched.append((now, now + 1))

    def _forget_downs(self, case: _CaseSpells) -> None:
        for spell in (*case.spells, *case.open.values()):
            if not spell.excludes:
                del self._downs[bisect_left(self._downs, (spell.start, spell.id))]

    def _count(self, spell: Spell, sign: int, touched: Touched) -> None:
        """A spell that has ended comes into the union, or goes."""
        interval = (spell.start, FOREVER if spell.end is None else spell.end)
        union = self._unions[spell.excludes]
        (union.add if sign > 0 else union.remove)(interval)
        touched.append(interval)
        for lost, excluded in self._lost.values():
            for time in (lost, excluded):
                time.upto = spell.start if time.upto is None else min(time.upto, spell.start)

    def _note_open(self, name: str, case: _CaseSpells, excludes: bool) -> None:
        spell, starts = case.open.get(excludes), self._open_starts[excludes]
        before, since = self._open[excludes].pop(name, None), None if spell is None else spell.start
        if before is not None:
            del starts[bisect_left(starts, before)]
        if since is not None:
            self._open[excludes][name] = since
            insort(starts, since)

    # -- time ----------------------------------------------------------------------------------------------------

    def _times(self, calendar: Calendar) -> tuple[WorkedTime, WorkedTime]:
        times = self._lost.get(id(calendar))
        if times is None:
            times = self._lost[id(calendar)] = (WorkedTime(calendar), WorkedTime(calendar))
            for time in times:
                time.upto = -FOREVER
        for time in times:
            if time.upto is not None:
                begin = time.keep_until(time.upto)
                excluded = self._unions[True].within(begin, FOREVER)
                time.extend(excluded if time is times[1] else minus(self._unions[False].within(begin, FOREVER), excluded))
                time.upto = None
        return times

    def _open_since(self, excludes: bool) -> int:
        """The earliest start of a spell that lasts; FOREVER if none does."""
        starts = self._open_starts[excludes]
        return starts[0] if starts else FOREVER

    def total(self, start: int, end: int, calendar: Calendar, as_of: int) -> int:
        """Service time of [start, end) less exclusions known at `as_of`."""
        excluded = self._times(calendar)[1]
        since = self._open_since(True)
        until = max(min(as_of, end), start)
        out = excluded.within(start, min(end, since))
        if since < until:
            out += calendar.worked(max(start, since), until)
            out += excluded.within(until, end)
        elif since < end:
            out += excluded.within(max(since, start), end)
        return calendar.worked(start, end) - out

    def lost(self, start: int, end: int, calendar: Calendar, as_of: int) -> int:
        """Service time of [start, end) that was down and not excluded, known at `as_of`."""
        closed, excluded = self._times(calendar)
        down = self._open_since(False)
        end = min(end, max(as_of, start), self._open_since(True))
        if end <= start:
            return 0
        if down >= end:
            return closed.within(start, end)
        middle = max(start, down)
        return closed.within(start, middle) + calendar.worked(middle, end) - excluded.within(middle, end)

    def goes_on(self, instant: int, calendar: Calendar) -> int | None:
        """The first instant of service, from `instant` on, that is down as things stand; None: nothing is, or it is excluded."""
        down = self._open_since(False)
        if down == FOREVER or self._open_since(True) < FOREVER:
            return None
        return calendar.next_opening(max(instant, down))

    # -- levels --------------------------------------------------------------------------------------------------

    def measure(self, start: int, end: int, rules: LevelRules, as_of: int = FOREVER) -> Measured:
        total = self.total(start, end, rules.calendar, as_of)
        lost = self.lost(start, end, rules.calendar, as_of)
        events = bisect_left(self._instants, end) - bisect_left(self._instants, start)
        value = Fraction(total - lost, total) if total else None
        return Measured(Fraction(total - lost, SECOND), Fraction(total, SECOND), value, max(events, 1 if lost else 0))

    def outlook(self, start: int, end: int, rules: LevelRules, as_of: int, log_time: int) -> Outlook:
        calendar, goal, at = rules.calendar, rules.goal, min(max(as_of, start), end)
        lost = self.lost(start, end, calendar, at)
        goes_on = self._open_since(False) < FOREVER and self._open_since(True) == FOREVER
        if not goal.wants_more or (not lost and not goes_on):
            return NO_OUTLOOK
        whole, so_far = self.total(start, end, calendar, at), self.total(start, at, calendar, at)
        events = bisect_left(self._instants, end) - bisect_left(self._instants, start)
        if whole <= 0 or max(events, 1) < rules.objective.min_events:
            return NO_OUTLOOK
        allowed = rules.budget * whole
        forecast = Fraction(so_far - lost, so_far) if so_far > 0 else None
        used = Fraction(lost) / allowed if allowed else None
        ahead: list[int] = []
        if goes_on:
            looks = [allowed - lost, *([(rules.budget * so_far - lost) / goal.value] if goal.value > 0 else [])]
            ahead = [int(more) + 1 for more in looks if more >= 0]  # more than the goal allows
            warned = (allowed * w.share if w.share is not None else allowed - (w.lead or 0) for w in rules.warnings)
            ahead += [ceil(used_up - lost) for used_up in warned if used_up > lost]  # as much as a warning names
        again = calendar.advance(at, min(ahead)) if ahead else None
        is_lost = not goal.is_met(Fraction(whole - lost, whole))
        return Outlook(is_lost, forecast, used, int(allowed) - lost, again if again is not None and again < end else None)

    def evidence(self, start: int, end: int) -> tuple[str, ...]:
        first = bisect_left(self._downs, (start, ""))
        lasting = [(spell.start, spell.id) for spell in self._spells_over(start)]
        return tuple(id_ for _, id_ in sorted(lasting + self._downs[first : bisect_left(self._downs, (end, ""))])[:EVIDENCE_MAX])

    def _spells_over(self, start: int) -> Iterator[Spell]:
        """Downtime that began before an instant and lasts beyond it."""
        of_cases = (spell for case in self._cases.values() for spell in (*case.spells, *case.open.values()))
        for spell in chain(self._for_good, of_cases):
            if not spell.excludes and spell.start < start and (spell.end is None or spell.end > start):
                yield spell

    # -- cases that leave ----------------------------------------------------------------------------------------

    def is_open(self, case: str) -> bool:
        """Whether a case is down, or excluded, as yet."""
        return any(case in since for since in self._open.values())

    def let_go(self, case: str) -> None:
        """A case leaves memory: its spells, which have ended, stay for good."""
        known = self._cases.pop(case, None)
        if known is not None and known.instants:
            self.has_let_go = True
            self._for_good += [spell for spell in known.spells if not spell.excludes]
