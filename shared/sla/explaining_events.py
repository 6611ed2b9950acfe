"""Why an event did nothing to the clocks of its case, and why a clock has no target.

It is asked for seldom: so a fold notes none of it, and the evidence is folded once more by a `Witness`.
"""

from typing import Final, NamedTuple

from shared.sla.books import ClockBook
from shared.sla.clocks import ClockFold, Cycle
from shared.sla.evidence import Evidence
from shared.sla.rules import CompiledTrigger, Data, DeadlineRules, Editions, Role

_NAMES: Final = {role: "reopening" if role is Role.REOPEN else role.name.lower() for role in Role}
_WHILE_OPEN: Final = {
    Role.START: "a second start: the clock is open already",
    Role.PAUSE: "it is paused already: pauses do not nest",
    Role.RESUME: "there is no pause to end",
    Role.REOPEN: "the clock is open: there is nothing to reopen",
}
_WHILE_STOPPED: Final = {
    Role.START: "a start after the stop: only a reopening goes on",
    Role.CHANGE: "the clock has stopped: the last change before a reopening counts from there",
    Role.PAUSE: "a pause while the clock is closed",
    Role.RESUME: "a resume while the clock is closed",
    Role.STOP: "it has stopped already: the first stop counts",
    Role.CANCEL: "a cancel after the stop: what is done is done",
}
_ENDS: Final = {"cancel": "the cancel", "reset": "the reset, which opened no new clock", "when": "its condition ceased to hold"}


class Idle(NamedTuple):
    """An event that moved no clock; `cycle`: of the clock that it found, or of the first one to come."""

    instant: int
    event: Evidence
    cycle: int
    why: str


class Lack(NamedTuple):
    """From when on a clock has no target, and why."""

    instant: int
    why: str


class Witness(ClockFold):
    """A fold that notes why. `refold` is called once."""

    __slots__ = ("_asides", "_has_acted", "_reasons", "idle", "lacks", "notes", "places")

    def __init__(self, editions: Editions[DeadlineRules]) -> None:
        super().__init__(editions)
        self.idle: list[Idle] = []
        self.lacks: dict[int, Lack] = {}  # by cycle
        self.notes: dict[tuple[int, str, str], str] = {}  # by cycle, event and what it did: more to say of that step
        self.places: dict[str, int] = {}  # of the events, by id, in the order of the fold
        self._has_acted = False  # the event being folded has
        self._reasons: list[str] = []  # why it has not, for each of its triggers that fired
        self._asides: list[str] = []  # likewise, for the conditions that any event may decide

    def take(self, event: Evidence) -> None:
        """Fold the next event."""
        found = self._cycle
        pending, before = (None, None) if found is None else (found.pending_change, (found.number, found.choice))
        self.places.setdefault(event.id, len(self.places))
        self._has_acted, self._reasons, self._asides = False, [], []
        super().take(event)
        cycle, number = self._cycle, 1 if found is None else found.number
        if not self._has_acted:
            why = [*(self._reasons or self._unasked(event, found)), *self._asides]
            self.idle.append(Idle(event.time, event, number, "; ".join(why + (["its data was merged"] if event.data else []))))
        elif cycle is not None and (cycle.number, cycle.choice) != before:
            self._look_for_target(pending or event)
        elif cycle is not None and pending is not None and cycle.pending_change is None:
            self.idle.append(Idle(event.time, pending, number, f"at the reopening: {_why_unchanged(cycle, event)}"))

    def move_to(self, instant: int) -> None:
        """Let the open clock go on under the versions that have begun."""
        cycle = self._cycle
        rules = None if cycle is None else cycle.rules
        super().move_to(instant)
        if cycle is not None and cycle.rules is not rules:
            self._look_for_target(cycle.opening)

    @property
    def _cycle(self) -> Cycle | None:
        return self.cycles[-1] if self.cycles else None

    def _state(self) -> tuple[object, ...]:
        """What any event that does something changes."""
        cycle = self._cycle
        if cycle is None:
            return ()
        return cycle.number, cycle.mode, cycle.choice, cycle.pause_start, cycle.stopped, len(cycle.pauses), len(cycle.evidence)

    def _act(self, role: Role, event: Evidence, rules: DeadlineRules) -> None:
        before, cycle = self._state(), self._cycle
        was_stopped = cycle is not None and cycle.mode == "stopped"
        was_capped = cycle is not None and bool(cycle.pauses) and cycle.pauses[-1].ended is None
        super()._act(role, event, rules)
        if self._state() == before:
            is_capped = role is Role.RESUME and was_capped
            self._reasons.append("the longest a pause may count is over" if is_capped else self._why_not(role, event, rules))
            return
        self._has_acted = True
        if cycle is None:
            return
        if cycle.over and role in (Role.PAUSE, Role.RESET, Role.CANCEL):
            self.notes[cycle.number, event.id, role.name.lower()] = _past(cycle, event)
        if role is Role.STOP and was_stopped:
            self.notes[cycle.number, event.id, "stop"] = "the last stop counts, and so does the time between"
        if role is Role.RESET and cycle is self._cycle:
            self.notes[cycle.number, event.id, "reset"] = self._why_not_opened(event, self.editions.in_force(event))

    def _conditions(self, event: Evidence) -> None:
        before, cycle = self._state(), self._cycle
        was_waiting = cycle is not None and cycle.waiting
        super()._conditions(event)
        if cycle is None:
            return
        if self._state() != before:
            self._has_acted = True
            self.notes[cycle.number, event.id, cycle.steps[-1].what] = _by_condition(cycle, event)
        elif cycle.is_open:
            self._asides += self._undecided(event, cycle, was_waiting=was_waiting)

    # -- reasons -------------------------------------------------------------------------------------------------

    def _why_not(self, role: Role, event: Evidence, rules: DeadlineRules) -> str:
        """Why a trigger that fired did nothing to the clock as it stands."""
        cycle = self._cycle
        if cycle is None:
            return self._why_not_opened(event, rules) if role is Role.START else f"a {_NAMES[role]} before any start"
        if cycle.mode == "cancelled" or (cycle.mode == "reset" and role is not Role.RESET):
            ended = next(step.what for step in reversed(cycle.steps) if step.what in _ENDS)
            return f"a {_NAMES[role]} after {_ENDS[ended]}"
        if cycle.is_open:
            return _why_unchanged(cycle, event) if role is Role.CHANGE else _WHILE_OPEN[role]
        return _WHILE_STOPPED.get(role) or self._why_not_opened(event, self.editions.in_force(event))

    def _why_not_opened(self, event: Evidence, rules: DeadlineRules | None) -> str:
        if rules is None or rules.when is None:
            return "no version of the agreement is in force for it"
        return f"no clock: {_failed(rules.when(event, self.data), rules.objective.when)}"

    def _unasked(self, event: Evidence, cycle: Cycle | None) -> list[str]:
        """Why none of its triggers fired."""
        rules = self.editions.in_force(event) if cycle is None else cycle.rules
        if rules is None:
            return ["no version of the agreement is in force for it"]
        triggers = rules.roles.get(event.type, ())
        return [self._unfired(role, trigger, event, rules) for role, trigger in triggers] or [f"nothing of this objective ({event.type})"]

    def _unfired(self, role: Role, trigger: CompiledTrigger, event: Evidence, rules: DeadlineRules) -> str:
        if trigger.by is not None and event.role != trigger.by:
            return f"no {_NAMES[role]}: only by {trigger.by}, and it is by {event.role}"
        answer = None if trigger.when is None else trigger.when(event, self.data)
        return f"no {_NAMES[role]}: {_failed(answer, getattr(rules.objective, role.name.lower()).when)}"

    def _undecided(self, event: Evidence, cycle: Cycle, *, was_waiting: bool) -> list[str]:
        """What the conditions that any event may decide made of one that did nothing to an open clock."""
        rules, found = cycle.rules, list[str]()
        if rules.when is not None and (holds := rules.when(event, self.data)) is not True:
            found.append(_failed(holds, rules.objective.when) + ("" if holds is None else f", {_past(cycle, event)}"))
        waits = False if rules.pause_while is None else rules.pause_while(event, self.data)
        if waits is None:
            found.append(_failed(None, rules.objective.pause.while_))
        elif waits and was_waiting:
            found.append(f"it waits on ({rules.objective.pause.while_})")
        return found

    def _look_for_target(self, event: Evidence) -> None:
        """Note since when, and why, the clock has no target. `event`: the one by which it was chosen."""
        cycle = self._cycle
        if cycle is not None and cycle.choice is None:
            self.lacks[cycle.number] = Lack(cycle.mark, _why_no_target(cycle.rules, event, self.data))


def witness(book: ClockBook, events: list[Evidence]) -> Witness:
    """The fold of a book, watched; `events`: all of the case's."""
    found, last = Witness(book.fold.editions), book.fold.last
    found.refold(book.standing(events))
    if last is not None:
        with found.editions.unknown.again(None):
            found.move_to(last)
    return found


def _failed(answer: bool | None, condition: str | None) -> str:
    return f"{'a field is missing in' if answer is None else 'it does not hold that'} {condition}"


def _by_condition(cycle: Cycle, event: Evidence) -> str:
    """Why a condition that any event may decide did something."""
    rules, what = cycle.rules, cycle.steps[-1].what
    why = {"when": _failed(False, rules.objective.when), "pause": f"it waits: {rules.objective.pause.while_}"}.get(what, "")
    return "; ".join(part for part in (why, _past(cycle, event) if cycle.over else "") if part)


def _past(cycle: Cycle, event: Evidence) -> str:
    """Why an event does not undo that due has passed."""
    return "at due, which is reached and stays reached" if event.time == cycle.due else "after due: it does not undo the breach"


def _why_unchanged(cycle: Cycle, event: Evidence) -> str:
    """Why an open clock keeps its target."""
    if cycle.over:
        return f"a change {_past(cycle, event)}"
    return "still no target matches" if cycle.choice is None else "the same target applies"


def _why_no_target(rules: DeadlineRules, event: Evidence, data: Data) -> str:
    for target in rules.targets:
        if target.when is None or target.when(event, data) is True:
            return f"{rules.objective.targets[target.index].until} is missing, or no instant"
    return "no target matches"
