"""Why a verdict is what it is: the timeline of a case, each interval counted or not, each event, each statement."""

from typing import Any

from shared.sla.books import ClockBook
from shared.sla.calendars import Calendar
from shared.sla.clocks import Cycle
from shared.sla.instants import SECOND, as_seconds, format_instant, or_none_instant, or_none_seconds
from shared.sla.statements import Statement

_COUNTED, _PAUSED, _CLOSED = "counted", "paused", "closed"
INTERVALS_MAX = 2_000


def explain_case(book: ClockBook, log_time: int, statements: list[Statement]) -> list[dict[str, Any]]:
    """One entry a cycle: its outcome, its steps, its intervals, what was stated; and the same as lines of `text`."""
    return [_cycle(book, cycle, log_time, [s for s in statements if s.cycle in (cycle.number, None)]) for cycle in book.fold.cycles]


def _cycle(book: ClockBook, cycle: Cycle, log_time: int, statements: list[Statement]) -> dict[str, Any]:
    view = cycle.view(log_time, book.stated[cycle.instance].called)
    end = view.stopped if view.stopped is not None else max(log_time, cycle.started)
    intervals = _intervals(cycle, end)
    steps = [{"at": format_instant(s.instant), "what": s.what, "event": s.event, "note": s.note} for s in cycle.steps]
    told: dict[str, Any] = {
        "agreement": book.agreement,
        "version": cycle.rules.version,
        "objective": book.objective,
        "vendor": book.vendor,
        "service": book.service,
        "case": book.case,
        "cycle": cycle.number,
        "calendar": cycle.calendar.name,
        "state": view.state,
        "started": format_instant(view.started),
        "due": or_none_instant(view.due),
        "stopped": or_none_instant(view.stopped),
        "elapsed_s": or_none_seconds(view.elapsed),
        "target_s": or_none_seconds(view.target),
        "paused_s": or_none_seconds(view.paused),
        "late_s": or_none_seconds(view.late),
        "cause": cycle.cause if view.state.startswith("breached") else None,
        "steps": steps,
        "intervals": intervals,
        "statements": [
            {
                "type": s.type,
                "revision": s.revision,
                "decided_at": format_instant(s.decided_at),
                "due": or_none_instant(s.due),
                "evidence": list(s.evidence),
            }
            for s in statements
        ],
    }
    told["text"] = _text(told)
    return told


def _intervals(cycle: Cycle, end: int) -> list[dict[str, Any]]:
    """Working intervals from start to end, each counted or paused, with the closed time between them."""
    calendar, found, at = cycle.calendar, [], cycle.started
    pauses = [(p.start, p.end) for p in cycle.pauses]
    if cycle.mode == "paused":
        pauses.append((cycle.pause_start, end))
    for start, stop in calendar.intervals(cycle.started, end)[:INTERVALS_MAX]:
        if start > at:
            found.append(_interval(at, start, _CLOSED, calendar))
        found += _split(start, stop, pauses, calendar)
        at = stop
    if at < end:
        found.append(_interval(at, end, _CLOSED, calendar))
    return found


def _split(start: int, stop: int, pauses: list[tuple[int, int]], calendar: Calendar) -> list[dict[str, Any]]:
    found = []
    for begin, finish in pauses:
        low, high = max(begin, start), min(finish, stop)
        if low >= high:
            continue
        if start < low:
            found.append(_interval(start, low, _COUNTED, calendar))
        found.append(_interval(low, high, _PAUSED, calendar))
        start = high
    if start < stop:
        found.append(_interval(start, stop, _COUNTED, calendar))
    return found


def _interval(start: int, end: int, what: str, calendar: Calendar) -> dict[str, Any]:
    return {"from": format_instant(start), "to": format_instant(end), "what": what, "s": 0 if what == _CLOSED else as_seconds(end - start)}


def duration_text(seconds: float | None) -> str:
    """`1 h 5 min`, for people."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    text = " ".join(f"{count} {unit}" for count, unit in parts if count)
    millis = round((seconds - whole) * SECOND)
    return (text + (f" {millis} ms" if millis else "")).strip() or "0 s"


def _text(told: dict[str, Any]) -> list[str]:
    head = f"{told['vendor']} / {told['service']} / {told['case']}, cycle {told['cycle']}: {told['state'].upper().replace('_', ' ')}"
    lines = [head, f"  promise   {told['agreement']} version {told['version']}, objective {told['objective']}, calendar {told['calendar']}"]
    lines.append(f"  started   {told['started']}")
    lines.append(f"  due       {told['due'] or '-'}   (target {duration_text(told['target_s'])} of working time)")
    lines.append(f"  stopped   {told['stopped'] or 'still open'}")
    lines.append(
        f"  used      {duration_text(told['elapsed_s'])}, paused {duration_text(told['paused_s'])}, late {duration_text(told['late_s'])}"
    )
    if told["cause"]:
        lines.append(f"  cause     {told['cause']}")
    lines.append("  what happened")
    lines += [f"    {s['at']}  {s['what']:<10} {s['event'] or ''}  {s['note']}".rstrip() for s in told["steps"]]
    lines.append("  how the time counts")
    lines += [f"    {i['from']} .. {i['to']}  {i['what']:<8} {duration_text(i['s']) if i['s'] else ''}".rstrip() for i in told["intervals"]]
    lines.append("  what was stated")
    lines += [
        f"    {s['decided_at']}  {s['type'].removeprefix('slawatch.')}"
        + (f" (revision {s['revision']})" if s["revision"] is not None else "")
        + (f", due {s['due']}" if s["due"] else "")
        + f", on {', '.join(s['evidence'])}"
        for s in told["statements"]
    ] or ["    nothing"]
    return lines
