"""Why a verdict is what it is: the timeline of a case, each interval counted or not, each event, each statement."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from shared.sla.books import ClockBook
from shared.sla.calendars import Calendar, Zone, date_of
from shared.sla.clocks import Cycle
from shared.sla.instants import SECOND, as_seconds, format_instant, or_none_instant, or_none_seconds, parse_instant
from shared.sla.statements import Statement
from shared.sla.terms import Target

INTERVALS_MAX: Final = 2_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STEPS: Final = {
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "stop": "stopped",
    "reopen": "reopened",
    "change": "changed",
    "reset": "reset",
    "cancel": "cancelled",
    "when": "no longer holds",
    "version": "new version",
}
_CAUSES: Final = {
    "deadline": "the deadline passed",
    "target_changed": "a change made the target shorter than the time already used",
    "reopened": "reopened when the time was already used up",
}
_UNITS: Final = {"bd": "business day", "cd": "civil day"}


def explain_case(book: ClockBook, log_time: int, statements: list[Statement] | None) -> list[dict[str, Any]]:
    """One entry a cycle: its outcome, its steps, its intervals, what was stated; and the same as lines of `text`.

    `statements` are those made about the book's case; None: they are not at hand, and not told. Instants are RFC 3339 in UTC; the text
    shows the wall time of the calendar's zone.
    """
    return [_cycle(book, cycle, log_time, statements) for cycle in book.fold.cycles]


def _cycle(book: ClockBook, cycle: Cycle, log_time: int, statements: list[Statement] | None) -> dict[str, Any]:
    view = cycle.view(log_time, book.stated[cycle.instance].called)
    end = view.stopped if view.stopped is not None else max(log_time, cycle.started)
    told: dict[str, Any] = {
        "agreement": book.agreement,
        "version": cycle.rules.version,
        "objective": book.objective,
        "vendor": book.vendor,
        "service": book.service,
        "case": book.case,
        "cycle": cycle.number,
        "target": _target(cycle),
        "calendar": cycle.calendar.name,
        "timezone": cycle.calendar.zone_name,
        "state": view.state,
        "started": format_instant(view.started),
        "due": or_none_instant(view.due),
        "provisional": view.provisional,
        "stopped": or_none_instant(view.stopped),
        "elapsed_s": or_none_seconds(view.elapsed),
        "target_s": or_none_seconds(view.target),
        "paused_s": or_none_seconds(view.paused),
        "late_s": or_none_seconds(view.late),
        "overdue_s": or_none_seconds(view.overdue),
        "cause": cycle.cause if view.state.startswith("breached") else None,
        "steps": [{"at": format_instant(s.instant), "what": s.what, "event": s.event, "note": s.note} for s in cycle.steps],
        "pauses": [
            {"from": format_instant(start), "to": format_instant(stop), "s": as_seconds(_worked(cycle, start, stop)), "why": why}
            for start, stop, why in _pauses(cycle, end)
        ],
        "intervals": _intervals(cycle, end),
        "left_out": [event_id for _, event_id in sorted(book.excluded)],
    }
    if statements is not None:
        told["statements"] = statements_told([s for s in statements if s.cycle in (cycle.number, None)])
    told["text"] = list(_text(told, cycle.calendar))
    return told


def statements_told(statements: Sequence[Statement]) -> list[dict[str, Any]]:
    """What was stated, when, under which version and on what evidence."""
    return [
        {
            "type": s.type,
            "revision": s.revision,
            "decided_at": format_instant(s.decided_at),
            "version": s.version,
            "due": or_none_instant(s.due),
            "threshold": s.detail.get("threshold"),
            "evidence": list(s.evidence),
        }
        for s in statements
    ]


# -- the target --------------------------------------------------------------------------------------------------------


def _target(cycle: Cycle) -> str:
    """Which target applies, in the agreement's words."""
    targets = cycle.rules.objective.targets
    if cycle.choice is None:
        return f"none of {len(targets)} matches"
    chosen = cycle.choice.target.index
    target = targets[chosen]
    otherwise = "no earlier one matches" if chosen else "it has no condition"
    why = otherwise if target.when is None else f"first match: {target.when}"
    place = f"target {chosen + 1} of {len(targets)}, " if len(targets) > 1 else ""
    return f"{_promised(target)} ({place}{why})"


def _promised(target: Target) -> str:
    within = target.within
    if within is None:
        return f"until {target.until}" + (", moved by pauses" if target.pausable else "")
    if within.unit == "ms":
        return f"{duration_text(as_seconds(within.amount))} of working time"
    text = f"{within.amount} {_UNITS[within.unit]}{'s' if within.amount != 1 else ''}"
    return text + (", at the same time" if within.same_time else "")


# -- intervals ---------------------------------------------------------------------------------------------------------


def _intervals(cycle: Cycle, end: int) -> list[dict[str, Any]]:
    """All time from start to end, piece by piece: counted, paused, closed or void, and why."""
    pauses = list(_pauses(cycle, end))
    restarts = [step.instant for step in cycle.steps if step.what == "change" and step.note.startswith("restart")]
    void_until = max(restarts, default=cycle.started)
    found: list[dict[str, Any]] = []
    begin = cycle.started
    for until, calendar in (*cycle.earlier, (end, cycle.calendar)):
        for start, stop, is_open in _pieces(calendar, begin, min(until, end)):
            if len(found) >= INTERVALS_MAX:
                return [*found, _interval(start, end, "left out", f"more than {INTERVALS_MAX} intervals", calendar)]
            if is_open:
                found += _counted(start, stop, pauses, void_until, calendar)
            else:
                found.append(_interval(start, stop, "closed", _why_closed(calendar, start, stop), calendar))
        begin = max(begin, until)
    return found


def _pieces(calendar: Calendar, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """(from, to, whether it is working time) of all that lies between two instants."""
    for low, high in calendar.intervals(start, end):
        if low > start:
            yield start, low, False
        yield low, high, True
        start = high
    if start < end:
        yield start, end, False


def _pauses(cycle: Cycle, end: int) -> Iterator[tuple[int, int, str]]:
    """(from, to, why) of the pauses, those by a closed case among them."""
    reasons = {step.instant: step.note for step in cycle.steps if step.what == "pause"}
    reopened = {step.instant for step in cycle.steps if step.what == "reopen"}
    for pause in cycle.pauses:
        by_closing = pause.end in reopened and pause.start not in reasons
        yield pause.start, pause.end, "the case was closed" if by_closing else reasons.get(pause.start, "")
    if cycle.mode == "paused":
        yield cycle.pause_start, end if cycle.cap_end is None else min(cycle.cap_end, end), reasons.get(cycle.pause_start, "")


def _worked(cycle: Cycle, start: int, end: int) -> int:
    """Working time (ms) between two instants, each stretch by the calendar that applied then."""
    total, begin = 0, cycle.started
    for until, calendar in (*cycle.earlier, (end, cycle.calendar)):
        low, high = max(start, begin), min(end, until)
        if low < high:
            total += calendar.worked(low, high)
        begin = max(begin, until)
    return total


def _counted(start: int, stop: int, pauses: list[tuple[int, int, str]], void_until: int, calendar: Calendar) -> Iterator[dict[str, Any]]:
    edges = {start, stop, void_until, *(edge for begin, end, _ in pauses for edge in (begin, end))}
    inside = sorted(edge for edge in edges if start <= edge <= stop)
    for low, high in pairwise(inside):
        reason = next((why for begin, end, why in pauses if begin <= low and high <= end), None)
        if reason is not None:
            yield _interval(low, high, "paused", reason, calendar)
        elif high <= void_until:
            yield _interval(low, high, "void", "the target was restarted later", calendar)
        else:
            day = _iso_day(calendar, low)
            yield _interval(low, high, "counted", calendar.reason(day), calendar)


def _why_closed(calendar: Calendar, start: int, end: int) -> str:
    """Holidays and overrides that closed it; else it is simply out of hours."""
    first, last = (date_of(calendar.zone.to_local(instant)) for instant in (start, end - 1))
    closed = (date.fromordinal(day).isoformat() for day in range(first, last + 1) if day == first or not calendar.is_working_day(day))
    named = [f"{reason} ({day})" for day in closed if (reason := calendar.reason(day))]
    return ", ".join(["out of hours", *named])


def _iso_day(calendar: Calendar, instant: int) -> str:
    return _wall(calendar, instant).date().isoformat()


def _interval(start: int, end: int, what: str, why: str, calendar: Calendar) -> dict[str, Any]:
    seconds = as_seconds(calendar.worked(start, end))
    return {"from": format_instant(start), "to": format_instant(end), "what": what, "s": seconds, "why": why}


# -- text --------------------------------------------------------------------------------------------------------------


def duration_text(seconds: float | None) -> str:
    """`1 h 5 min`, for people."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    text = " ".join(f"{count} {unit}" for count, unit in parts if count)
    millis = round((seconds - whole) * SECOND)
    return (text + (f" {millis} ms" if millis else "")).strip() or "0 s"


def _wall(calendar: Calendar, instant: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=calendar.zone.to_local(instant))


def wall_text(zone: Zone, instant: int) -> str:
    """`Tue 2026-02-10 02:07:32`: the wall time of an instant, for people."""
    wall = _EPOCH + timedelta(milliseconds=zone.to_local(instant))
    fraction = f".{wall.microsecond // 1000:03}" if wall.microsecond else ""
    return f"{_DAYS[wall.weekday()]} {wall:%Y-%m-%d %H:%M:%S}{fraction}"


def _text(told: dict[str, Any], calendar: Calendar) -> Iterator[str]:
    def at(text: str | None) -> str:
        return "-" if text is None else wall_text(calendar.zone, parse_instant(text))

    state = told["state"].upper().replace("_", " ")
    yield f"{told['vendor']} / {told['service']} / {told['case']}, cycle {told['cycle']}: {state}"
    yield f"  promise   {told['agreement']} version {told['version']}, objective {told['objective']}"
    yield f"  target    {told['target']}"
    yield f"  calendar  {told['calendar']}; all times are {told['timezone']}"
    yield f"  started   {at(told['started'])}"
    yield f"  due       {at(told['due'])}" + (" (provisional: its holidays are not yet published)" if told["provisional"] else "")
    yield f"  stopped   {at(told['stopped']) if told['stopped'] else 'still open'}"
    of = "" if told["target_s"] is None else f" of {duration_text(told['target_s'])}"
    yield f"  used      {duration_text(told['elapsed_s'])}{of}, paused {duration_text(told['paused_s'])}"
    if told["late_s"] is not None:
        yield f"  late      {duration_text(told['late_s'])} of working time, {duration_text(told['overdue_s'])} by the clock"
    if told["cause"]:
        yield f"  because   {_CAUSES[told['cause']]}"
    yield "  what happened"
    for step in told["steps"]:
        yield f"    {at(step['at'])}  {_STEPS[step['what']]:<16} {step['event'] or '-':<16} {step['note']}".rstrip()
    yield "  how the time counts"
    for piece in told["intervals"]:
        length = duration_text(piece["s"]) if piece["s"] else ""
        yield f"    {at(piece['from'])} .. {at(piece['to'])}  {piece['what']:<8} {length:<16} {piece['why']}".rstrip()
    if "statements" in told:
        yield from stated_text(told["statements"], calendar.zone)
    if told["left_out"]:
        yield f"  left out, because it came too late or awaits review: {', '.join(told['left_out'])}"


def stated_text(statements: Sequence[dict[str, Any]], zone: Zone) -> Iterator[str]:
    """Lines of what `statements_told` gave."""
    yield "  what was stated, and on what evidence"
    for statement in statements:
        due = "-" if statement["due"] is None else wall_text(zone, parse_instant(statement["due"]))
        yield f"    {wall_text(zone, parse_instant(statement['decided_at']))}  {_said(statement, due)}"
        yield f"      {', '.join(statement['evidence']) or 'no event'}"
    if not statements:
        yield "    nothing"


def _said(statement: dict[str, Any], due: str) -> str:
    kind = statement["type"].removeprefix("slawatch.").replace(".", " ")
    details = [f"at {statement['threshold']}" if statement["threshold"] else "", f"version {statement['version']}"]
    details += ["" if statement["revision"] is None else f"revision {statement['revision']}", "" if due == "-" else f"due {due}"]
    details += [f"{name.replace('_', ' ')} {statement[name]}" for name in ("value", "cause") if statement.get(name) is not None]
    return f"{kind} ({', '.join(detail for detail in details if detail)})"
