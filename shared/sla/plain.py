"""Plain clocks: the small fast path beside the general fold.

Nearly all clocks have the same short story: it started, was perhaps paused and resumed, and stopped, in the order of time; or it
fell due meanwhile; warnings were said on the way. Such a clock is a few numbers. Whatever else happens (disorder, a correction, a
change, a reset, a reopening, a cancellation …) first *unfolds* it: the case's evidence goes through the general fold, and a
`ClockBook` goes on from there. tests/properties/test_plain.py proves that nobody can tell the difference.

    start ──► RUNNING ──pause──► PAUSED          due + grace, or a stop after due: BREACHED, CLOSED
                 ▲ │◄──resume──────┘             unfold: ClockBook
                 │ └──stop──► MET

All instants and durations are milliseconds.
"""

from collections.abc import Iterable
from enum import IntEnum

import msgspec

from shared.sla.books import CaseLine, ClockBook, Closing, Outcome, Stated, Timer
from shared.sla.clocks import ON_DUE, View
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER
from shared.sla.leaving import AT_REST, Rest
from shared.sla.promises import Promise
from shared.sla.rules import Act, Choice, Data, DeadlineRules
from shared.sla.statements import Statement


class State(IntEnum):
    """Where a plain clock stands."""

    RUNNING = 0
    PAUSED = 1
    MET = 2
    BREACHED = 3  # called, and still open
    CLOSED = 4  # done, late


RUNNING, PAUSED, MET, BREACHED, CLOSED = State
START, PAUSE, RESUME, STOP, UNFOLD = Act
_MET_TYPE, _OPENED, _CLOSED = "slawatch.clock.met", "slawatch.breach.opened", "slawatch.breach.closed"
_FINAL, _WARNING_TYPE = "slawatch.breach.final", "slawatch.clock.warning"
NAMES = {RUNNING: "running", PAUSED: "paused", MET: "met", BREACHED: "breached", CLOSED: "breached_closed"}


class PlainClock(msgspec.Struct, gc=False, eq=False):
    """The first cycle of a deadline objective in one case. Its timer, if it has one, is called at armed_for + grace."""

    rules: DeadlineRules
    choice: Choice
    target: int  # working time
    started: int
    mark: int  # up to when used and paused are accounted for
    due: int | None  # None while paused
    armed_for: int  # the due, or the arrival of what armed it where that is later
    noted: int  # which of the case's evidence did something to it, as bits
    state: State = RUNNING
    used: int = 0
    paused: int = 0
    stopped: int | None = None
    decided_at: int = 0  # of its last statement about how it ended, or that it did not
    final: int | None = None  # log time when its breach became final
    warned: int = 0  # which of its rules' warnings were said, as bits


def merged(events: Iterable[Evidence]) -> Data:
    """A case's data, of events in order."""
    found: Data = {}
    for event in events:
        data = event.data
        if data:
            found = {**found, **data} if found else data
    return found


def start(rules: DeadlineRules, event: Evidence, earlier: list[Evidence] | None, arrival: int | None) -> PlainClock | None:
    """The clock that an event starts; None where it is not plain from the start. `arrival`: of its record, None in event mode.

    `earlier` is the case's evidence before, in order.
    """
    data = merged((*earlier, event)) if earlier else event.data
    if rules.when is not None and rules.when(event, data) is not True:
        return None
    choice, time = rules.choose(event, data), event.time
    target = None if choice is None or choice.until is not None else choice.target.budget(time)
    if choice is None or target is None or target < 0:
        return None
    due = _due(choice, rules, time, target)
    if due is None or due < time:
        return None
    clock = PlainClock(rules, choice, target, time, time, due, _armed_for(due, arrival), 1 << len(earlier) if earlier else 1)
    return None if rules.warnings and _warns_late(clock, arrival) else clock


def _due(choice: Choice, rules: DeadlineRules, instant: int, left: int) -> int | None:
    """When a clock that runs from an instant on has used what is left of its target."""
    calendar = choice.target.calendar
    return instant + left if calendar.always else calendar.advance(instant, left, next_open=rules.next_open)


def _armed_for(due: int, arrival: int | None) -> int:
    return due if arrival is None else max(due, arrival)


def _warns_late(clock: PlainClock, arrival: int | None) -> bool:
    """Whether a warning lies before the arrival of the evidence that arms it."""
    return arrival is not None and any(instant < arrival for _, instant in warnings(clock))


def warnings(clock: PlainClock) -> list[tuple[str, int]]:
    """(label, instant) of the warnings ahead of a running clock that were not said."""
    calendar, found = clock.choice.target.calendar, []
    for place, warn in enumerate(clock.rules.warnings):
        threshold = warn.threshold(clock.target)
        if 0 < threshold < clock.target and not clock.warned >> place & 1:
            instant = calendar.advance(clock.mark, threshold - clock.used)
            if instant is not None:
                found.append((warn.label, instant))
    return found


def step(clock: PlainClock, act: Act | None, event: Evidence, events: list[Evidence], arrival: int | None) -> bool:
    """Let the next event in order act on a clock; False: it is beyond a plain clock, which stays untouched.

    `event` is the last of `events`, the case's evidence; `arrival`: of its record, None in event mode.
    """
    state, rules = clock.state, clock.rules
    if act is UNFOLD and event.type in rules.asked:
        trigger, fired = rules.asked[event.type]
        act = fired if trigger.fires(event, event.data if trigger.when is None else merged(events)) else None
    if state is MET or state is CLOSED:
        return act is not UNFOLD  # a start, pause, resume or stop after the stop: ignored
    if rules.when is not None and rules.when(event, merged(events)) is False:
        return False
    if act is None or act is START or (act is PAUSE and state is PAUSED) or (act is RESUME and state is RUNNING):
        return True
    time, mark, calendar = event.time, clock.mark, clock.choice.target.calendar
    worked = time - mark if calendar.always else calendar.worked(mark, time)
    if act is STOP:
        done = _stop(clock, time, worked)
    elif act is PAUSE:
        done = _pause(clock, time, worked)
    else:
        done = act is RESUME and _resume(clock, time, worked, arrival)
    if done:
        clock.mark = time
        clock.noted |= 1 << len(events) - 1
    return done


def _stop(clock: PlainClock, time: int, worked: int) -> bool:
    due = clock.due
    if due is None or (clock.state is BREACHED and time <= due):
        return False
    clock.state, clock.stopped = MET if time <= due else CLOSED, time
    clock.final = None  # what is said of it then may be corrected
    clock.used += worked
    return True


def _pause(clock: PlainClock, time: int, worked: int) -> bool:
    if clock.state is BREACHED or clock.due is None or time >= clock.due:
        return False
    if clock.rules.warnings and any(instant <= time for _, instant in warnings(clock)):
        return False
    clock.state, clock.due = PAUSED, None
    clock.used += worked
    return True


def _resume(clock: PlainClock, time: int, worked: int, arrival: int | None) -> bool:
    due = _due(clock.choice, clock.rules, time, clock.target - clock.used)
    if clock.state is BREACHED or due is None or due < time:
        return False
    if clock.rules.warnings and _warns_late(msgspec.structs.replace(clock, mark=time), arrival):
        return False
    clock.state, clock.due, clock.armed_for = RUNNING, due, _armed_for(due, arrival)
    clock.paused += worked
    return True


def view(clock: PlainClock, log_time: int) -> View:
    """The clock as it stands at `log_time`, as `Cycle.view` tells it."""
    state, calendar = clock.state, clock.choice.target.calendar
    used, paused, due, stopped, late, overdue = clock.used, clock.paused, clock.due, clock.stopped, None, None
    at = stopped
    if at is None:
        at = max(log_time, clock.mark)
        worked = calendar.worked(clock.mark, at)
        if state is PAUSED:
            paused += worked
        else:
            used += worked
    if (state is BREACHED or state is CLOSED) and due is not None:
        late, overdue = calendar.worked(due, at), at - due
    provisional = due is not None and calendar.is_provisional(due)
    return View(NAMES[state], clock.started, due, stopped, used, clock.target, paused, late, overdue, provisional)


def opened(clock: PlainClock, promise: Promise, events: list[Evidence], decided_at: int) -> Statement:
    """It is called, or was done late and not called before."""
    clock.decided_at = decided_at
    return _statement(clock, promise, events, _OPENED, clock.due or 0, 0, decided_at)


def closed(clock: PlainClock, promise: Promise, events: list[Evidence], decided_at: int) -> Statement:
    """It was done, late."""
    clock.decided_at = decided_at
    return _statement(clock, promise, events, _CLOSED, clock.stopped or 0, 1, decided_at)


def final(clock: PlainClock, promise: Promise, events: list[Evidence], instant: int, decided_at: int) -> Statement:
    """Its breach is not corrected any more, from an instant on."""
    clock.final = decided_at
    return _statement(clock, promise, events, _FINAL, instant, 0 if clock.state is BREACHED else 1, decided_at)


def warn(clock: PlainClock, promise: Promise, events: list[Evidence], timer: Timer, log_time: int) -> list[Statement]:
    """The timer of a warning that lies ahead has fired: say it, unless the breach inhibits it."""
    if clock.due is None or clock.due + clock.rules.grace <= log_time:
        return []
    label = timer.what
    clock.warned |= sum(1 << place for place, warning in enumerate(clock.rules.warnings) if warning.label == label)
    statement = _statement(clock, promise, events, _WARNING_TYPE, timer.instant, None, log_time)
    statement.cause, statement.marks, statement.detail = None, (label, clock.target), {"threshold": label}
    return [statement]


def met(clock: PlainClock, promise: Promise, events: list[Evidence], decided_at: int) -> Statement:
    """It was done in time: by far the most frequent statement."""
    stop, rules, due = events[-1], clock.rules, clock.due
    clock.decided_at = decided_at
    calendar = clock.choice.target.calendar
    return Statement(
        type=_MET_TYPE,
        time=stop.time,
        instance=(stop.case,),
        revision=None,
        agreement=promise.agreement,
        version=rules.version,
        objective=promise.name,
        vendor=stop.vendor,
        service=stop.service,
        case=stop.case,
        state="met",
        severity=rules.severity,
        decided_at=decided_at,
        cycle=1,
        started=clock.started,
        due=due,
        stopped=stop.time,
        elapsed=clock.used,
        target=clock.target,
        paused=clock.paused,
        provisional=due is not None and not calendar.always and calendar.is_provisional(due),
        evidence=_noted(clock.noted, events),
    )


def _noted(noted: int, events: list[Evidence]) -> tuple[str, ...]:
    """The ids of the evidence that did something to a clock."""
    if noted == 3:
        return events[0].id, events[1].id
    return tuple([event.id for place, event in enumerate(events) if noted >> place & 1])


def _statement(
    clock: PlainClock, promise: Promise, events: list[Evidence], type_: str, instant: int, revision: int | None, decided_at: int
) -> Statement:
    first, rules = events[0], clock.rules
    state, started, due, stopped, elapsed, target, paused, late, overdue, provisional = view(clock, decided_at)
    return Statement(
        type=type_,
        time=instant,
        instance=(first.case,),
        revision=revision,
        agreement=promise.agreement,
        version=rules.version,
        objective=promise.name,
        vendor=first.vendor,
        service=first.service,
        case=first.case,
        state=state,
        severity=rules.severity,
        decided_at=decided_at,
        cycle=1,
        started=started,
        due=due,
        stopped=stopped,
        elapsed=elapsed,
        target=target,
        paused=paused,
        late=late,
        overdue=overdue,
        cause=ON_DUE,
        provisional=provisional,
        evidence=_noted(clock.noted, events),
    )


def line(clock: PlainClock, promise: Promise, events: list[Evidence], log_time: int) -> CaseLine:
    """Its line of `cases.ndjson`."""
    first = events[0]
    return CaseLine(
        agreement=promise.agreement,
        version=clock.rules.version,
        objective=promise.name,
        vendor=first.vendor,
        service=first.service,
        case=first.case,
        cycle=1,
        view=view(clock, log_time),
        event=None,
        revision=1 if clock.state is CLOSED else 0 if clock.state is BREACHED else None,
    )


def outcome(clock: PlainClock, events: list[Evidence]) -> dict[tuple[str, ...], Outcome]:
    """How it counts in a ratio over its objective; empty while it does not."""
    state, noted = clock.state, clock.noted
    if state is RUNNING or state is PAUSED:
        return {}
    opening = events[(noted & -noted).bit_length() - 1]
    instant = clock.stopped if state is MET else clock.due
    return {(opening.case,): Outcome(state is MET, instant or 0, opening.id)}


def timers(clock: PlainClock, promise: Promise, events: list[Evidence], start: int, end: int) -> list[Timer]:
    """What the clock waits for with `call_at` in [start, end)."""
    state, rules, due = clock.state, clock.rules, clock.due
    waiting: list[tuple[str, int, int, int | None]] = []  # what, call_at, instant, about
    if state is RUNNING and due is not None:
        grace, armed_for = rules.grace, clock.armed_for
        if start <= armed_for + grace < end:
            waiting.append(("due", armed_for + grace, armed_for, due))
        if rules.warnings:
            waiting += [(label, mark + grace, mark, mark) for label, mark in warnings(clock) if start <= mark + grace < end]
    elif (state is BREACHED or state is CLOSED) and clock.final is None:
        becomes_final = clock.decided_at + rules.agreement.horizon
        if start <= becomes_final < end:
            waiting.append(("final", becomes_final, becomes_final, None))
    if not waiting:
        return []
    first = events[0]
    key = (promise.agreement, promise.name, first.vendor, first.service, first.case, first.case)
    return [Timer(call_at, instant, key, what, about) for what, call_at, instant, about in waiting]


def waits_for(clock: PlainClock, timer: Timer, promise: Promise, events: list[Evidence]) -> bool:
    """Whether a timer that was made for a clock still holds."""
    if timer.what == "due":
        return clock.state is RUNNING and clock.armed_for == timer.instant and clock.due == timer.about
    return timer in timers(clock, promise, events, timer.call_at, timer.call_at + 1)


def rest(clock: PlainClock) -> Rest | None:
    """How it rests; None while it is open."""
    if clock.state is CLOSED:
        return Rest(clock.decided_at, FOREVER if clock.final is None else clock.final)
    return AT_REST if clock.state is MET else None


def unfold(clock: PlainClock, promise: Promise, events: list[Evidence]) -> ClockBook:
    """The same clock as a book that can go on with anything. Its timers are those of `timers`."""
    book = promise.open_case(events[0])
    assert isinstance(book, ClockBook)
    book.begin(events)
    (cycle,) = book.fold.cycles
    stated = book.stated[cycle.instance] = Stated()
    stated.cycle = cycle.number
    state, due = clock.state, clock.due
    if state is RUNNING or state is BREACHED:
        assert due is not None
        stated.armed, stated.call_at, stated.called = due, clock.armed_for + clock.rules.grace, state is BREACHED
        stated.marks = {label: (mark, mark) for label, mark in warnings(clock)}
    stated.warned = {(warning.label, clock.target) for place, warning in enumerate(clock.rules.warnings) if clock.warned >> place & 1}
    if state is MET:
        assert clock.stopped is not None
        stated.said.add((_MET_TYPE, None))
        stated.closing, stated.decided_at = Closing("met", due, clock.stopped), clock.decided_at
    if state is BREACHED or state is CLOSED:
        stated.state, stated.revision = ("breached", 0) if state is BREACHED else ("breached_closed", 1)
        stated.armed, stated.due, stated.stopped, stated.target = due, due, clock.stopped, clock.target
        stated.cause, stated.decided_at = ON_DUE, clock.decided_at
        if clock.final is None:
            stated.awaits = clock.decided_at + clock.rules.agreement.horizon
        else:
            stated.final = clock.final
            stated.said.add((_FINAL, stated.revision))
    return book
