"""Cases that leave: a case whose clocks are all closed, the horizon after its last evidence, is over at the end of that hour.

For histories of deadlines in order of time, in event mode: there a clock is closed, and a breach stated last, by evidence; and its
breach is final a horizon later.
"""

from typing import Any

from tests.oracle import oracle
from tests.oracle.units import duration, instant, written

HOUR = 3_600_000
OPEN = {"running", "paused", "breached", "skipped"}
Document = dict[str, Any]
Line = dict[str, Any]


def case_lines(agreement: Document, calendars: list[Document], events: list[Document], until: str) -> list[Line]:
    """The lines of all cases, each as its first life left it, and of clocks that first began in a later one."""
    out: list[Line] = []
    own = [instant(event["time"]) for event in oracle.evidence(events)]
    for case in sorted({(event["service"], event["subject"]) for event in events}):
        mine = [event for event in oracle.evidence(events) if (event["service"], event["subject"]) == case]
        begun: set[str] = set()
        for life, end in _lives(agreement, calendars, mine, max(own)):
            lines = oracle.case_lines([agreement], calendars, life, written(max(end, instant(until))))
            out += [line for line in lines if line["objective"] not in begun]
            begun |= {line["objective"] for line in lines}
    return out


def _lives(agreement: Document, calendars: list[Document], events: list[Document], last: int) -> list[tuple[list[Document], int]]:
    """A case's evidence, cut where it left, each with log time when it was seen last."""
    horizon = duration(agreement["horizon"])
    lives: list[list[Document]] = [[]]
    over: set[str] = set()
    for event in events:
        at = instant(event["time"])
        life = lives[-1]
        if life and -(-(instant(life[-1]["time"]) + horizon) // HOUR) * HOUR < at:
            lines = oracle.case_lines([agreement], calendars, life, written(at - 1))
            lines = [line for line in lines if line["objective"] not in over]
            if not any(line["state"] in OPEN and (line["state"] != "skipped" or line["stopped"] is None) for line in lines):
                over |= {line["objective"] for line in lines}
                lives.append([])
        lives[-1].append(event)
    return [(life, last) for life in lives]
