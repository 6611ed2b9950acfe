"""Why a verdict is what it is: the timeline of a case, each interval counted or not, each event, each statement.

What each event did, or why it did nothing, is found by `explaining_events`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Any, Final

from shared.sla.books import ClockBook
from shared.sla.calendars import Calendar, Zone, date_of
from shared.sla.clocks import Cycle, Step
from shared.sla.evidence import Evidence
from shared.sla.explaining_events import Idle, Lack, Witness, witness
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
_IDLE: Final = "moved nothing"
_UNITS: Final = {"bd": "business day", "cd": "civil day"}


def explain_case(
    book: ClockBook, events: list[Evidence], log_time: int, statements: list[Statement] | None, late: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """One entry a cycle: its outcome, its steps, its intervals, what was stated; and the same as lines of `text`. One, too, if none began.

    `events` are all of the book's case; `statements` those made about it (None: they are not at hand, and not told); `late`: ids of events
    that came when its clocks had left. Instants are RFC 3339 in UTC; the text shows the wall time of the calendar's zone.
    """
    seen, apart = witness(book, events), _apart(book, events, late)
    if not book.fold.cycles:
        return [_no_clock(book, seen, statements, apart)]
    return [_cycle(book, cycle, seen, log_time, statements, apart) for cycle in book.fold.cycles]


def _apart(book: ClockBook, events: list[Evidence], late: Iterable[str]) -> dict[str, Any]:
    """Evidence that is not folded: it was replaced, or left out."""
    return {
        "replaced": [{"event": one.replaces, "by": one.id} for one in events if one.replaces is not None and one.key not in book.excluded],
        "left_out": [*(event_id for _, event_id in sorted(book.excluded)), *late],
    }


def _place(book: ClockBook, version: int) -> dict[str, Any]:
    """Which promise it is about, and of which case."""
    return {
        "agreement": book.agreement,
        "version": version,
        "objective": book.objective,
        "vendor": book.vendor,
        "service": book.service,
        "case": book.case,
    }


def _no_clock(book: ClockBook, seen: Witness, statements: list[Statement] | None, apart: dict[str, Any]) -> dict[str, Any]:
    rules = book.fold.editions.newest()
    told: dict[str, Any] = {
        **_place(book, rules.version),
        "cycle": None,
        "timezone": rules.calendar.zone_name,
        "state": "no_clock",
        "steps": [],
        "idle": _idle(seen.idle),
        "pauses": [],
        "intervals": [],
        **apart,
    }
    if statements is not None:
        told["statements"] = statements_told(statements)
    told["text"] = list(_no_clock_text(told, rules.calendar.zone))
    return told


def _cycle(
    book: ClockBook, cycle: Cycle, seen: Witness, log_time: int, statements: list[Statement] | None, apart: dict[str, Any]
) -> dict[str, Any]:
    view = cycle.view(log_time, book.stated[cycle.instance].called)
    end = max(log_time, cycle.mark) if cycle.stopped is None else cycle.stopped
    lack = seen.lacks.get(cycle.number) if cycle.choice is None else None
    told: dict[str, Any] = {
        **_place(book, cycle.rules.version),
        "cycle": cycle.number,
        "target": _target(cycle, lack),
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
        "steps": [_step(step, cycle, seen) for step in sorted(cycle.steps, key=lambda step: step.instant)],
        "idle": _idle([idle for idle in seen.idle if idle.cycle == cycle.number]),
        "pauses": [
            {"from": format_instant(start), "to": format_instant(stop), "s": as_seconds(_worked(cycle, start, stop)), "why": why}
            for start, stop, why in _pauses(cycle, end)
            if cycle.choice is not None
        ],
        "intervals": _intervals(cycle, end) if cycle.choice is not None else _not_counted(cycle, end, lack),
        **apart,
    }
    if statements is not None:
        told["statements"] = statements_told([s for s in statements if s.cycle in (cycle.number, None)])
    told["text"] = list(_text(told, cycle.calendar, seen.places))
    return told


def _step(step: Step, cycle: Cycle, seen: Witness) -> dict[str, Any]:
    notes = [step.note, seen.notes.get((cycle.number, step.event or "", step.what), "")]
    return {
        "at": format_instant(step.instant),
        "what": step.what,
        "event": step.event,
        "note": "; ".join(note for note in notes if note),
    }


def _idle(idle: Sequence[Idle]) -> list[dict[str, Any]]:
    return [{"at": format_instant(one.instant), "event": one.event.id, "type": one.event.type, "why": one.why} for one in idle]


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


def _target(cycle: Cycle, lack: Lack | None) -> str:
    """Which target applies, in the agreement's words."""
    targets = cycle.rules.objective.targets
    if cycle.choice is None:
        return f"none of {len(targets)} applies" + ("" if lack is None else f": {lack.why}")
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
    pauses, void_until = list(_pauses(cycle, end)), _void_until(cycle)
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


def _void_until(cycle: Cycle) -> int:
    """Up to where a restart has forgotten what was used."""
    until = cycle.started
    for step in cycle.steps:
        if step.what == "change" and step.note.startswith("restart"):
            until = step.instant
        elif step.what == "version" or step.note.startswith("from the start"):
            until = cycle.started
    return until


def _not_counted(cycle: Cycle, end: int, lack: Lack | None) -> list[dict[str, Any]]:
    """No target applies: nothing counts, be it that one did apply before."""
    if end == cycle.started:
        return []
    since = "" if lack is None or lack.instant == cycle.started else f"from {wall_text(cycle.calendar.zone, lack.instant)} on "
    why = f"not counted: {since}{'no target matches' if lack is None else lack.why}"
    return [{"from": format_instant(cycle.started), "to": format_instant(end), "what": "skipped", "s": 0, "why": why}]


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
            yield _interval(low, high, "void", "forgotten: the target was restarted later", calendar)
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


def _text(told: dict[str, Any], calendar: Calendar, places: dict[str, int]) -> Iterator[str]:
    def at(text: str | None) -> str:
        return "-" if text is None else wall_text(calendar.zone, parse_instant(text))

    yield from _heading(told, str(told["cycle"]))
    yield f"  target    {told['target']}"
    yield f"  calendar  {told['calendar']}; all times are {told['timezone']}"
    yield f"  started   {at(told['started'])}"
    yield f"  due       {at(told['due'])}" + (" (provisional: its holidays are not yet published)" if told["provisional"] else "")
    yield f"  stopped   {'still open' if told['stopped'] is None and told['state'] != 'skipped' else at(told['stopped'])}"
    of = "" if told["target_s"] is None else f" of {duration_text(told['target_s'])}"
    void = sum(piece["s"] for piece in told["intervals"] if piece["what"] == "void")
    forgotten = f"; {duration_text(void)} before the restart forgotten" if void else ""
    yield f"  used      {duration_text(told['elapsed_s'])}{of}, paused {duration_text(told['paused_s'])}{forgotten}"
    if told["late_s"] is not None:
        yield f"  late      {duration_text(told['late_s'])} of working time, {duration_text(told['overdue_s'])} by the clock"
    if told["cause"]:
        yield f"  because   {_CAUSES[told['cause']]}"
    yield from _happened(told, calendar.zone, places)
    yield "  how the time counts"
    for piece in told["intervals"]:
        length = duration_text(piece["s"]) if piece["s"] else ""
        yield f"    {at(piece['from'])} .. {at(piece['to'])}  {piece['what']:<8} {length:<16} {piece['why']}".rstrip()
    yield from _rest(told, calendar.zone)


def _no_clock_text(told: dict[str, Any], zone: Zone) -> Iterator[str]:
    yield from _heading(told, "none")
    yield f"  because   nothing that happened started a clock; all times are {told['timezone']}"
    yield from _happened(told, zone, {})
    yield from _rest(told, zone)


def _heading(told: dict[str, Any], cycle: str) -> Iterator[str]:
    state = told["state"].upper().replace("_", " ")
    yield f"{told['vendor']} / {told['service']} / {told['case']}, cycle {cycle}: {state}"
    yield f"  promise   {told['agreement']} version {told['version']}, objective {told['objective']}"


def _happened(told: dict[str, Any], zone: Zone, places: dict[str, int]) -> Iterator[str]:
    """Steps, and events that were none, in the order in which they were folded."""
    yield "  what happened"

    def when(one: dict[str, Any]) -> tuple[int, int]:
        return parse_instant(one["at"]), places.get(one["event"], -1)

    lines = [
        (at, _STEPS[one["what"]], one["event"], one["note"])
        for at, one in zip(accumulate(map(when, told["steps"]), max), told["steps"], strict=True)
    ]
    lines += [(when(one), _IDLE, one["event"], one["why"]) for one in told["idle"]]
    for (at, _), what, event, why in sorted(lines, key=lambda line: line[0]):
        yield f"    {wall_text(zone, at)}  {what:<16} {event or '-':<16} {why}".rstrip()


def _rest(told: dict[str, Any], zone: Zone) -> Iterator[str]:
    if "statements" in told:
        yield from stated_text(told["statements"], zone)
    if told["replaced"]:
        pairs = [f"{one['event']} (by {one['by']})" for one in told["replaced"]]
        yield f"  replaced by later events: {', '.join(pairs)}"
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
