"""Rolling windows: kept in buckets on a grid of sixtieths, looked at as each bucket ends, said on transitions only.

    |--------------- length ---------------|
       |--------------- length ---------------|        one bucket later

Late evidence changes the current window only. All instants are milliseconds.
"""

from collections.abc import Iterator

from shared.sla.books import HELD, Moment, Schedule, Timer
from shared.sla.breaches import Place, Standing
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER
from shared.sla.intervals import Interval
from shared.sla.level_rules import LevelRules
from shared.sla.levels import LevelBook, LevelLine, Window, level_statement, line_of, risks_of
from shared.sla.measures import Measured
from shared.sla.meters import Outlook, Touched
from shared.sla.statements import Statement
from shared.sla.windows import Span, Timetable


class _Turn:
    """A transition: the level came to another state, in the window that ended then."""

    __slots__ = ("measured", "state", "window")

    def __init__(self, window: Window, measured: Measured, state: str) -> None:
        self.window, self.measured, self.state = window, measured, state


class RollingBook(LevelBook):
    """One rolling objective for one (vendor, service)."""

    def __init__(self, place: Place, timetable: Timetable[LevelRules], *, is_availability: bool) -> None:
        super().__init__(place, timetable, is_availability=is_availability)
        self._turns: list[_Turn] = []
        self._looked: int | None = None  # the last edge looked at
        self._waits: set[int] = set()  # the edges that timers wait for
        self._standing = Standing()  # of the breach that lasts, or of the last
        self._breach: Window | None = None  # the window in which it was opened

    def _window(self, edge: int) -> Window | None:
        """The window that ends at an edge of the grid."""
        span = self.timetable.at(edge - 1)
        if span is None:
            return None
        rules, begin = span.rules, self.timetable.first
        length = rules.objective.window.length or 0
        civil = rules.zone.to_instant(rules.zone.to_local(edge) - length)
        start = min(civil, edge - length)  # in the hour after clocks went forward, `civil` may be the edge itself
        return Span(start if begin is None else max(start, begin), edge, rules)

    def _window_of(self, span: Window) -> Window | None:
        return self._window(span.end)

    @property
    def reached(self) -> Interval:
        return (-FOREVER, FOREVER) if self._has_begun else (FOREVER, FOREVER)

    @property
    def _has_begun(self) -> bool:
        return self._looked is not None or bool(self._waits)

    def _reach(self, instant: int, now: Moment, schedule: Schedule) -> None:
        """The first window is looked at, whatever it holds: missing data is not good. From then on, those that something is in."""
        if not self._has_begun:
            self._look_at((instant, FOREVER), self._passed(now), now, schedule)

    def _refused(self, touched: Touched, event: Evidence | None, since: int, now: Moment) -> list[Statement] | None:
        return None  # late evidence changes current windows, and those only

    def _judge(self, touched: Touched, evidence: tuple[str, ...], now: Moment, schedule: Schedule) -> list[Statement]:
        """Windows that ended before the current one stay as they were looked at, or were not."""
        said: list[Statement] = []
        looked, passed = self._looked, self._passed(now)
        for interval in touched:
            self._look_at(interval, passed, now, schedule)
        if looked is not None and (passed is None or looked >= passed):
            window = self._window(looked)
            if window is not None and any(start < window.end and end > window.start for start, end in touched):
                said = self._turn(window, self._measure(window), evidence, now)
        return said

    def _look_at(self, interval: Interval, passed: int | None, now: Moment, schedule: Schedule) -> None:
        """An interval is to be looked at, as far as it lies in the current window or in those to come."""
        start, end = interval
        span, looked = self.timetable.following(start), self._looked  # what is down when the agreement begins is down
        if span is None:
            return
        edge = span.end
        if passed is not None:
            edge = max(edge, min((waits for waits in self._waits if waits <= passed), default=passed))
        if looked is not None and edge <= looked:
            edge = self._after(looked)
        window = self._window(edge)
        if window is not None and start < edge and end > window.start:
            self._wait_for(edge, span.rules, now, schedule)

    def _passed(self, now: Moment) -> int | None:
        """The last edge before log time; None where there is none."""
        span = self.timetable.at(now.log_time)
        span = None if span is None else self.timetable.at(now.log_time - span.rules.grace - 1)
        return None if span is None else span.start

    def _after(self, edge: int) -> int:
        span = self.timetable.at(edge)
        return edge + 1 if span is None else span.end

    def _wait_for(self, edge: int, rules: LevelRules, now: Moment, schedule: Schedule) -> None:
        if edge not in self._waits:
            self._waits.add(edge)
            self._wait("edge", edge, edge, rules, now, schedule)

    def _fire(self, timer: Timer, start: int, now: Moment, schedule: Schedule) -> list[Statement]:
        if start not in self._waits:
            return []
        if timer.what == HELD + "edge" and (window := self._window(start)) is not None:
            self._go_on(window, self._measure(window), now, schedule)
        if timer.what != "edge":
            return []
        self._waits.discard(start)
        if self._looked is not None and start <= self._looked:
            return []
        last, self._looked, now = self._looked, start, now.not_before(self._standing.decided_at)
        window = self._window(start)
        if window is None:
            return self._end(last, now)
        measured = self._measure(window)
        said = self._turn(window, measured, (), now)
        self.marks.forget_until(2 * window.start - window.end)  # late evidence may look at the window before
        self._go_on(window, measured, now, schedule)
        return said

    def _end(self, last: int | None, now: Moment) -> list[Statement]:
        """No version rules any more: a breach that lasts ends with the last window, which ended at `last`."""
        window = None if last is None else self._window(last)
        if window is None or self._standing.state != "breached":
            return []
        measured = self._measure(window)
        self._turns.append(_Turn(window, measured, "no_data"))
        return self._say(window, measured, "no_data", self.meter.evidence(window.start, window.end), now, disproved=False)

    def restate(self, now: Moment, schedule: Schedule) -> list[Statement]:
        self._forget()
        window, measured = self._breach, self._turns[-1].measured if self._turns else None
        if window is None or measured is None or self.timetable.at(window.end - 1) is not None:
            return []
        kinds = list(self._standing.bring_to(None, None, now))  # no version rules there now
        self._turns.clear()
        told = {"state": "retracted", "cause": "level"}
        return [level_statement(self.place, kind, window.end, window, measured, self._standing, now, **told) for kind in kinds]

    def _go_on(self, window: Window, measured: Measured, now: Moment, schedule: Schedule) -> None:
        """Wait for the next edge while anything is in the window, or is down, be it out of hours."""
        if measured.events:
            self._wait_for(self._after(window.end), window.rules, now, schedule)
        elif self.downtime is not None and (again := self.downtime.goes_on(window.end, window.rules.calendar)) is not None:
            self._wait_for(self._after(again), window.rules, now, schedule)

    def _measure(self, window: Window) -> Measured:
        return self.meter.measure(window.start, window.end, window.rules, window.end)

    def _state(self, window: Window, measured: Measured) -> str:
        state = window.rules.state(measured)
        if state == "met" and measured.value is not None and window.rules.warnings:
            used = window.rules.used_by(measured.value)
            if any(risks_of(window.rules, Outlook(False, None, used, None, None))):
                return "at_risk"
        return state

    def _turn(self, window: Window, measured: Measured, evidence: tuple[str, ...], now: Moment) -> list[Statement]:
        """Say that the level came to another state, if it did."""
        turns = self._turns
        state, stated = self._state(window, measured), turns[-1].state if turns else None
        again = bool(turns) and turns[-1].window.end == window.end  # late evidence: the same window as before
        if again:
            turns.pop()
        if not turns or turns[-1].state != state:
            turns.append(_Turn(window, measured, state))
        if state == stated:
            return []
        return self._say(window, measured, state, evidence or self.meter.evidence(window.start, window.end), now, disproved=again)

    def _say(
        self, window: Window, measured: Measured, state: str, evidence: tuple[str, ...], now: Moment, *, disproved: bool
    ) -> list[Statement]:
        said: list[Statement] = []
        if state == "breached" and self._standing.state != "breached":
            if self._breach is None or self._breach.end != window.end:
                self._standing, self._breach = Standing(), window
            kinds = self._standing.bring_to("breached", None, now)
        elif state != "breached" and self._standing.state == "breached":
            undone = disproved and self._breach is not None and self._breach.end == window.end
            kinds = self._standing.bring_to(None if undone else "breached_closed", None, now)
        else:
            kinds = iter(())
        for kind in kinds:
            told = {"state": self._standing.state, "cause": "level", "evidence": evidence}
            of = self._breach or window
            said.append(level_statement(self.place, kind, window.end, of, measured, self._standing, now, **told))
        if state != "breached":
            standing = Standing()
            told = {"state": state, "evidence": evidence}
            said.append(level_statement(self.place, f"slawatch.level.{state}", window.end, window, measured, standing, now, **told))
        return said

    def _current(self, edge: int) -> tuple[Window, Standing]:
        window = self._window(edge)
        assert window is not None
        return window, Standing()

    def lines(self, log_time: int) -> Iterator[LevelLine]:
        for turn in self._turns:
            yield line_of(self.place, turn.window, turn.measured, turn.state, provisional=False)
