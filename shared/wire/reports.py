"""The files that `slawatch replay` writes (interfaces.md section 6): lines of cases, and the summary."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from shared.sla.books import CaseLine
from shared.sla.instants import format_instant, or_none_instant, or_none_seconds
from shared.sla.levels import LevelLine

CLOCK_STATES = ("running", "paused", "met", "breached", "breached_closed", "cancelled", "skipped")
LEVEL_STATES = ("met", "breached", "no_data", "at_risk")


def case_line(line: CaseLine) -> dict[str, Any]:
    """One line of `cases.ndjson`."""
    view = line.view
    return {
        "agreement": line.agreement,
        "version": line.version,
        "objective": line.objective,
        "vendor": line.vendor,
        "service": line.service,
        "case": line.case,
        "cycle": line.cycle,
        "state": view.state,
        "started": format_instant(view.started),
        "due": or_none_instant(view.due),
        "stopped": or_none_instant(view.stopped),
        "elapsed_s": or_none_seconds(view.elapsed),
        "target_s": or_none_seconds(view.target),
        "paused_s": or_none_seconds(view.paused),
        "late_s": or_none_seconds(view.late),
        "overdue_s": or_none_seconds(view.overdue),
        "event": line.event,
        "revision": line.revision,
    }


def level_line(line: LevelLine) -> dict[str, Any]:
    """One line of `levels.ndjson`. A percentile from a sketch is marked `approximate`."""
    told = {
        "agreement": line.agreement,
        "version": line.version,
        "objective": line.objective,
        "vendor": line.vendor,
        "service": line.service,
        "window_start": format_instant(line.window_start),
        "window_end": format_instant(line.window_end),
        "good": line.good,
        "total": line.total,
        "value": line.value,
        "target": line.target,
        "state": line.state,
        "provisional": line.provisional,
    }
    return {**told, "approximate": True} if line.approximate else told


class Summary:
    """`summary.json`, gathered line by line."""

    def __init__(self, objectives: Iterable[tuple[str, str]]) -> None:
        """`objectives`: (agreement, objective) that are listed even if nothing happened."""
        self._names = sorted(set(objectives))
        self._clocks: Counter[tuple[str, str, str, str]] = Counter()  # vendor, agreement, objective, state
        self._levels: Counter[tuple[str, str, str, str]] = Counter()  # likewise

    def add(self, line: CaseLine) -> None:
        """Count a clock."""
        self.count(line.vendor, line.agreement, line.objective, line.view.state)

    def count(self, vendor: str, agreement: str, objective: str, state: str) -> None:
        """Count a clock in a state."""
        self._clocks[vendor, agreement, objective, state] += 1

    def add_level(self, line: LevelLine) -> None:
        """Count a window."""
        self._levels[line.vendor, line.agreement, line.objective, line.state] += 1

    def document(self, counts: Counter[str], *, by_vendor: bool) -> dict[str, Any]:
        """The document; `counts` are the engine's."""
        whole: dict[str, Any] = {name: counts[name] for name in ("events_read", "duplicates", "quarantined", "late")}
        whole["agreements"] = self._section(None)
        if by_vendor:
            whole["by_vendor"] = {vendor: self._section(vendor) for vendor in sorted({key[0] for key in (*self._clocks, *self._levels)})}
        return whole

    def _section(self, vendor: str | None) -> dict[str, Any]:
        section: dict[str, Any] = {}
        for agreement, objective in self._names:
            entry = {"clocks": dict.fromkeys(CLOCK_STATES, 0), "levels": dict.fromkeys(LEVEL_STATES, 0)}
            for kind, counted in (("clocks", self._clocks), ("levels", self._levels)):
                for (of, name, which, state), count in counted.items():
                    if (name, which) == (agreement, objective) and vendor in (None, of):
                        entry[kind][state] += count
            section.setdefault(agreement, {})[objective] = entry
        return section
