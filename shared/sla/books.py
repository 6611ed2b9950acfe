"""The book of one case under one deadline objective: what was stated, what must be stated now, and when to look again.

    evidence ──► ClockFold ──► cycles ──┐
    timers  ──► "called"  ─────────────┴──► state now, less state stated: statements

A statement is the difference between before and after one record or timer (semantics.md, "Breaches and corrections").
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from shared.sla.clocks import ClockFold, Cycle, View
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER
from shared.sla.leaving import AT_REST, Rest
from shared.sla.rules import DeadlineRules, Editions
from shared.sla.statements import Statement

BREACHED: Final = ("breached", "breached_closed")
HELD: Final = "held "  # before the `what` of a timer that waits for the door: its book is told, and goes on with what need not wait


class Moment(NamedTuple):
    """Now, as the log tells it. `arrival`: of the record being folded, None for a timer; `event_mode`: semantics.md, "Event-time mode"."""

    log_time: int
    arrival: int | None
    event_mode: bool

    @property
    def decided_at(self) -> int:
        """The `decided_at` of what is stated now."""
        return self.log_time

    def timer(self, about: int, grace: int, key: tuple[str, ...], what: str) -> "Timer":
        """One that is armed now and speaks of an instant; it is not decided before what arms it."""
        instant = about
        if not self.event_mode:
            instant = max(about, self.log_time - grace if self.arrival is None else self.arrival)
        return Timer(instant + grace, instant, key, what, about)

    def not_before(self, decided_at: int) -> "Moment":
        """Nothing is decided before what it corrects: in event mode late evidence arms timers that are of an earlier log time."""
        return self if decided_at <= self.log_time else self._replace(log_time=decided_at)


class Timer(NamedTuple):
    """Wake the book when log time has passed `call_at` (the instant plus grace). Ordered by these fields."""

    call_at: int
    instant: int
    key: tuple[str, ...]
    what: str  # due, final, move, or a warning's label
    about: int | None = None  # the instant itself, where `instant` is that of evidence which came after it


class Closing(NamedTuple):
    """How a cycle ended without a breach: `name` is met or cancelled."""

    name: str
    due: int | None
    stopped: int


class Stated:
    """What stands stated about one cycle."""

    __slots__ = (
        "armed",
        "awaits",
        "call_at",
        "called",
        "cause",
        "closing",
        "cycle",
        "decided_at",
        "due",
        "final",
        "marks",
        "move",
        "revision",
        "said",
        "state",
        "stopped",
        "target",
        "warned",
    )

    def __init__(self) -> None:
        self.state: str | None = None  # breached, breached_closed, retracted; None: never a breach
        self.revision: int | None = None
        self.due: int | None = None
        self.stopped: int | None = None
        self.target: int | None = None
        self.cause: str | None = None
        self.closing: Closing | None = None  # how it stands while it is met or cancelled
        self.decided_at = 0
        self.cycle: int | None = None  # its number, as it was last seen
        self.called = False  # the timer of `armed` has fired
        self.armed: int | None = None  # the breach instant that the timer waits for
        self.call_at: int | None = None  # when that timer fires
        self.warned: set[tuple[str, int | None]] = set()  # (label, target) said
        self.move: int | None = None  # when a version that says `apply_to: open` begins
        self.marks: dict[str, tuple[int, int]] = {}  # label -> where the warning lies, and the instant its timer waits for
        self.said: set[tuple[str, int | None]] = set()  # (type, revision) of what is said once
        self.awaits: int | None = None  # when the breach becomes final, if that is still to come
        self.final = -FOREVER  # log time when it did


class Outcome(NamedTuple):
    """How a clock or slot stands for a ratio over its objective: `good` at its stop, or not, at its due. `id` is of an event of it."""

    good: bool
    instant: int
    id: str


class CaseLine(msgspec.Struct):
    """One line of `cases.ndjson`; instants and durations in ms."""

    agreement: str
    version: int
    objective: str
    vendor: str
    service: str
    case: str
    cycle: int
    view: View
    event: str | None
    revision: int | None


Place = tuple[str, str, str, str, str, int, int, str]


def place_of(line: CaseLine) -> Place:
    """Where a line stands among the others; violations of one case share its cycle, and stand by instant, then event."""
    return (
        line.agreement,
        line.objective,
        line.vendor,
        line.service,
        line.case,
        line.cycle,
        line.view.started,
        line.event or "",
    )


class Book(Protocol):
    """Whoever waits for timers."""

    agreement: str
    objective: str

    def fire(self, timer: Timer, now: Moment, schedule: "Schedule") -> list[Statement]:
        """A timer has fired; one that no longer holds does nothing."""
        ...


Schedule = Callable[[Timer, Book], None]


class ClockBook:
    """One objective of one agreement, one case."""

    __slots__ = ("agreement", "case", "excluded", "fold", "has_left", "kept", "objective", "service", "stated", "vendor")

    def __init__(self, agreement: str, objective: str, editions: Editions[DeadlineRules], event: Evidence) -> None:
        self.agreement, self.objective = agreement, objective
        self.vendor, self.service, self.case = event.vendor, event.service, event.case
        self.fold = ClockFold(editions)
        self.stated: dict[tuple[str, ...], Stated] = {}
        self.excluded: set[tuple[str, str]] = set()  # evidence that came too late, or awaits review
        self.kept: tuple[Evidence, ...] = ()  # superseded by such evidence, and so still standing
        self.has_left = False  # with its case: timers find nothing

    @property
    def key(self) -> tuple[str, ...]:
        """Orders timers of one instant."""
        return (self.agreement, self.objective, self.vendor, self.service, self.case)

    # -- evidence ------------------------------------------------------------------------------------------------

    def begin(self, events: list[Evidence]) -> None:
        """Take what was known of the case before this book was opened."""
        self.fold.refold(events)

    def take(
        self, event: Evidence, events: list[Evidence], now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Fold one more piece of evidence; `events` is all of the case's, this one included (if it is of this case).

        `superseded` is what it replaces here; it is in `events` no more.
        """
        if superseded is None and self.fold.is_next(event):
            self.fold.take(event)
            self._follow(now)
        else:
            self._refold(events, now, event)
        verdict = self._correction_refused(event, superseded, now)
        if verdict is None:
            return self._settle(now, schedule, (event.id,))
        self.excluded.add(event.key)
        if superseded is not None and superseded.key not in self.excluded:
            self.kept += (superseded,)
        self._refold(events, now, event)
        return verdict + self._settle(now, schedule)

    def renew(self, events: list[Evidence], now: Moment, schedule: Schedule) -> list[Statement]:
        """Fold all evidence again: some was superseded, or another version rules."""
        self._refold(events, now)
        return self._settle(now, schedule)

    def standing(self, events: list[Evidence]) -> list[Evidence]:
        """What counts here of the case's evidence."""
        return [*self.kept, *(e for e in events if e.key not in self.excluded)] if self.excluded else events

    def _refold(self, events: list[Evidence], now: Moment, new: Evidence | None = None) -> None:
        self.fold.refold(self.standing(events), new)
        self._follow(now)

    def _follow(self, now: Moment) -> None:
        """Go on under the versions that have begun by now."""
        if self.fold.editions.moves:
            self.fold.move_to(now.log_time)

    def _correction_refused(self, event: Evidence, superseded: Evidence | None, now: Moment) -> list[Statement] | None:
        """Statements in place of a correction that may not be made at once: too late, or to be reviewed; None: go on.

        Only what is said of a breach is reviewed: that is what back-dating could erase.
        """
        since = event.time if superseded is None else min(event.time, superseded.time)
        for instance, stated in self.stated.items():
            if (stated.state is None and stated.closing is None) or since > stated.decided_at:
                continue
            if since == stated.decided_at and superseded is None:  # what is superseded was part of what it decided
                continue
            cycle = self._cycle(instance)
            corrects_breach = stated.state is not None and self._corrects(cycle, stated, now)
            if not corrects_breach and (stated.closing is None or stated.closing == _closing(cycle)):
                continue
            terms = self.fold.editions.newest().agreement if cycle is None else cycle.rules.agreement
            if now.log_time > stated.decided_at + terms.horizon:
                return []
            if corrects_breach and not now.event_mode and now.arrival is not None and now.arrival - since > terms.max_lateness:
                return self._contested(instance, stated, event, now)
        return None

    def _corrects(self, cycle: Cycle | None, stated: Stated, now: Moment) -> bool:
        """Whether what stands stated would be taken back or amended."""
        if stated.state == "retracted":
            at = None if cycle is None else cycle.breach_instant() if cycle.is_open else cycle.breach_at if cycle.is_late else None
            return at is not None and at != stated.armed and at < now.log_time
        if cycle is None:
            return True
        if cycle.is_open:
            return stated.state == "breached_closed" or cycle.breach_instant() != stated.armed or cycle.cause != stated.cause
        if stated.state == "breached":
            return not cycle.is_late or cycle.due != stated.due
        return (cycle.due, cycle.stopped, cycle.is_late) != (stated.due, stated.stopped, True)

    def _cycle(self, instance: tuple[str, ...]) -> Cycle | None:
        return next((cycle for cycle in self.fold.cycles if cycle.instance == instance), None)

    # -- timers --------------------------------------------------------------------------------------------------

    def fire(self, timer: Timer, now: Moment, schedule: Schedule) -> list[Statement]:
        """A timer has fired; one that no longer holds does nothing."""
        instance = timer.key[5:]
        stated = self.stated.get(instance)
        cycle = self._cycle(instance)
        if stated is None:
            return []
        now = now.not_before(stated.decided_at)
        if timer.what == "move":
            self._follow(now)
            return self._settle(now, schedule)
        if timer.what == "final":
            if stated.awaits == timer.instant:
                stated.awaits, stated.final = None, now.log_time
            return self._final(instance, cycle, stated, timer, now)
        if cycle is None or not cycle.is_open or stated.called:
            return []
        if timer.what != "due":
            return self._warn(cycle, stated, timer, now)
        stated.called = stated.call_at == timer.call_at
        return self._settle(now, schedule) if stated.called else []

    def _warn(self, cycle: Cycle, stated: Stated, timer: Timer, now: Moment) -> list[Statement]:
        label = timer.what
        if stated.marks.get(label, (0, None))[1] != timer.instant or (stated.call_at is not None and stated.call_at <= now.log_time):
            return []  # moved meanwhile, or the breach inhibits it
        target = _target_mark(cycle)
        if (label, target) in stated.warned:
            return []
        stated.warned.add((label, target))
        return [self._statement("slawatch.clock.warning", timer.instant, cycle, stated, now, (label, target), {"threshold": label})]

    def _final(self, instance: tuple[str, ...], cycle: Cycle | None, stated: Stated, timer: Timer, now: Moment) -> list[Statement]:
        horizon = timer.instant - stated.decided_at
        if cycle is None or stated.state not in BREACHED or horizon != cycle.rules.agreement.horizon:
            return []
        return self._once("slawatch.breach.final", timer.instant, cycle, stated, now)

    # -- statements ----------------------------------------------------------------------------------------------

    def _settle(self, now: Moment, schedule: Schedule, proof: tuple[str, ...] = ()) -> list[Statement]:
        """State the difference between what is and what was stated, and arm the timers. `proof`: the evidence just folded."""
        said: list[Statement] = []
        present = set()
        for cycle in self.fold.cycles:
            instance = cycle.instance
            present.add(instance)
            stated = self.stated.get(instance)
            if stated is None:
                stated = self.stated[instance] = Stated()
            stated.cycle = cycle.number
            self._arm(cycle, stated, now, schedule)
            self._arm_move(cycle, stated, schedule)
            said += self._difference(cycle, stated, now)
            said += self._closings(cycle, stated, now)
            if said and stated.state in BREACHED and stated.decided_at == now.decided_at:
                stated.awaits = stated.decided_at + cycle.rules.agreement.horizon
                schedule(Timer(stated.awaits, stated.awaits, self.key + instance, "final"), self)
        for instance, stated in self.stated.items():
            if instance not in present:
                stated.called, stated.armed, stated.call_at, stated.marks = False, None, None, {}
                stated.closing = None
                if stated.state in BREACHED:
                    said.append(self._gone(instance, stated, now, proof))
        return said

    def _arm(self, cycle: Cycle, stated: Stated, now: Moment, schedule: Schedule) -> None:
        breach_at, grace = cycle.breach_instant(), cycle.rules.grace
        if breach_at is None:
            if not cycle.is_open and cycle.is_late:
                stated.armed = cycle.breach_at if cycle.breach_at is not None else cycle.due
            else:
                stated.armed = None
            stated.call_at, stated.called = None, False
        elif cycle.is_proven:
            stated.armed, stated.called, stated.call_at = breach_at, True, None
        elif breach_at != stated.armed or (stated.call_at is None and not stated.called):
            if stated.state in BREACHED and (breach_at == stated.armed or breach_at + grace < now.log_time):
                stated.armed, stated.called, stated.call_at = breach_at, True, None
            else:
                timer = now.timer(breach_at, grace, self.key + cycle.instance, "due")
                stated.armed, stated.called, stated.call_at = breach_at, False, timer.call_at
                schedule(timer, self)
        self._arm_warnings(cycle, stated, now, schedule)

    def _arm_move(self, cycle: Cycle, stated: Stated, schedule: Schedule) -> None:
        move = self.fold.next_move if self.fold.editions.moves and cycle is self.fold.cycles[-1] else None
        if move is not None and move != stated.move:
            schedule(Timer(move, move, self.key + cycle.instance, "move"), self)
        stated.move = move

    def _arm_warnings(self, cycle: Cycle, stated: Stated, now: Moment, schedule: Schedule) -> None:
        target, grace, marks = _target_mark(cycle), cycle.rules.grace, {}
        for label, mark in cycle.warning_instants():
            if (label, target) in stated.warned:
                continue
            before = stated.marks.get(label)
            if before is not None and before[0] == mark:
                marks[label] = before
                continue
            timer = now.timer(mark, grace, self.key + cycle.instance, label)
            marks[label] = (mark, timer.instant)
            schedule(timer, self)
        stated.marks = marks

    def _difference(self, cycle: Cycle, stated: Stated, now: Moment) -> Iterator[Statement]:
        state = "breached_closed" if not cycle.is_open and cycle.is_late else "breached" if cycle.is_open and stated.called else None
        was, due = stated.state, cycle.due_now() if cycle.is_open else cycle.due
        if state is None:
            if was in BREACHED:
                yield self._next("retracted", cycle, stated, now)
        elif was not in BREACHED:
            yield self._next("opened" if was is None else "reopened", cycle, stated, now)
            if state == "breached_closed":
                yield self._next("closed", cycle, stated, now)
        elif was != state:
            yield self._next("closed" if state == "breached_closed" else "reopened", cycle, stated, now)
        elif (due, cycle.stopped, _target_mark(cycle), cycle.cause) != (stated.due, stated.stopped, stated.target, stated.cause):
            yield self._next("amended", cycle, stated, now)

    def _closings(self, cycle: Cycle, stated: Stated, now: Moment) -> list[Statement]:
        before, closing = stated.closing, _closing(cycle)
        stated.closing = closing
        if closing is None:
            return []
        if before is None:
            stated.decided_at = now.decided_at
        return self._once(f"slawatch.clock.{closing.name}", closing.stopped, cycle, stated, now)

    def _once(self, type_: str, instant: int, cycle: Cycle, stated: Stated, now: Moment) -> list[Statement]:
        if (type_, stated.revision) in stated.said:
            return []
        stated.said.add((type_, stated.revision))
        return [self._statement(type_, instant, cycle, stated, now)]

    def _next(self, name: str, cycle: Cycle, stated: Stated, now: Moment) -> Statement:
        spoken_of = {"closed": cycle.stopped, "retracted": stated.due}.get(name, cycle.due_now() if cycle.is_open else cycle.due)
        stated.revision = 0 if stated.revision is None else stated.revision + 1
        stated.decided_at, stated.cause = now.decided_at, cycle.cause
        stated.state = (
            "retracted" if name == "retracted" else "breached" if cycle.is_open or name in ("opened", "reopened") else "breached_closed"
        )
        stated.due = cycle.due_now() if cycle.is_open else cycle.due
        stated.stopped, stated.target = cycle.stopped, _target_mark(cycle)
        return self._statement(f"slawatch.breach.{name}", now.decided_at if spoken_of is None else spoken_of, cycle, stated, now)

    def _statement(
        self,
        type_: str,
        instant: int,
        cycle: Cycle,
        stated: Stated,
        now: Moment,
        marks: tuple[str | int | None, ...] = (),
        detail: dict[str, object] | None = None,
    ) -> Statement:
        view = cycle.view(now.log_time, stated.called)
        return Statement(
            type=type_,
            time=instant,
            instance=cycle.instance,
            revision=stated.revision,
            agreement=self.agreement,
            version=cycle.rules.version,
            objective=self.objective,
            vendor=self.vendor,
            service=self.service,
            case=self.case,
            cycle=cycle.number,
            state=view.state,
            severity=cycle.rules.objective.severity,
            started=view.started,
            due=view.due,
            stopped=view.stopped,
            elapsed=view.elapsed,
            target=view.target,
            paused=view.paused,
            late=view.late,
            overdue=view.overdue,
            cause=cycle.cause if type_.startswith("slawatch.breach.") else None,
            provisional=view.provisional,
            evidence=tuple(cycle.evidence),
            decided_at=now.decided_at,
            marks=marks,
            detail=detail or {},
        )

    def _bare(
        self, type_: str, instant: int, instance: tuple[str, ...], stated: Stated, now: Moment, evidence: tuple[str, ...] = ()
    ) -> Statement:
        """A statement about a breach whose cycle is not at hand."""
        rules = self.fold.editions.newest()
        return Statement(
            type=type_,
            time=instant,
            instance=instance,
            revision=stated.revision,
            agreement=self.agreement,
            version=rules.version,
            objective=self.objective,
            vendor=self.vendor,
            service=self.service,
            case=self.case,
            cycle=stated.cycle,
            state=stated.state or "retracted",
            severity=rules.objective.severity,
            due=stated.due,
            stopped=stated.stopped,
            cause=stated.cause,
            evidence=evidence,
            decided_at=now.decided_at,
        )

    def _gone(self, instance: tuple[str, ...], stated: Stated, now: Moment, proof: tuple[str, ...]) -> Statement:
        """The cycle itself is disproved."""
        stated.revision = (stated.revision or 0) + 1
        stated.state, stated.decided_at = "retracted", now.decided_at
        return self._bare("slawatch.breach.retracted", stated.due or now.decided_at, instance, stated, now, proof)

    def _contested(self, instance: tuple[str, ...], stated: Stated, event: Evidence, now: Moment) -> list[Statement]:
        type_ = "slawatch.breach.contested"
        if (type_, stated.revision) in stated.said:
            return []
        stated.said.add((type_, stated.revision))
        return [self._bare(type_, event.time, instance, stated, now, evidence=(event.id,))]

    # -- the end -------------------------------------------------------------------------------------------------

    def rest(self) -> Rest | None:
        """How it rests; None while a clock of it is open."""
        if any(cycle.is_open for cycle in self.fold.cycles):
            return None
        found = AT_REST
        for stated in self.stated.values():
            if stated.state is not None:
                found = found.with_book(Rest(stated.decided_at, stated.final if stated.awaits is None else FOREVER))
        return found

    @property
    def has_begun(self) -> bool:
        """Whether a clock ran, or anything was ever said of one."""
        return bool(self.fold.cycles or self.stated)

    def leave(self) -> None:
        """Its case leaves: what still waits for it holds no more than this shell."""
        self.has_left = True
        self.fold, self.stated, self.excluded, self.kept = ClockFold(self.fold.editions), {}, set(), ()

    # -- reports -------------------------------------------------------------------------------------------------

    def outcomes(self) -> dict[tuple[str, ...], Outcome]:
        """What counts in a ratio over this objective, by instance."""
        found: dict[tuple[str, ...], Outcome] = {}
        for cycle in self.fold.cycles:
            if cycle.choice is None or cycle.is_cancelled:
                continue
            late = self.stated[cycle.instance].called if cycle.is_open else cycle.is_late
            instant = (cycle.due_now() if cycle.is_open else cycle.due) if late else cycle.stopped
            if instant is not None:
                found[cycle.instance] = Outcome(not late, instant, cycle.opening.id)
        return found

    def lines(self, log_time: int) -> Iterator[CaseLine]:
        """The lines of `cases.ndjson`, one a cycle."""
        for cycle in self.fold.cycles:
            stated = self.stated[cycle.instance]
            yield CaseLine(
                agreement=self.agreement,
                version=cycle.rules.version,
                objective=self.objective,
                vendor=self.vendor,
                service=self.service,
                case=self.case,
                cycle=cycle.number,
                view=cycle.view(log_time, stated.called),
                event=None,
                revision=stated.revision,
            )


class OverBook:
    """In place of the book of a case's clocks that have left: whatever comes is too late for them."""

    __slots__ = ("agreement", "excluded", "objective")

    def __init__(self, agreement: str, objective: str) -> None:
        self.agreement, self.objective = agreement, objective
        self.excluded: set[tuple[str, str]] = set()  # evidence that came too late

    def begin(self, events: list[Evidence]) -> None:
        """Nothing begins."""

    def take(
        self, event: Evidence, events: list[Evidence], now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Keep out one more piece of evidence."""
        self.excluded.add(event.key)
        return []

    def renew(self, events: list[Evidence], now: Moment, schedule: Schedule) -> list[Statement]:
        """No version rules it."""
        return []

    def fire(self, timer: Timer, now: Moment, schedule: Schedule) -> list[Statement]:
        """It waits for no timer."""
        return []

    def rest(self) -> Rest:
        """Always."""
        return AT_REST

    def leave(self) -> None:
        """It is gone already."""

    def lines(self, log_time: int) -> Iterator[CaseLine]:
        """They were handed out when the clocks left."""
        return iter(())


def _closing(cycle: Cycle | None) -> Closing | None:
    """How a cycle ended, if it did without a breach; None also where no target was chosen."""
    if cycle is None or cycle.choice is None or cycle.stopped is None or cycle.is_open or cycle.is_late:
        return None
    return Closing("met" if cycle.mode == "stopped" else "cancelled", cycle.due, cycle.stopped)


def _target_mark(cycle: Cycle) -> int | None:
    """What tells one target from another: its working time, or the instant it names."""
    return cycle.target if cycle.choice is None or cycle.choice.until is None else cycle.choice.until
