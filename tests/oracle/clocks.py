"""One cycle of one clock, told as a script of what happened and re-walked from its start for every question asked of it.

start ── run ── pause ── run ── stop ▒▒ closed ▒▒ reopen ── run ── …
"""

from dataclasses import dataclass, field
from typing import Any

from tests.oracle.hours import Hours
from tests.oracle.targets import Choice, Chooser

NEVER = 10**18


@dataclass(frozen=True)
class Span:
    """A stretch of the clock's life on one calendar (None: no target chosen yet). ``counts``: used time, else pause."""

    start: int
    end: int
    counts: bool
    hours: Hours | None

    def work(self, frm: int = -NEVER) -> int:
        """Working milliseconds of the stretch, or of its part from ``frm`` on."""
        return self.hours.worked(max(self.start, frm), self.end) if self.hours else 0


@dataclass
class Cycle:
    """``due`` is the instant at which the target was used up, once walked over; ``breach_at`` when the breach is called (before grace)."""

    number: int
    started: int
    chooser: Chooser
    pause_cap: int | None
    next_open: bool
    choice: Choice | None = None
    work: int | None = None  # what the target grants, None while there is none
    due: int | None = None
    breach_at: int | None = None
    stopped: int | None = None
    ended: str | None = None  # "stop", "cancel", "late" (cancelled or reset after due)
    proven: bool = False  # stopped after due, and open again since
    waiting: bool = False  # `pause: {while: …}` holds
    change_waits: bool = False  # a change while stopped
    stop_due: int | None = None  # due as it stood at the stop
    anchor: int = 0  # where a promised instant was given: the start, or the change
    before: tuple[int, int] = (0, 0)  # used and paused by then
    promise: int | None = None  # of an `until`, moved forward where a change made it over
    promise_from_resume: bool = False  # it was past when it was given in a pause: due is where that ends, if nothing moves it
    over_from_resume: bool = False  # and by working time, so that nothing can
    counted_from: int = -NEVER  # `restart` forgets the time used before
    now: int = field(init=False)
    script: list[tuple[int, str]] = field(default_factory=list)  # pause, resume, stop, reopen (closed time pauses), rerun (it counts)
    calendars: list[tuple[int, Hours | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.started

    # --- what the script says -------------------------------------------------------------------------------------------------

    def _hours_at(self, at: int) -> Hours | None:
        return [hours for frm, hours in self.calendars if frm <= at][-1]

    def spans(self, to: int) -> list[Span]:
        """The clock's life up to ``to``, without what lies after its end."""
        spans: list[Span] = []
        pauses: list[int] = []  # working time still allowed to each open pause
        closed_since: int | None = None
        at = self.started

        def lay(end: int) -> None:
            """Lay the spans of [at, end), while pauses run out and calendars change."""
            nonlocal at
            while at < end:
                hours = self._hours_at(at)
                stop = min([end] + [frm for frm, _ in self.calendars if frm > at])
                live = [left for left in pauses if left > 0]
                if live and hours:
                    stop = min(stop, max(NEVER if left >= NEVER else hours.after(at, left) for left in live))
                span = Span(at, stop, not live, hours)
                spans.append(span)
                used = span.work()
                pauses[:] = [left if left >= NEVER else left - used for left in live]
                at = stop

        for when, what in self.script:
            if when > to:
                break
            if closed_since is None:
                lay(when)
            if what == "pause":
                pauses.append(NEVER if self.pause_cap is None else self.pause_cap)
            elif what == "resume":
                pauses.clear()
            elif what == "stop":
                pauses.clear()
                closed_since = when
            elif what == "rerun":
                lay(when)
                closed_since = None
            elif what == "reopen":
                pauses.append(NEVER)  # the closed time is a pause without cap
                lay(when)
                pauses.clear()
                closed_since = None
        if closed_since is None:
            lay(to)
        self._live_pause = any(left > 0 for left in pauses)
        return spans

    def paused_at(self, to: int) -> bool:
        """Whether a pause is in effect at the instant, everything the script says of that instant done."""
        self.spans(to)
        return self._live_pause

    def held(self, to: int) -> bool:
        """Paused, and under a target that pauses hold back."""
        return self.paused_at(to) and not (self.choice is not None and self.choice.plain_until)

    def used(self, to: int) -> int:
        """Working milliseconds used by ``to`` (since the last restart)."""
        return sum(span.work(self.counted_from) for span in self.spans(to) if span.counts and span.end > self.counted_from)

    def paused(self, to: int) -> int:
        """Working milliseconds paused by ``to``."""
        return sum(span.work() for span in self.spans(to) if not span.counts)

    # --- walking --------------------------------------------------------------------------------------------------------------

    def projected(self, at: int) -> int:
        """Where due would be if the clock ran from ``at`` on."""
        assert self.choice is not None
        assert self.work is not None
        if self.choice.plain_until:
            assert self.promise is not None
            return self.promise
        if self.over_from_resume:
            return at
        hours, used = self.choice.hours, self.used(at)
        if self.promise is not None and (used - self.before[0], self.paused(at) - self.before[1]) == (hours.worked(self.anchor, at), 0):
            return at if self.promise_from_resume else self.promise  # nothing has moved it
        if used > self.work:
            return at
        due = hours.after(at, self.work - used)
        return hours.opening(due) if self.next_open else due

    def reach(self, at: int) -> None:
        """If the clock runs at ``at`` and its due is not after it, that is its due for good."""
        if self.due is None and self.choice is not None and not self.held(at):
            due = self.projected(at)
            if due <= at:
                self.due, self.breach_at = due, at

    def advance(self, to: int) -> None:
        """Walk to ``to``, noticing the due on the way."""
        if self.open and self.choice is not None and self.due is None:
            runs = [max(span.start, self.now) for span in self.spans(to) if span.counts and span.end > self.now]
            if self.choice.plain_until:
                runs = [self.now]
            if runs or not self.paused_at(to):
                at = runs[0] if runs else to  # nothing pauses again before `to`
                due = self.projected(at)
                if due <= to:
                    self.due, self.breach_at = due, max(due, at)
        self.now = max(self.now, to)

    @property
    def open(self) -> bool:
        """Neither stopped nor cancelled."""
        return self.ended is None

    def past_due(self, at: int) -> bool:
        """Whether due is reached and ``at`` is after it."""
        return self.due is not None and at > self.due

    # --- what may happen ------------------------------------------------------------------------------------------------------

    def choose(self, choice: Choice | None) -> None:
        """The target at the start."""
        self.calendars = [(self.started, choice.hours if choice else None)]
        self._take(choice, self.started)
        if choice and choice.promise is not None and choice.promise < self.started:
            self.due, self.breach_at = choice.promise, self.started  # a promise already past
        self.reach(self.started)

    def _take(self, choice: Choice | None, anchor: int) -> None:
        self.choice, self.anchor = choice, anchor
        self.before = (self.used(anchor), self.paused(anchor))
        self.work = self.chooser.work(choice, anchor) if choice else None
        if choice and choice.promise is not None and self.work is not None:
            self.work += self.before[0]
        self.promise = choice.promise if choice else None
        self.promise_from_resume = self.over_from_resume = False

    def pause(self, at: int) -> None:
        """Pause, if open."""
        if self.open:
            self.script.append((at, "pause"))

    def resume(self, at: int) -> None:
        """End all pauses."""
        if self.open:
            self.script.append((at, "resume"))
            self.reach(at)

    def change(self, choice: Choice | None, how: str, at: int) -> None:
        """Another target, unless due is reached."""
        if not self.open or self.due is not None or (choice.same_as(self.choice) if choice else self.choice is None):
            return
        known = self.choice
        hours = choice.hours if choice else None
        if choice is None:
            self.calendars.append((at, hours))
            self._take(None, at)
            return
        if known is None or how == "retroactive":
            self.counted_from = -NEVER
            self.calendars = [(self.started, hours)]
            self._take(choice, self.started)
        elif how == "restart" and choice.index != known.index:
            self.counted_from = at
            self.calendars.append((at, hours))
            self._take(choice, at)
        else:
            self.calendars.append((at, hours))
            self._take(choice, at if choice.promise is not None else self.started)
        paused = self.held(at)
        if self.promise is not None and self.promise < at:
            lost = choice.hours.worked(self.promise, at)
            self.promise, self.promise_from_resume = at, paused
            self.over_from_resume = paused and lost > self.paused(at) - self.before[1]
        self.reach(at)

    def stop(self, at: int) -> None:
        """Done: a pause ends, due is what it was or would be."""
        self.script.append((at, "stop"))
        self.waiting = False
        self.stopped, self.ended = at, "stop"
        if self.choice is not None and self.due is None:
            due = self.projected(at)
            self.stop_due = due
            if due <= at:
                self.due, self.breach_at = due, at
        else:
            self.stop_due = self.due

    def reopen(self, at: int, how: str) -> None:
        """Open again; ``how`` is "reopen" (the closed time is a pause) or "rerun" (it counts)."""
        self.script.append((at, how))
        self.proven = self.proven or (self.stopped is not None and self.past_due(self.stopped))
        heedless = how == "rerun" or (self.choice is not None and self.choice.plain_until)  # due comes nearer while closed
        if self.due is None and heedless and self.stop_due is not None and self.stop_due <= at:
            self.due = self.stop_due
        if self.due is not None and (self.breach_at is None or self.stopped is None or self.stopped <= self.due):
            self.breach_at = at  # over, but not before it was open again
        self.ended = self.stopped = None
        self.now = at
        self.reach(at)

    def cancel(self, at: int) -> None:
        """Cancel, `when` turned false, or reset."""
        self.stopped, self.ended = at, "late" if self.past_due(at) else "cancel"

    # --- the line -------------------------------------------------------------------------------------------------------------

    def line(self, log_time: int, grace: int) -> dict[str, Any]:
        """State and numbers at the end of the log, instants and durations in milliseconds."""
        self.advance(log_time)
        end = log_time if self.stopped is None else self.stopped
        end = max(end, self.started)
        state, due = self._state(end, log_time, grace)
        late = state in {"breached", "breached_closed"}
        line: dict[str, Any] = {"cycle": self.number, "state": state, "started": self.started, "due": due, "stopped": self.stopped}
        if self.choice is None or self.work is None:
            return line | dict.fromkeys(["elapsed", "target", "paused", "late", "overdue"]) | {"stopped": None, "state": "skipped"}
        return line | {
            "elapsed": self.used(end),
            "target": None if self.promise is not None else self.work,
            "paused": self.paused(end),
            "late": self.choice.hours.worked(due, end) if late and due is not None else None,
            "overdue": end - due if late and due is not None else None,
        }

    def _state(self, end: int, log_time: int, grace: int) -> tuple[str, int | None]:
        if self.choice is None:
            return "skipped", None
        if self.ended == "stop":
            assert self.stop_due is not None
            return ("met" if end <= self.stop_due else "breached_closed"), self.stop_due
        if self.ended == "cancel":
            return "cancelled", None
        if self.ended == "late":
            return "breached_closed", self.due
        if self.due is not None:
            assert self.breach_at is not None
            waiting = "paused" if self.paused_at(end) else "running"
            return ("breached" if self.proven or self.breach_at + grace < log_time else waiting), self.due
        if self.paused_at(end):
            return "paused", self.projected(end) if self.choice.plain_until else None
        return "running", self.projected(end)
