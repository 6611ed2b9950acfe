"""Heartbeats and recurring deliverables: the book of one `heartbeat` objective for one (vendor, service).

    beats        x         x    x                     x
    slots  |---------]---------]---------]---------]---------]
              met       met     breached   breached
                                  └ closed ──────── ┘ by the first beat after its due, which does not count for its own slot

So a slot after a breached one needs a second beat; no other slot decides about it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from shared.sla.books import HELD, CaseLine, Moment, Outcome, Schedule, Timer
from shared.sla.breaches import BreachState, Place, Standing
from shared.sla.calendars import Calendar
from shared.sla.clocks import View
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER, format_instant
from shared.sla.intervals import Interval
from shared.sla.level_rules import Story, read_next
from shared.sla.recurring import Dues
from shared.sla.rules import NO_ROLE, CompiledTrigger, CompiledWarn, Data, ObjectiveRules, Unknown, in_order
from shared.sla.statements import Statement
from shared.sla.terms import Agreement, Heartbeat
from shared.sla.windows import Span, Timetable


class HeartbeatRules(ObjectiveRules[Heartbeat]):
    """A heartbeat objective under one version of its agreement, compiled."""

    def __init__(self, agreement: Agreement, objective: Heartbeat, calendars: dict[str, Calendar], unknown: Unknown) -> None:
        super().__init__(agreement, objective, calendars, unknown)
        self._on, self.types = CompiledTrigger(objective.on, unknown), frozenset(objective.on.on)
        self.grid = Dues(agreement, objective, self.calendar, self.zone)
        self.warnings = tuple(CompiledWarn(warn) for warn in objective.warn_at)
        self.reads_case = self.when is not None or objective.on.when is not None

    def is_beat(self, event: Evidence, data: Data) -> bool:
        """Whether the event is what was due."""
        return event.type in self.types and self.holds(self._on, event, data)


class Beat(NamedTuple):
    """A matching event; ordered by these fields."""

    time: int
    source: str
    id: str


class _Slot:
    """A slot (start, due], as it stands and as it was stated."""

    __slots__ = ("called", "is_met", "met_by", "met_since", "span", "standing", "stopped", "warned")

    def __init__(self, span: Span[HeartbeatRules]) -> None:
        self.span, self.standing = span, Standing()
        self.is_met = False
        self.stopped: Beat | None = None  # what met it, or closed it late
        self.met_by: Beat | None = None  # the beat by which it is stated to be met
        self.met_since = 0  # log time when it became so
        self.called = False  # its due has been called
        self.warned: set[str] = set()

    @property
    def due(self) -> int:
        return self.span.end

    @property
    def state(self) -> str:
        if self.is_met:
            return "met"
        if self.stopped is not None:
            return "breached_closed"
        return "breached" if self.called else "running"


class HeartbeatBook:
    """One heartbeat objective of one agreement, one (vendor, service)."""

    def __init__(self, place: Place, timetable: Timetable[HeartbeatRules]) -> None:
        self.place, self._timetable = place, timetable
        self.agreement, self.objective = place.agreement, place.objective
        self.excluded: set[tuple[str, str]] = set()  # evidence that came too late, or awaits review
        self.kept: tuple[Evidence, ...] = ()  # superseded by such evidence, and so still standing
        self._inherited: dict[int, Standing] = {}  # by due: what stood stated before a restatement
        self._since: int | None = None  # slots that are due before it are none of ours
        self._slots: dict[int, _Slot] = {}  # by due
        self._dues: list[int] = []
        self._beats: list[Beat] = []
        self._cases: dict[str, dict[tuple[str, str], Beat]] = {}
        self._stories: dict[str, Story] = {}
        self._has_let_go = False
        self._changed: set[int] = set()  # dues of slots that may count otherwise since `fresh_outcomes`

    # -- which slots there are -----------------------------------------------------------------------------------

    @property
    def is_named(self) -> bool:
        """Whether the agreement names this vendor and service: then slots run from effective.from, else from the first event."""
        agreements = (edition.agreement for edition in self._timetable.editions)
        return any(self.place.vendor in agreement.vendor and self.place.service in agreement.service for agreement in agreements)

    def begin(self, now: Moment, schedule: Schedule) -> list[Statement]:
        """A version was activated. Slots of a named vendor and service run from effective.from, or from the activation if that is later."""
        touched = self._go_on(now, schedule)
        if self.is_named:
            first = self._timetable.first
            if first is not None:
                touched |= self._reach(first, now, schedule)
        return self._settle(touched, now, schedule)

    @property
    def reached(self) -> Interval:
        """The span for whose instants `_reach` does nothing."""
        if self._since is None:
            return FOREVER, FOREVER
        return self._since, self._dues[-1] + 1 if self._dues else FOREVER

    def _floor(self) -> int:
        """Before the first activation nothing was promised."""
        return min((0 if e.activated is None else e.activated for e in self._timetable.editions), default=0)

    def _reach(self, instant: int, now: Moment, schedule: Schedule) -> set[int]:
        """There are slots to the one that holds an instant, and from it on. The dues of those that are new, or stand otherwise."""
        since, touched = max(instant, self._floor()), set[int]()
        if self._since is None or since < self._since:
            touched |= self._begin_at(since) | self._open_from(since, now, schedule)
        while self._dues and instant > self._dues[-1]:
            last = self._dues[-1]
            touched |= self._go_on(now, schedule)
            if self._dues[-1] == last:
                break  # there is none after it
        return touched

    def _begin_at(self, since: int) -> set[int]:
        """The first event has moved, or is seen for the first time: the dues of slots that are needed no more, or again."""
        before, self._since = self._since, since
        if before is None:
            return set()
        moved = {due for due in self._dues if min(before, since) <= due < max(before, since)}
        return moved | self._recount(since) | self._recount(before)

    def _open_from(self, since: int, now: Moment, schedule: Schedule) -> set[int]:
        """The slots from the one that holds `since` to those that are there."""
        last = self._dues[0] if self._dues else None
        touched = set[int]()
        span = self._timetable.following(since - 1)
        while span is not None and (last is None or span.end < last):
            touched |= self._open(span, now, schedule)
            span = None if last is None else self._timetable.following(span.end)
        return touched

    def _go_on(self, now: Moment, schedule: Schedule) -> set[int]:
        """Open the slot after the last."""
        span = self._timetable.following(self._dues[-1]) if self._dues else None
        return set() if span is None else self._open(span, now, schedule)

    def _open(self, span: Span[HeartbeatRules], now: Moment, schedule: Schedule) -> set[int]:
        due, rules = span.end, span.rules
        if due in self._slots:
            return set()
        slot = self._slots[due] = _Slot(span)
        slot.standing = self._inherited.pop(due, slot.standing)
        insort(self._dues, due)
        self._wait("due", due, due, rules, now, schedule)
        total = rules.calendar.worked(span.start, due)
        for warn in rules.warnings:
            before = warn.threshold(total)
            mark = rules.calendar.advance(span.start, before) if 0 < before < total else None
            if mark is not None and mark + rules.grace >= now.log_time:
                self._wait(warn.label, due, mark, rules, now, schedule)
        return self._recount(span.start + 1)

    def _wait(self, what: str, due: int, instant: int, rules: HeartbeatRules, now: Moment, schedule: Schedule) -> None:
        schedule(now.timer(instant, rules.grace, (*self.place, str(due)), what), self)

    # -- evidence ------------------------------------------------------------------------------------------------

    def take(
        self, event: Evidence, events: Sequence[Evidence], first: int, now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Fold one more piece of evidence; `events` is all of its case's, this one included (if it is of this case).

        `first` is the time of the first event of the (vendor, service); `superseded` is what it replaces here; it is in `events` no more.
        """
        touched = self._reach(event.time, now, schedule)
        if not self.is_named and self._since is not None and max(first, self._floor()) > self._since:
            touched |= self._begin_at(max(first, self._floor()))
        case = event.case if superseded is None else superseded.case
        counted = self._counted(case, events)
        touched |= self._fold(event, counted) if superseded is None else self._refold(case, counted, event)
        refused = self._refused(touched, event, event.time if superseded is None else min(event.time, superseded.time), now)
        if refused is not None:
            self.excluded.add(event.key)
            if superseded is not None:
                self.kept += (superseded,)
            touched |= self._refold(case, self._counted(case, events), event)
        return (refused or []) + self._settle(touched, now, schedule, (event.id,))

    def restate(self, now: Moment, schedule: Schedule) -> list[Statement]:
        """Forget the evidence, which is about to be told again under other versions; what stands stated is kept, to be compared."""
        old, said = self._slots, list[Statement]()
        self._slots, self._dues, self._since = {}, [], None
        self._beats, self._cases, self._stories = [], {}, {}
        for slot in old.values():
            span = self._timetable.at(slot.span.start)
            if span is not None and span.end == slot.due:
                self._inherited[slot.due] = slot.standing
            else:
                slot.is_met, slot.stopped, slot.called = False, None, False
                said += [self._say(slot, kind, slot.due, now, state="retracted") for kind in slot.standing.bring_to(None, None, now)]
        return said + self.begin(now, schedule)

    @property
    def has_let_go(self) -> bool:
        """Whether it counts beats of cases that have left, which cannot be told again."""
        return self._has_let_go

    def follows(self, case: str) -> bool:
        """Whether it is to be told of all evidence of a case; of others it is told from the first of which the objective speaks."""
        return case in self._stories

    def is_open(self, case: str) -> bool:
        """Slots are ended by time, or by any case's beat."""
        return False

    def let_go(self, case: str) -> None:
        """A case leaves memory: its beats stay, for good."""
        self._stories.pop(case, None)
        if self._cases.pop(case, None):
            self._has_let_go = True

    def _counted(self, case: str, events: Sequence[Evidence]) -> Sequence[Evidence]:
        if not self.excluded:
            return events
        return [e for e in (*self.kept, *events) if e.key not in self.excluded and e.case == case]

    def _fold(self, event: Evidence, events: Sequence[Evidence]) -> set[int]:
        if event.type not in self._timetable.editions.types and not self.follows(event.case):
            return set()
        if self._timetable.editions.reads_case:
            read = read_next(self._stories, event, events)
            if read is None:
                return self._refold(event.case, events, event)
            data = read
        else:
            data = event.data
        if not self._is_beat(event, data):
            return set()
        beat = Beat(event.time, event.source, event.id)
        self._cases.setdefault(event.case, {})[event.key] = beat
        insort(self._beats, beat)
        return self._recount(beat.time)

    def _refold(self, case: str, events: Sequence[Evidence], new: Evidence) -> set[int]:
        story = self._stories[case] = Story()
        with self._timetable.editions.unknown.again(new):
            after = {e.key: Beat(e.time, e.source, e.id) for e in in_order(events, lambda _: NO_ROLE) if self._is_beat(e, story.read(e))}
        before = self._cases.get(case, {})
        self._cases[case] = after
        touched = set[int]()
        for key in before.keys() - after.keys():
            del self._beats[bisect_left(self._beats, before[key])]
            touched |= self._recount(before[key].time)
        for key in after.keys() - before.keys():
            insort(self._beats, after[key])
            touched |= self._recount(after[key].time)
        return touched

    def _is_beat(self, event: Evidence, data: Data) -> bool:
        span = self._timetable.at(event.time - 1) or self._timetable.at(event.time)
        return span is not None and self._timetable.editions.knows(event.known) and span.rules.is_beat(event, data)

    # -- how slots stand -----------------------------------------------------------------------------------------

    def _recount(self, instant: int) -> set[int]:
        """A beat of that instant came or went: the dues of the slots that stand otherwise now (or are looked at for the first time)."""
        here = bisect_left(self._dues, instant)
        at = min(here, len(self._dues) - 1)
        while at > 0 and self._may_be_closed_by(self._slots[self._dues[at - 1]], instant):
            at -= 1
        touched = set[int]()
        while 0 <= at < len(self._dues):
            slot = self._slots[self._dues[at]]
            stands = self._judge(at)
            if stands != (slot.is_met, slot.stopped):
                slot.is_met, slot.stopped = stands
                touched.add(slot.due)
            elif at > here:
                break
            at += 1
        self._changed |= touched
        return touched

    @staticmethod
    def _may_be_closed_by(slot: _Slot, instant: int) -> bool:
        return not slot.is_met and (slot.stopped is None or slot.stopped.time >= instant)

    def _judge(self, at: int) -> tuple[bool, Beat | None]:
        """Whether a slot is met, and by which beat, or which one closes it late."""
        start, due, _ = self._slots[self._dues[at]].span
        first = bisect_left(self._beats, (start + 1,))
        after = bisect_left(self._beats, (due + 1,))
        if at > 0 and self._dues[at - 1] >= (self._since or 0) and not self._slots[self._dues[at - 1]].is_met:
            previous = bisect_left(self._beats, (self._dues[at - 1] + 1,))
            first = max(first, previous + 1)  # the first beat after a breached slot closes that one
        if first < after:
            return True, self._beats[first]
        return False, self._beats[after] if after < len(self._beats) else None

    # -- statements ----------------------------------------------------------------------------------------------

    def _is_final(self, due: int, now: Moment) -> bool:
        slot = self._slots[due]
        return slot.standing.is_final(slot.span.rules.horizon, now)

    def _refused(self, touched: set[int], event: Evidence, since: int, now: Moment) -> list[Statement] | None:
        """Statements in place of a correction that may not be made at once: too late, or to be reviewed; None: go on.

        `since`: from when on the evidence changes what is known.
        """
        for due in sorted(touched):
            slot = self._slots[due]
            if self._is_met_for_good(slot, now):
                return []
            if slot.standing.state is None or (slot.standing.state == "breached" and not slot.is_met):
                continue  # nothing stated, or only closed by it
            if slot.standing.state == "retracted" and slot.is_met:
                continue
            rules = slot.span.rules
            if self._is_final(due, now):
                return []
            if not now.event_mode and now.arrival is not None and now.arrival - since > rules.agreement.max_lateness:
                stood = slot.standing.shown  # not as it would be
                stands = {
                    "state": slot.standing.state,
                    "stopped": stood.time if isinstance(stood, Beat) else None,
                    "late": None,
                    "overdue": None,
                }
                statement = self._say(slot, "slawatch.breach.contested", event.time, now, **stands, evidence=(event.id,))
                return [statement] if slot.standing.is_once(statement) else []
        return None

    @staticmethod
    def _is_met_for_good(slot: _Slot, now: Moment) -> bool:
        """Whether evidence that says it was not met, or by another beat, comes too late."""
        if slot.met_by is None or (slot.is_met and slot.stopped == slot.met_by):
            return False
        return now.log_time > slot.met_since + slot.span.rules.horizon

    def _settle(self, touched: set[int], now: Moment, schedule: Schedule, proof: tuple[str, ...] = ()) -> list[Statement]:
        """State the difference between what is and what was stated. `proof`: the evidence just folded."""
        said: list[Statement] = []
        for due in sorted(touched):
            slot = self._slots[due]
            state = slot.state if self._is_needed(slot) else "running"
            self._changed.add(due)
            breach: BreachState | None = "breached" if state == "breached" else "breached_closed" if state == "breached_closed" else None
            count = len(said)
            for kind in slot.standing.bring_to(breach, slot.stopped, now):
                instant = slot.stopped.time if kind.endswith("closed") and slot.stopped is not None else due
                gone = {} if self._is_needed(slot) else {"state": "retracted", "evidence": proof}
                said.append(self._say(slot, kind, instant, now, **gone))
            if len(said) > count and breach is not None:
                final = now.decided_at + slot.span.rules.horizon
                schedule(Timer(final, final, (*self.place, str(due)), "final"), self)
            if state != "met":
                slot.met_by = None
            elif slot.stopped is not None:
                if slot.met_by is None:
                    slot.met_since = now.decided_at
                slot.met_by = slot.stopped
                statement = self._say(slot, "slawatch.clock.met", slot.stopped.time, now)
                if slot.standing.is_once(statement):
                    said.append(statement)
        return said

    def _is_needed(self, slot: _Slot) -> bool:
        return self._since is not None and slot.due >= self._since

    def fire(self, timer: Timer, now: Moment, schedule: Schedule) -> list[Statement]:
        """A timer has fired; one that no longer holds does nothing."""
        slot = self._slots.get(int(timer.key[4]))
        if slot is None:
            return []
        if timer.what in ("due", HELD + "due"):
            touched = self._go_on(now, schedule) if slot.due == self._dues[-1] else set[int]()
            if timer.what == "due":
                slot.called = True
                touched.add(slot.due)
            return self._settle(touched, now, schedule)
        if timer.what == "final":
            if not slot.standing.is_breach or timer.instant != slot.standing.decided_at + slot.span.rules.horizon:
                return []
            statement = self._say(slot, "slawatch.breach.final", timer.instant, now)
            return [statement] if slot.standing.is_once(statement) else []
        if slot.state != "running" or timer.what in slot.warned or timer.instant >= slot.due:
            return []
        slot.warned.add(timer.what)
        return [self._say(slot, "slawatch.clock.warning", timer.instant, now, timer.what, detail={"threshold": timer.what})]

    def _say(self, slot: _Slot, kind: str, instant: int, now: Moment, *marks: str, **told: Any) -> Statement:
        due = format_instant(slot.due)
        view = self._view(slot, now.log_time)
        told = {
            "state": view.state,
            "started": view.started,
            "due": view.due,
            "stopped": view.stopped,
            "late": view.late,
            "overdue": view.overdue,
            "cause": "deadline" if kind.startswith("slawatch.breach.") else None,
            "provisional": view.provisional,
            "evidence": () if slot.stopped is None else (slot.stopped.id,),
            **told,
        }
        return self.place.statement(kind, instant, (due,), slot.standing, slot.span.rules, now, *marks, case=due, cycle=1, **told)

    # -- reports -------------------------------------------------------------------------------------------------

    @staticmethod
    def _view(slot: _Slot, log_time: int) -> View:
        start, due, rules = slot.span
        state, stopped = slot.state, None if slot.stopped is None else slot.stopped.time
        is_late = state in ("breached", "breached_closed")
        end = max(log_time, due) if stopped is None else stopped
        late = rules.calendar.worked(due, end) if is_late else None
        provisional = rules.objective.on_closed != "same" and rules.calendar.is_provisional(due)
        return View(state, start, due, stopped, None, None, None, late, end - due if is_late else None, provisional)

    def fresh_outcomes(self) -> list[tuple[str, dict[tuple[str, ...], Outcome]]]:
        """(slot, what counts of it in a ratio over this objective) of the slots that may have changed since this was last asked."""
        found: list[tuple[str, dict[tuple[str, ...], Outcome]]] = []
        for due in sorted(self._changed):
            slot, name = self._slots[due], format_instant(due)
            state, beat = slot.state if self._is_needed(slot) else "running", slot.stopped
            if state == "met" and beat is not None:
                found.append((name, {(name,): Outcome(True, beat.time, beat.id)}))
            elif state == "running":
                found.append((name, {}))
            else:
                found.append((name, {(name,): Outcome(False, due, name if beat is None else beat.id)}))
        self._changed.clear()
        return found

    def slot(self, due: int) -> tuple[Span[HeartbeatRules], Beat | None] | None:
        """The span of a slot, and the beat that met it or closed it late; None where there is no such slot."""
        slot = self._slots.get(due)
        if slot is not None:
            return slot.span, slot.stopped
        span = self._timetable.at(due - 1)  # the next one, which is not open yet
        return None if span is None or span.end != due else (span, None)

    def beats_of(self, case: str) -> frozenset[Beat]:
        """The beats of a case that is in memory."""
        return frozenset(self._cases.get(case, {}).values())

    def lines(self, log_time: int) -> Iterator[CaseLine]:
        """One line a slot, to the current one."""
        slots = [self._slots[due] for due in self._dues]
        if slots and slots[-1].due <= log_time:  # its due is not called yet, but the next slot has begun
            span = self._timetable.following(slots[-1].due)
            slots += [] if span is None else [_Slot(span)]
        for slot in slots:
            if self._is_needed(slot) and slot.span.start <= log_time:
                yield CaseLine(
                    agreement=self.agreement,
                    version=slot.span.rules.version,
                    objective=self.objective,
                    vendor=self.place.vendor,
                    service=self.place.service,
                    case=format_instant(slot.due),
                    cycle=1,
                    view=self._view(slot, log_time),
                    event=None,
                    revision=slot.standing.revision,
                )
