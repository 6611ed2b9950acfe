"""The faults that are planted, one at a time. `old` stands exactly once in its module of `shared/sla`."""

from typing import Final, NamedTuple


class Fault(NamedTuple):
    """One mistake that somebody might make."""

    name: str
    module: str
    old: str
    new: str


FAULTS: Final = (
    Fault("done at due is late", "clocks", "and self.stopped > self.due", "and self.stopped >= self.due"),
    Fault("at equality the timer goes first", "timers", "heap[0].at >= log_time", "heap[0].at > log_time"),
    Fault(
        "a pause is not clipped to working time",
        "clocks",
        "        else:\n            self.paused += worked\n        self.mark = instant",
        "        else:\n            self.paused += instant - self.mark\n        self.mark = instant",
    ),
    Fault("a duplicate is evidence again", "engine", "known = posted.get(event.id)\n", "known = None\n"),
    Fault("deadlines have no grace", "books", "cycle.breach_instant(), cycle.rules.grace", "cycle.breach_instant(), 0"),
    Fault(
        "late evidence has no grace of its own",
        "books",
        "instant = max(about, self.log_time - grace if self.arrival is None else self.arrival)",
        "instant = about",
    ),
    Fault("a verdict can be corrected for ever", "books", "now.log_time > stated.decided_at + terms.horizon", "now.log_time < 0"),
    Fault("back-dated evidence erases breaches unseen", "books", "now.arrival - since > terms.max_lateness", "now.arrival < 0"),
    Fault("revisions stand still", "books", "else stated.revision + 1", "else stated.revision"),
    Fault("roles have no order at one instant", "rules", "(rank(event), event.source, event.id)", "(event.source, event.id)"),
    Fault("time used is forgotten", "clocks", "start, self.target - self.used, next_open", "start, self.target, next_open"),
    Fault("a warning is repeated", "books", "stated.warned.add((label, target))", "stated.warned.clear()"),
    Fault("a wall time in the gap moves back", "calendars", "return local - self._offsets[i - 1]", "return local - self._offsets[i]"),
    Fault(
        "due at closing time moves to the opening", "calendars", "find = bisect_right if next_open else bisect_left", "find = bisect_right"
    ),
    Fault("open clocks leave their version", "rules", "if ordinal <= known and", "if ordinal >= 0 and"),
    Fault(
        "a contested event counts all the same",
        "books",
        "self.excluded.add(event.key)\n        if superseded",
        'self.excluded.add(("", ""))\n        if superseded',
    ),
)
