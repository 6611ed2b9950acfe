"""The explained timeline of a breach as a drawing: where everything stands, in units of the picture. Pure.

open hours   ▒▒▒▒▒▒▒      ▒▒▒▒▒▒▒▒     ▒▒▒▒▒▒▒
the clock    ├─ used ─┤ paused ├──┤══ late ═══▶
evidence     ▲        ▲        ▲
what was     ●start   ◆warning   │due  ●breach     ◆acknowledged
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from shared.sla.instants import DAY, HOUR, MINUTE, SECOND

WIDTH: Final = 1000
MARGIN: Final = 14  # on both sides, so that marks at the ends are whole
TICKS_MAX: Final = 7
_STEPS: Final = tuple(
    size * unit
    for unit, sizes in ((SECOND, (1, 5, 15, 30)), (MINUTE, (1, 5, 15, 30)), (HOUR, (1, 3, 6, 12)), (DAY, (1, 2, 7, 14, 30, 90, 365)))
    for size in sizes
)
MarkKind = Literal["started", "due", "stopped", "statement", "action", "delivery", "evidence"]


class Span(NamedTuple):
    """A stretch of the picture; `start` and `end` are instants (ms), `why` is said of it."""

    x: float
    width: float
    start: int
    end: int
    why: str = ""


class Mark(NamedTuple):
    """Something that happened; `kind` chooses its shape, `tone` its colour."""

    x: float
    at: int
    kind: MarkKind
    tone: str
    label: str


class Drawing(NamedTuple):
    """All of it. `hours` is None where the calendar is not known; `step` is how far the axis' ticks are apart (ms)."""

    start: int
    end: int
    hours: list[Span] | None
    used: Span | None
    late: Span | None
    held: Span | None
    pauses: list[Span]
    marks: list[Mark]
    ticks: list[Mark]
    step: int


class Told(NamedTuple):
    """What is known of a breach, instants in ms. `held`: the blind time that kept the verdict back; `over`: nothing is running any more;
    `pauses`: from, to and why, where they are known."""

    started: int | None
    due: int | None
    stopped: int | None
    breached: bool
    over: bool
    held: tuple[int, int] | None
    happened: Sequence[tuple[int, MarkKind, str, str]]  # at, kind, tone, label
    pauses: Sequence[tuple[int, int, str]] = ()


def bounds(told: Told, now: int) -> tuple[int, int]:
    """From when to when the picture goes: all that is known, and now while the breach is open."""
    instants = [at for at in (told.started, told.due, told.stopped) if at is not None] + [line[0] for line in told.happened]
    if not told.over:
        instants.append(now)
    start, end = min(instants, default=now), max(instants, default=now)
    return start, max(end, start + SECOND)


def draw(told: Told, now: int, hours: Sequence[tuple[int, int]] | None, labels: dict[str, str]) -> Drawing:
    """The drawing; `hours` are the open hours of the calendar within `bounds`, `labels` name started, due and stopped."""
    start, end = bounds(told, now)
    scale = (WIDTH - 2 * MARGIN) / (end - start)

    def x(at: int) -> float:
        return round(MARGIN + (min(max(at, start), end) - start) * scale, 1)

    def span(first: int | None, last: int | None, why: str = "") -> Span | None:
        if first is None or last is None or last <= first:
            return None
        return Span(x(first), max(1.0, round(x(last) - x(first), 1)), first, last, why)

    ended = told.stopped if told.stopped is not None else None if told.over else now
    used_until = min((at for at in (told.due, ended) if at is not None), default=None)
    late = span(told.due, ended if ended is not None else end) if told.breached else None
    marks = [
        Mark(x(at), at, kind, kind, labels[kind])
        for at, kind in _corners(told)  # their labels stand above the bar
    ] + [Mark(x(at), at, kind, tone, label) for at, kind, tone, label in told.happened]
    step = next((step for step in _STEPS if (end - start) / step <= TICKS_MAX), _STEPS[-1])
    first = -(-start // step) * step
    ticks = [Mark(x(at), at, "statement", "tick", "") for at in range(first, end + 1, step)][: TICKS_MAX + 1]
    open_ = None if hours is None else [found for found in (span(*pair) for pair in hours) if found]
    held = span(*told.held) if told.held else None
    pauses = [found for found in (span(*pause) for pause in told.pauses) if found]
    return Drawing(start, end, open_, span(told.started, used_until), late, held, pauses, marks, ticks, step)


def _corners(told: Told) -> list[tuple[int, MarkKind]]:
    pairs: list[tuple[int | None, MarkKind]] = [(told.started, "started"), (told.due, "due"), (told.stopped, "stopped")]
    return [(at, kind) for at, kind in pairs if at is not None]


def sparkline(values: Sequence[float], width: int = 120, height: int = 28) -> str:
    """The points of a polyline through the values, oldest first; its foot is zero."""
    top = max([*values, 1e-9])
    across = (width - 4) / max(1, len(values) - 1)
    return " ".join(f"{2 + n * across:.1f},{height - 2 - max(0.0, value) / top * (height - 4):.1f}" for n, value in enumerate(values))
