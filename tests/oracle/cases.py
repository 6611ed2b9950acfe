"""Evidence of a case, put in order and folded: `deadline` objectives."""

from collections.abc import Callable
from typing import Any

from tests.oracle.clocks import Cycle
from tests.oracle.conditions import decide
from tests.oracle.hours import Hours
from tests.oracle.targets import Chooser
from tests.oracle.units import duration, instant

ROLES = ["start", "change", "pause", "resume", "reset", "stop", "reopen", "cancel"]
Event = dict[str, Any]
Objective = dict[str, Any]


def trigger(written: Any) -> dict[str, Any]:
    """`type`, `[types]` or `{on: …}` as {on: [types], …}."""
    if written is None:
        return {"on": []}
    spec = written if isinstance(written, dict) else {"on": written}
    types = spec.get("on", [])
    return spec | {"on": [types] if isinstance(types, str) else list(types)}


def matches(spec: dict[str, Any], event: Event) -> bool:
    """Whether the trigger names the event's type and poster."""
    by = spec.get("by", "any")
    return event["type"] in spec["on"] and by in {"any", event.get("role", "vendor")}


def in_order(events: list[Event], objective: Objective) -> list[Event]:
    """By time; at one instant by sequence if all are of one source and carry it, else by role (none: as a change), then (source, id)."""
    specs = [trigger(objective.get(role)) for role in ROLES]

    def rank(event: Event) -> int:
        return min((place for place, spec in enumerate(specs) if matches(spec, event)), default=ROLES.index("change"))

    out: list[Event] = []
    for time in sorted({instant(event["time"]) for event in events}):
        together = [event for event in events if instant(event["time"]) == time]
        together.sort(key=lambda e: (rank(e), e["source"], e["id"]))
        if len({e["source"] for e in together}) == 1 and all(e.get("sequence") is not None for e in together):
            together.sort(key=lambda e: str(e["sequence"]))
        out.extend(together)
    return out


class Fold:
    """One case under one deadline objective."""

    def __init__(
        self, agreement: dict[str, Any], objective: Objective, calendars: dict[str, Hours], governs: Callable[[int], bool]
    ) -> None:
        """``governs``: whether this version of the agreement is the one in force at an instant."""
        self._governs = governs
        self._specs = {role: trigger(objective.get(role)) for role in ROLES}
        self._when = objective.get("when")
        self._while = self._specs["pause"].get("while")
        self._last = self._specs["stop"].get("take") == "last"
        self._reopen_as = self._specs["reopen"].get("as", "continue")
        self._change_as = self._specs["change"].get("as", "carry")
        cap = self._specs["pause"].get("at_most")
        self._cap = None if cap is None else duration(cap)
        self._next_open = objective.get("boundary") == "next_open"
        self._chooser = Chooser(objective, agreement, calendars)
        self._data: dict[str, Any] = {}
        self._over = False  # cancelled: nothing after it counts
        self.cycles: list[Cycle] = []

    def feed(self, event: Event) -> None:
        """The next event in order."""
        at = instant(event["time"])
        self._data = {**self._data, **(event.get("data") or {})}
        if self._over:
            return
        if self.cycles:
            self.cycles[-1].advance(at)
        for role in ROLES:
            spec = self._specs[role]
            if matches(spec, event) and decide(spec.get("when"), self._data, event):
                getattr(self, f"_{role}")(event, at)
        self._look(event, at)

    def _open_cycle(self, event: Event, at: int) -> None:
        if decide(self._when, self._data, event):
            cycle = Cycle(len(self.cycles) + 1, at, self._chooser, self._cap, self._next_open)
            cycle.choose(self._chooser.choose(self._data, event))
            self.cycles.append(cycle)

    def _look(self, event: Event, at: int) -> None:
        """What any event of the case may decide: `pause: {while: …}`, then `when`."""
        if not self.cycles or not self.cycles[-1].open:
            return
        cycle = self.cycles[-1]
        if self._while is not None:
            holds = decide(self._while, self._data, event)
            if holds is not None and holds != cycle.waiting:
                cycle.waiting = holds
                (cycle.pause if holds else cycle.resume)(at)
        if decide(self._when, self._data, event) is False and not cycle.past_due(at):
            self._cancel(event, at)

    def _start(self, event: Event, at: int) -> None:
        if not self.cycles and self._governs(at):
            self._open_cycle(event, at)

    def _change(self, event: Event, at: int) -> None:
        if self.cycles and self.cycles[-1].ended == "stop":
            self.cycles[-1].change_waits = True
        elif self.cycles:
            self.cycles[-1].change(self._chooser.choose(self._data, event), self._change_as, at)

    def _pause(self, _event: Event, at: int) -> None:
        if self.cycles:
            self.cycles[-1].pause(at)

    def _resume(self, _event: Event, at: int) -> None:
        if self.cycles:
            self.cycles[-1].resume(at)

    def _reset(self, event: Event, at: int) -> None:
        if self.cycles:
            if self.cycles[-1].open:
                self.cycles[-1].cancel(at)
            self._open_cycle(event, at)

    def _stop(self, event: Event, at: int) -> None:
        if not self.cycles:
            return
        cycle = self.cycles[-1]
        if cycle.ended == "stop" and self._last:
            self._open_again(event, at, "rerun")
        if cycle.open:
            cycle.stop(at)

    def _open_again(self, event: Event, at: int, how: str) -> None:
        """Reopen the current cycle; a change that waited for it counts now."""
        cycle = self.cycles[-1]
        cycle.reopen(at, how)
        if cycle.change_waits:
            cycle.change_waits = False
            cycle.change(self._chooser.choose(self._data, event), self._change_as, at)

    def _reopen(self, event: Event, at: int) -> None:
        if not self.cycles or self.cycles[-1].ended != "stop":
            return
        if self._reopen_as == "new_cycle":
            self._open_cycle(event, at)
        else:
            self._open_again(event, at, "rerun" if self._reopen_as == "count_all" else "reopen")

    def _cancel(self, _event: Event, at: int) -> None:
        if self.cycles and self.cycles[-1].open:
            self.cycles[-1].cancel(at)
            self._over = True
