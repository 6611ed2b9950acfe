"""Clocks: the pure fold of a case's evidence under a deadline objective (semantics.md, "Clocks" and "Corner cases, settled").

    used ───────────►│           │──────────►            used: working time that counts towards the target
    start          pause       resume      due           due: where used reaches the target
                     │── paused ─│

A `Cycle` knows `mark`, the instant up to which its working time is accounted for, and moves it along the evidence. Whether a due
that has passed is *called* a breach is not known here: that depends on log time (see `books`).
All instants and durations are milliseconds.
"""

from typing import Literal, NamedTuple

from shared.sla.calendars import Calendar
from shared.sla.evidence import Evidence
from shared.sla.rules import Choice, Data, DeadlineRules, Editions, Move, Role, in_order

Mode = Literal["running", "paused", "stopped", "cancelled", "reset"]  # the last two: closed for good, by what
ON_DUE = "deadline"
ON_CHANGE = "target_changed"
ON_REOPEN = "reopened"
_NO_WARNINGS: dict[str, int] = {}  # never written to


class Step(NamedTuple):
    """What one event did to a clock, for `explain`."""

    instant: int
    what: str
    event: str | None  # its id
    note: str


class View(NamedTuple):
    """A cycle as it stands at some log time: the fields of its line in `cases.ndjson`."""

    state: str
    started: int
    due: int | None
    stopped: int | None
    elapsed: int | None
    target: int | None
    paused: int | None
    late: int | None
    overdue: int | None
    provisional: bool


class Pause(NamedTuple):
    """A pause that is over; `end` is where its cap was used up, if that came first."""

    start: int
    end: int
    cap: int | None  # at most this much working time of it counts
    ended: int | None  # by an event; None: only its cap has ended it so far


def _by_cap(instant: int) -> Step:
    return Step(instant, "resume", None, "the longest a pause may count")


class Cycle:
    """One run of a clock. The methods named after roles take an event of that role; `catch_up` has been called before."""

    __slots__ = (
        "ahead",
        "breach_at",
        "calendar",
        "cap",
        "cap_end",
        "cause",
        "choice",
        "due",
        "earlier",
        "evidence",
        "mark",
        "mode",
        "number",
        "opening",
        "over",
        "pause_base",
        "pause_start",
        "paused",
        "pauses",
        "pending_cause",
        "pending_change",
        "rules",
        "started",
        "steps",
        "stopped",
        "target",
        "used",
        "waiting",
        "warned",
    )

    def __init__(self, number: int, rules: DeadlineRules, event: Evidence, data: Data, opened_by: str = "start") -> None:
        self.number, self.rules, self.opening = number, rules, event
        self.started = self.mark = event.time
        self.mode: Mode = "running"
        self.used = self.paused = self.pause_base = 0
        self.stopped: int | None = None
        self.over = False  # due has passed, or was reached at a pause or change: it stays where it is
        self.due: int | None = None  # frozen when over, projected when stopped
        self.breach_at: int | None = None  # the instant the breach happens: due, or the later event that revealed it
        self.cause = ON_DUE
        self.pending_cause: str | None = None  # over by a change while paused: the resume breaks it
        self.pending_change: Evidence | None = None  # a change while stopped counts from the reopen
        self.pause_start = 0
        self.cap: int | None = None
        self.cap_end: int | None = None
        self.pauses: list[Pause] = []
        self.ahead: list[tuple[str, int]] | None = None  # warnings and their instants while it runs on; None: to be reckoned anew
        self.warned = _NO_WARNINGS  # when those of the present target were reached, by label
        self.waiting = False  # the condition of `pause: {while: …}` holds
        self.evidence: list[str] = [event.id]
        self.steps: list[Step] = []
        self.choice: Choice | None = None
        self.calendar: Calendar = rules.calendar
        self.earlier: tuple[tuple[int, Calendar], ...] = ()  # calendars it ran on before, each up to an instant
        self.target: int | None = None
        self.steps.append(Step(event.time, opened_by, event.id, ""))
        choice = rules.choose(event, data)
        if choice is not None:
            self._take(choice, event.time)
            due = self.due_now()
            if due is not None and due < event.time:
                self._freeze(due, event.time, ON_DUE)  # a promise already past

    # -- what is asked -------------------------------------------------------------------------------------------

    @property
    def instance(self) -> tuple[str, ...]:
        """What tells this cycle from others of its case in a breach id."""
        case = self.opening.case
        return (case,) if self.number == 1 else (case, self.opening.source, self.opening.id)

    @property
    def is_open(self) -> bool:
        return self.mode in ("running", "paused")

    @property
    def is_late(self) -> bool:
        """Closed after due."""
        return self.stopped is not None and not self.is_open and self.due is not None and self.stopped > self.due

    @property
    def is_proven(self) -> bool:
        """Whether a stop proved it late, be it that it was reopened since."""
        return self.over and self.due is not None and any(step.what == "stop" and step.instant > self.due for step in self.steps)

    @property
    def is_cancelled(self) -> bool:
        """Ended before due without having been done: by a cancel, a reset, or a condition that holds no more."""
        return self.mode in ("cancelled", "reset") and not self.is_late

    @property
    def _is_fixed(self) -> bool:
        """Whether its due is an instant that pauses do not move."""
        return self.choice is not None and self.choice.until is not None and not self.choice.target.pausable

    def due_now(self) -> int | None:
        """Where due is as things stand; None while paused without end, or without a target."""
        if self.over:
            return self.due
        if self.choice is None:
            return None
        if self.choice.until is not None:
            return self._due_of_until(self.choice.until)
        if self.target is None:
            return None
        start: int | None = self.mark
        if self.mode == "paused":
            start = self.cap_end
        if start is None:
            return None
        return self.calendar.advance(start, self.target - self.used, next_open=self.rules.next_open)

    def _due_of_until(self, until: int) -> int | None:
        if self._is_fixed:
            return until
        runs_from, ahead = self.mark, 0
        if self.mode == "paused":
            if self.cap_end is None:
                return None
            runs_from, ahead = self.cap_end, self.calendar.worked(self.mark, self.cap_end)
        due = self._moved(until, ahead)
        return due if self.pending_cause is None or due is None else max(due, runs_from)

    def _moved(self, until: int, ahead: int = 0) -> int | None:
        """A promised instant as pauses have moved it, and `ahead` working time of the present one."""
        moved = self.paused - self.pause_base + ahead
        return until if moved == 0 else self.calendar.advance(until, moved, next_open=self.rules.next_open)

    def breach_instant(self) -> int | None:
        """When an open clock breaks its promise if nothing more happens."""
        if not self.is_open:
            return None
        return self.breach_at if self.over else self.due_now()

    def warning_instants(self) -> list[tuple[str, int]]:
        """(label, instant) of the warnings: those the present target has reached, and those ahead as things stand."""
        if not self.is_open or self.over or self.choice is None or not self.rules.warnings:
            return []
        if self.ahead is None:
            self.ahead = self._warnings_ahead(self.choice)
        return [*self.warned.items(), *self.ahead]

    def _warnings_ahead(self, choice: Choice) -> list[tuple[str, int]]:
        base, used, until = self.started, 0, choice.until
        if until is not None:
            total = self.calendar.worked(self.started, until)
        elif self.target is not None:
            total = self.target
        else:
            return []
        if not self._is_fixed:
            start = self.mark if self.mode == "running" else self.cap_end
            if start is None:
                return []
            base, used = start, self.used
        found = []
        for warn in self.rules.warnings:
            threshold = warn.threshold(total)
            if 0 < threshold < total and warn.label not in self.warned:
                instant = self.calendar.advance(base, threshold - used)
                if instant is not None:
                    found.append((warn.label, instant))
        return found

    def view(self, log_time: int, called: bool) -> View:
        """The cycle as it stands at `log_time`; `called` says whether its due, if it has passed, is called a breach."""
        target = None if self.choice is None else self.target
        if self.choice is None:
            return View("skipped", self.started, None, None, None, None, None, None, None, False)
        if self.is_cancelled:
            return View("cancelled", self.started, None, self.stopped, self.used, target, self.paused, None, None, False)
        if not self.is_open:
            state, due, late = ("breached_closed" if self.is_late else "met"), self.due, self.is_late
            at, used, paused = self.stopped or 0, self.used, self.paused
        else:
            at = max(log_time, self.mark)
            used, paused, mode = self._totals_at(at)
            due, late = self.due_now(), called
            if mode == "paused" and not self.over and not self._is_fixed:
                due = None
            state = "breached" if called else mode
        late_for = self.calendar.worked(due, at) if late and due is not None else None
        overdue = at - due if late and due is not None else None
        provisional = due is not None and self.calendar.is_provisional(due)
        return View(state, self.started, due, self.stopped, used, target, paused, late_for, overdue, provisional)

    def _totals_at(self, instant: int) -> tuple[int, int, Mode]:
        """(used, paused, mode) of an open clock at an instant not before `mark`."""
        worked = self.calendar.worked
        if self.mode == "running":
            return self.used + worked(self.mark, instant), self.paused, self.mode
        if self.cap_end is None or self.cap_end > instant:
            return self.used, self.paused + worked(self.mark, instant), self.mode
        return self.used + worked(self.cap_end, instant), self.paused + worked(self.mark, self.cap_end), "running"

    # -- what moves it -------------------------------------------------------------------------------------------

    def catch_up(self, instant: int) -> None:
        """Account for the time up to an instant; due passing on the way is remembered."""
        if not self.is_open:
            return
        if self.rules.warnings:
            self._reach_warnings(instant)
        if not self.over:
            due = self.due_now()
            if due is not None and due < instant:
                self._freeze(due, max(due, self.started), self.pending_cause or ON_DUE)
        if self.mode == "paused" and self.cap_end is not None and self.cap_end <= instant:
            self.paused += self.calendar.worked(self.mark, self.cap_end)
            self.pauses.append(Pause(self.pause_start, self.cap_end, self.cap, None))
            self.steps.append(_by_cap(self.cap_end))
            self.mode, self.mark, self.cap_end = "running", self.cap_end, None
        worked = self.calendar.worked(self.mark, instant)
        if self.mode == "running":
            self.used += worked
        else:
            self.paused += worked
        self.mark = instant

    def _reach_warnings(self, instant: int) -> None:
        instants = self.warning_instants()
        if any(at <= instant for _, at in self.ahead or ()):
            self.warned = {label: at for label, at in instants if at <= instant}
            self.ahead = [(label, at) for label, at in instants if at > instant]

    def pause(self, event: Evidence, data: Data) -> None:
        """Pauses are united: one that begins while another lasts prolongs it only where they are capped."""
        cap = self.rules.objective.pause.at_most
        if not self.is_open or (self.mode == "paused" and cap is None):
            return
        if self.mode == "paused":
            self._keep_pause()
        else:
            self._end_capped()
            self._freeze_if_reached()
        self.mode, self.pause_start, self.cap, self.ahead = "paused", self.mark, cap, None
        # without a target there is no calendar yet that could count the cap: `_recount` does when there is
        self.cap_end = None if cap is None or self.choice is None else self.calendar.advance(self.mark, cap)
        reason = None if self.rules.pause_reason is None else self.rules.pause_reason(event, data)
        self._note(event, "pause", "" if reason is None else str(reason))

    def resume(self, event: Evidence) -> None:
        if self.mode != "paused":
            self._end_capped()
            return
        self._end_pause()
        self._note(event, "resume", "")

    def _end_capped(self) -> None:
        """An event ends a pause that its cap has ended before: on another calendar that may come later (`_recount`)."""
        if self.pauses and self.pauses[-1].ended is None:
            self.pauses[-1] = self.pauses[-1]._replace(ended=self.mark)

    def _keep_pause(self) -> None:
        """The present pause ends here."""
        self.pauses.append(Pause(self.pause_start, self.mark, self.cap, self.mark))

    def _end_pause(self) -> None:
        self._keep_pause()
        self.mode, self.cap_end, self.ahead = "running", None, None
        if self.over or self.choice is None:
            return
        if self._is_used_up():
            due = self.due_now()
            # a pause that took no working time has moved nothing: what was promised meanwhile stays promised
            stays = due is not None and due == self.choice.until and self.pending_cause is None
            self._freeze(due if stays and due is not None else self.mark, self.mark, self.pending_cause or ON_DUE)

    def stop(self, event: Evidence, data: Data) -> None:
        if self.mode == "stopped" and self.rules.objective.stop.take == "last":
            self._go_on(event.time, data, counted=True, cause=ON_DUE)
        if not self.is_open:
            return
        if self.mode == "paused":
            self._end_pause()
        self._end_capped()
        self.due = self.due_now()
        self.mode, self.stopped = "stopped", event.time
        self.over = self.is_late
        self._note(event, "stop", "")

    def cancel(self, event: Evidence, why: str = "cancel") -> None:
        """End it: cancelled if due has not passed, else closed late."""
        if not self.is_open:
            return
        past_due = self.over and self.due is not None and event.time > self.due
        if self.mode == "paused":
            self._keep_pause()
        self.mode, self.stopped = ("reset" if why == "reset" else "cancelled"), event.time
        if not past_due:
            self.due, self.over = None, False
        self._note(event, why, "")

    def reopen(self, event: Evidence, data: Data) -> None:
        """`continue`: the closed time is a pause; `count_all`: it counts."""
        if self.mode != "stopped":
            return
        counted = self.rules.objective.reopen.as_ == "count_all"
        self._note(event, "reopen", "the closed time counts" if counted else "the closed time is a pause")
        self._go_on(event.time, data, counted=counted, cause=ON_REOPEN)

    def _go_on(self, now: int, data: Data, *, counted: bool, cause: str) -> None:
        """Run again after a stop. A due that passed, or was reached, while closed stays where it is."""
        assert self.stopped is not None
        stopped, projected = self.stopped, self.due
        worked = self.calendar.worked(stopped, now)
        if counted:
            self.used += worked
        else:
            self.paused += worked
            self.pauses.append(Pause(stopped, now, None, now))
        self.mode, self.stopped, self.mark, self.waiting, self.ahead = "running", None, now, False, None
        if not self.over:
            self.due = None
            stays = counted or projected in (stopped, self.due_now())
            self._freeze_if_already_over(projected if stays else None, cause)
        if self.pending_change is not None:
            change, self.pending_change = self.pending_change, None
            self.change(change, data)

    def change(self, event: Evidence, data: Data) -> None:
        """The target is chosen anew, and carried, taken from the start, or restarted."""
        if self.mode == "stopped":
            self.pending_change = event
            return
        if not self.is_open or self.over or self._freeze_if_reached():
            return
        choice = self.rules.choose(event, data)
        if choice == self.choice:
            return
        how: str = self.rules.objective.change.as_
        if self.choice is None or how == "retroactive":
            how = "from the start"
        elif choice is not None and choice.target is self.choice.target:
            how = "carry"  # there is nothing to restart
        note = "no target" if choice is None else f"{how}, target {choice.target.index + 1}"
        self._note(event, "change", note if event.time == self.mark else f"{note}: it counts from the reopening")
        if choice is None:
            self.choice = None
        elif how == "from the start":
            self._take(choice, self.started)
            self._recount()
        elif how == "restart":
            self.used, self.pause_base = 0, self.paused
            self._take(choice, self.mark)
        else:
            self.pause_base = self.paused
            self._take(choice, self.started)
        self._check_after_change()

    def move(self, rules: DeadlineRules, data: Data) -> None:
        """Go on under another version of the agreement, as if it had ruled from the start (`apply_to: open`)."""
        if not self.is_open or self.over or self._freeze_if_reached():
            return
        self.rules = rules
        self.steps.append(Step(self.mark, "version", None, f"version {rules.version} applies, as if from the start"))
        if rules.when is not None and rules.when(self.opening, data) is False:
            self.steps.append(Step(self.mark, "when", None, ""))
            if self.mode == "paused":
                self._keep_pause()
            self.mode, self.stopped, self.due = "cancelled", self.mark, None
            return
        self.choice = rules.choose(self.opening, data)
        if self.choice is not None:
            self._take(self.choice, self.started)
            self._recount()
        self._check_after_change()

    def _check_after_change(self) -> None:
        self.pending_cause = None
        if not self._is_used_up():
            return
        if self.mode == "paused" and not self._is_fixed:
            self.pending_cause = ON_CHANGE  # the resume breaks it, or the end of the longest a pause may count
        else:
            self._freeze(self.mark, self.mark, ON_CHANGE)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _take(self, choice: Choice, start: int) -> None:
        """Run under a target from now on; its working time is that of a clock started at `start`."""
        previous = self.calendar
        self.warned, self.ahead = _NO_WARNINGS, None
        self.choice, self.calendar = choice, choice.target.calendar
        self.target = choice.target.budget(start)
        if self.calendar is not previous and self.mark > self.started:
            self.earlier += ((self.mark, previous),)
        if self.mode == "paused" and self.cap is not None and self.calendar is not previous:
            left = self.cap - previous.worked(self.pause_start, self.mark)
            self.cap_end = self.calendar.advance(self.mark, left)

    def _recount(self) -> None:
        """Used and paused time as if the present calendar had stood from the start."""
        worked, self.earlier, self.pause_base = self.calendar.worked, (), 0
        if self.mode == "paused":
            self.pauses.append(Pause(self.pause_start, self.mark, self.cap, None))
        self.mode, self.cap_end, told, self.pauses = "running", None, self.pauses, []
        self.steps = [step for step in self.steps if step.what != "resume" or step.event is not None]
        self.paused = 0
        for pause in told:
            cap_end = None if pause.cap is None else self.calendar.advance(pause.start, pause.cap)
            end = self.mark if pause.ended is None else pause.ended
            if pause.ended is None and (cap_end is None or cap_end > end):
                self.mode, self.pause_start, self.cap, self.cap_end = "paused", pause.start, pause.cap, cap_end
            else:
                if cap_end is not None and cap_end <= end:
                    end = cap_end
                    self.steps.append(_by_cap(end))
                self.pauses.append(pause._replace(end=end))
            self.paused += worked(pause.start, end)
        self.steps.sort(key=lambda step: step.instant)
        self.used = worked(self.started, self.mark) - self.paused

    def _freeze(self, due: int, breach_at: int, cause: str) -> None:
        self.over, self.due, self.breach_at, self.cause = True, due, breach_at, cause

    def _freeze_if_reached(self) -> bool:
        """Due reached at the first instant of a pause or a change is reached: whether it is."""
        if not self.over and self.choice is not None and self.due_now() == self.mark:
            self._freeze(self.mark, self.mark, self.pending_cause or ON_DUE)
        return self.over

    def _freeze_if_already_over(self, due: int | None, cause: str) -> None:
        if due is not None and due < self.mark:
            self._freeze(due, self.mark, cause)
        elif self._is_used_up():
            self._freeze(self.mark, self.mark, cause)

    def _is_used_up(self) -> bool:
        """Whether it is past its promise as things stand, wherever its due may have been put."""
        if self.choice is None:
            return False
        if self.choice.until is None:
            return self.target is not None and self.used > self.target
        due = self.choice.until if self._is_fixed else self._moved(self.choice.until)
        return due is not None and due < self.mark

    def _note(self, event: Evidence, what: str, note: str) -> None:
        self.steps.append(Step(max(event.time, self.mark), what, event.id, note))  # a change while stopped: at the reopening
        if event.id not in self.evidence:
            self.evidence.append(event.id)


class ClockFold:
    """The clocks of one objective in one case: its cycles, and the data merged so far.

    `take` is the fast path for evidence in order; `refold` starts again from all of it. Both run the same code.
    """

    __slots__ = ("cycles", "data", "editions", "last")

    def __init__(self, editions: Editions[DeadlineRules]) -> None:
        self.editions = editions
        self.cycles: list[Cycle] = []
        self.data: Data = {}
        self.last: int | None = None  # the time of the latest evidence folded

    def is_next(self, event: Evidence) -> bool:
        """Whether an event comes after all that was folded, so that `take` is enough."""
        return self.last is None or event.time > self.last

    def refold(self, events: list[Evidence], new: Evidence | None = None) -> None:
        """Fold evidence, in any order, from the start. `new`: that of it which was not folded before."""
        self.cycles, self.data, self.last = [], {}, None
        unknown = self.editions.unknown
        with unknown.again(None):
            ordered = in_order(events, self._rank)
        with unknown.again(new):
            for event in ordered:
                self.take(event)

    def _rank(self, event: Evidence) -> Role:
        rules = self.editions.in_force(event) or self.editions.newest()
        return rules.rank(event)

    def take(self, event: Evidence) -> None:
        """Fold the next event."""
        if self.editions.moves:
            self.move_to(event.time)
        self.last = event.time
        data = event.data
        if data:
            self.data = {**self.data, **data} if self.data else data
        cycle = self.cycles[-1] if self.cycles else None
        rules = self.editions.in_force(event) if cycle is None else cycle.rules
        if rules is None:
            return
        if cycle is not None:
            cycle.catch_up(event.time)
        for role, trigger in rules.roles.get(event.type, ()):
            if trigger.fires(event, self.data):
                self._act(role, event, rules)
        self._conditions(event)

    def move_to(self, instant: int) -> None:
        """Let the open clock go on under the versions that say `apply_to: open` and begin between the last evidence and an instant."""
        for move in self._moves_after(self.last):
            if move.instant <= instant:
                self.cycles[-1].catch_up(move.instant)
                self.cycles[-1].move(move.edition.rules, self.data)
                self.last = move.instant

    @property
    def next_move(self) -> int | None:
        """When the open clock goes on under another version if nothing more happens."""
        return next((move.instant for move in self._moves_after(self.last)), None)

    def _moves_after(self, instant: int | None) -> list[Move[DeadlineRules]]:
        cycle = self.cycles[-1] if self.cycles else None
        if cycle is None or not cycle.is_open or instant is None:
            return []
        opening, version = cycle.opening, cycle.rules.version
        return [
            move
            for move in self.editions.moves
            if move.instant > instant
            and move.edition.version > version
            and (move.edition.effective_to is None or move.instant < move.edition.effective_to)
            and move.edition.concerns(opening.vendor, opening.service)
        ]

    def _act(self, role: Role, event: Evidence, rules: DeadlineRules) -> None:
        cycle = self.cycles[-1] if self.cycles else None
        if cycle is None:
            if role is Role.START:
                self._open(event, rules)
            return
        match role:
            case Role.CHANGE:
                cycle.change(event, self.data)
            case Role.PAUSE:
                cycle.pause(event, self.data)
            case Role.RESUME:
                cycle.resume(event)
            case Role.RESET if cycle.mode != "cancelled":
                cycle.cancel(event, "reset")
                self._open_again(event, "reset")
            case Role.STOP:
                cycle.stop(event, self.data)
            case Role.REOPEN if cycle.mode == "stopped" and cycle.rules.objective.reopen.as_ == "new_cycle":
                self._open_again(event, "reopen")
            case Role.REOPEN:
                cycle.reopen(event, self.data)
            case Role.CANCEL:
                cycle.cancel(event)

    def _open(self, event: Evidence, rules: DeadlineRules, how: str = "start") -> None:
        if rules.when is None or rules.when(event, self.data) is True:
            self.cycles.append(Cycle(len(self.cycles) + 1, rules, event, self.data, how))

    def _open_again(self, event: Evidence, how: str) -> None:
        rules = self.editions.in_force(event)
        if rules is not None:
            self._open(event, rules, how)

    def _conditions(self, event: Evidence) -> None:
        """What any event of the case may decide: the objective's `when`, and `pause: {while: …}`."""
        cycle = self.cycles[-1] if self.cycles else None
        if cycle is None or not cycle.is_open:
            return
        rules = cycle.rules
        if rules.when is not None and rules.when(event, self.data) is False and not (cycle.over and event.time > (cycle.due or 0)):
            cycle.cancel(event, "when")
        if rules.pause_while is not None and cycle.is_open:
            paused = rules.pause_while(event, self.data)
            if paused is True and not cycle.waiting:
                cycle.pause(event, self.data)
            elif paused is False:
                cycle.resume(event)
            if paused is not None:
                cycle.waiting = paused
