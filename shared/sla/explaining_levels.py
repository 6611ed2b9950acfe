"""Why a level, a slot or a violation is what it is: what was counted, as what, and what was stated on which evidence.

`explaining` tells the clocks of a case; this tells what is counted over all cases, and what is a breach at once.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

from shared.sla.books import CaseLine
from shared.sla.calendars import Zone
from shared.sla.evidence import Evidence
from shared.sla.explaining import INTERVALS_MAX, duration_text, stated_text, statements_told, wall_text
from shared.sla.heartbeats import Beat, HeartbeatBook
from shared.sla.instants import format_instant, or_none_instant, or_none_seconds, parse_instant
from shared.sla.level_rules import LevelRules
from shared.sla.levels import LevelBook, LevelLine, line_of
from shared.sla.meters import Mark, Spell
from shared.sla.statements import Statement
from shared.sla.terms import Aggregate, Availability, EventsOf, ObjectiveOf, Ratio
from shared.sla.violations import ViolationBook
from shared.sla.windows import Span

Told = dict[str, Any]
_DATA_LENGTH_MAX: Final = 500  # characters of an event's data that the text shows


class Counted(NamedTuple):
    """What one case counts for in the book of a level."""

    case: str
    marks: tuple[Mark, ...]
    spells: tuple[Spell, ...]


def counted_of(book: LevelBook, case: str) -> Counted:
    """What a case counts for as long as it is in memory."""
    spells = () if book.downtime is None else tuple(book.downtime.spells_of(case))
    return Counted(case, tuple(book.marks.marks_of(case)), spells)


# -- levels ------------------------------------------------------------------------------------------------------------


def explain_level(book: LevelBook, start: int, log_time: int, counted: Sequence[Counted], said: Sequence[Statement]) -> Iterator[Told]:
    """One entry for each window that begins at an instant (a rolling one: or ends there, where a transition was listed).

    `counted`: what every case counts for; `said`: statements about the book's place. Instants in the entries are RFC 3339 in UTC.
    """
    rolls = any(edition.rules.objective.window.kind == "rolling" for edition in book.timetable.editions)
    lines = [line for line in book.lines(log_time) if line.window_start == start or (rolls and line.window_end == start)]
    if not lines and not rolls:
        span = book.timetable.at(start)
        if span is not None and span.start == start and book.first is not None and start <= log_time < span.end + span.rules.grace:
            lines = [line_of(book.place, span, book.meter.measure(*span, log_time - span.rules.grace), "open", provisional=True)]
    for line in lines:
        span = book.timetable.at(line.window_end - 1)
        if span is not None:
            yield _level(book, line, span.rules, log_time, counted, said)


def _level(
    book: LevelBook, line: LevelLine, rules: LevelRules, log_time: int, counted: Sequence[Counted], said: Sequence[Statement]
) -> Told:
    start, end, objective = line.window_start, line.window_end, rules.objective
    speaks = {"window_start": format_instant(start), "window_end": format_instant(end)}.items()
    same = any if objective.window.kind == "rolling" else all  # a breach of a rolling level is told with the window in which it began
    mine = [s for s in said if s.case is None and same(s.detail.get(key) == instant for key, instant in speaks)]
    marks = sorted((mark.instant, mark.id, of.case, mark.value) for of in counted for mark in of.marks if start <= mark.instant < end)
    told: Told = {
        "agreement": line.agreement,
        "version": line.version,
        "objective": line.objective,
        "kind": type(objective).__struct_config__.tag,
        "vendor": line.vendor,
        "service": line.service,
        "window_start": format_instant(start),
        "window_end": format_instant(end),
        "timezone": rules.agreement.timezone,
        "calendar": objective.calendar,
        "measures": _measures(rules),
        "target": f"{rules.goal.op} {_amount(line.target, rules)}",
        "good": line.good,
        "total": line.total,
        "value": line.value,
        "approximate": line.approximate,
        "state": line.state,
        "provisional": line.provisional,
        "because": _because(line, rules),
        "evidence": [
            {"at": format_instant(instant), "case": case, "event": id_, "counts": value if isinstance(value, bool) else float(value)}
            for instant, id_, case, value in marks
        ],
        "intervals": list(_downtime(rules, start, min(end, max(log_time - rules.grace, start)), counted))
        if book.downtime is not None
        else [],
        "statements": [
            {**stated, "due": None, "value": s.detail.get("value"), "cause": s.cause}
            for s, stated in zip(mine, statements_told(mine), strict=True)
        ],
        "left_out": sorted(event_id for _, event_id in book.excluded),
    }
    told["text"] = list(_level_text(told, rules))
    return told


def _measures(rules: LevelRules) -> str:
    """What the level is made of, in the agreement's words."""
    match rules.objective:
        case Ratio(of=EventsOf(events=events, good=good)):
            return f"share of {' or '.join(events.on)} for which: {good}"
        case Ratio(of=ObjectiveOf() as of):
            return f"share of {of.objective} that was met"
        case Aggregate(aggregate=function, field=field):
            return f"{function} of {field or 'events'}"
        case _:
            return f"share of service time of {rules.objective.calendar} that was not down"


def _is_share(rules: LevelRules) -> bool:
    return isinstance(rules.objective, Ratio | Availability)


def _amount(value: float | None, rules: LevelRules) -> str:
    if value is None:
        return "nothing"
    if not _is_share(rules):
        return f"{value:.10g}"
    percent = f"{value * 100:.8f}".rstrip("0").rstrip(".")
    return f"{percent}%"


def _because(line: LevelLine, rules: LevelRules) -> str:
    """Why the window is in its state."""
    objective, goal = rules.objective, f"{rules.goal.op} {_amount(line.target, rules)}"
    if line.state == "at_risk":
        return f"it stands at {_amount(line.value, rules)}, and {goal} is promised"
    if line.value is None or (not line.total and not isinstance(objective, Availability)):
        return f"there was nothing to measure: on_empty says {objective.on_empty}"
    if line.state == "no_data":
        return f"min_events asks for {objective.min_events}"
    if line.state == "open":
        return f"the window is not over; it stands at {_amount(line.value, rules)}"
    return f"{_amount(line.value, rules)} is {'' if line.state == 'met' else 'not '}{goal}"


def _downtime(rules: LevelRules, start: int, end: int, counted: Sequence[Counted]) -> Iterator[Told]:
    """Every stretch that was down or excluded: counted or not, and why."""
    spells = [(of.case, *_clipped(spell, start, end), spell) for of in counted for spell in of.spells]
    spells = [entry for entry in spells if entry[1] < entry[2]]
    edges = {edge for _, begin, until, _ in spells for edge in (begin, until)}
    for begin, until in _united([(begin, until) for _, begin, until, _ in spells]):
        edges |= {edge for interval in rules.calendar.intervals(begin, until) for edge in interval}
    pieces = 0
    for begin, until in pairwise(sorted(edges)):
        here = [(case, spell) for case, low, high, spell in spells if low <= begin and until <= high]
        if not here:
            continue
        pieces += 1
        if pieces > INTERVALS_MAX:
            yield {"from": format_instant(begin), "to": format_instant(end), "what": "left out", "s": None, "why": "too many", "events": []}
            return
        what, why = "down", ""
        if not rules.calendar.worked(begin, until):
            what, why = "closed", "out of service hours"
        elif any(spell.excludes for _, spell in here):
            what, why = "excluded", "an exclusion of the agreement" if any(not spell.excludes for _, spell in here) else "not down"
        yield {
            "from": format_instant(begin),
            "to": format_instant(until),
            "what": what,
            "s": or_none_seconds(until - begin),
            "why": why,
            "events": [{"case": case, "event": spell.id} for case, spell in here],
        }


def _clipped(spell: Spell, start: int, end: int) -> tuple[int, int]:
    return max(spell.start, start), end if spell.end is None else min(spell.end, end)


def _united(intervals: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begin = until = None
    for low, high in sorted(intervals):
        if until is None or begin is None or low > until:
            if begin is not None and until is not None:
                yield begin, until
            begin, until = low, high
        else:
            until = max(until, high)
    if begin is not None and until is not None:
        yield begin, until


def _level_text(told: Told, rules: LevelRules) -> Iterator[str]:
    def at(text: str) -> str:
        return wall_text(rules.zone, parse_instant(text))

    yield f"{told['vendor']} / {told['service']}, {at(told['window_start'])} .. {at(told['window_end'])}: {_shouted(told)}"
    yield f"  promise   {told['agreement']} version {told['version']}, objective {told['objective']} ({told['kind']})"
    yield f"  measures  {told['measures']}"
    yield f"  target    {told['target']}; all times are {told['timezone']}"
    yield f"  level     {_amount(told['value'], rules)}{_made_of(told)}" + (" (approximate)" if told["approximate"] else "")
    yield f"  because   {told['because']}"
    if told["intervals"]:
        yield "  what was down or excluded"
        for piece in told["intervals"]:
            who = ", ".join(f"{one['case']} ({one['event']})" for one in piece["events"])
            length = "" if piece["s"] is None else duration_text(piece["s"])
            why = ", ".join(part for part in (piece["why"], who) if part)
            yield f"    {at(piece['from'])} .. {at(piece['to'])}  {piece['what']:<8} {length:<16} {why}".rstrip()
    if told["evidence"]:
        yield "  what was counted"
        for mark in told["evidence"][:INTERVALS_MAX]:
            yield f"    {at(mark['at'])}  {_word(mark['counts']):<8} {mark['case']} ({mark['event']})"
        if len(told["evidence"]) > INTERVALS_MAX:
            yield f"    and {len(told['evidence']) - INTERVALS_MAX} more: --json has them all"
    yield from stated_text(told["statements"], rules.zone)
    if told["left_out"]:
        yield f"  left out, because it came too late or awaits review: {', '.join(told['left_out'])}"


def _made_of(told: Told) -> str:
    if told["kind"] == "availability":
        return f": {duration_text(told['total'] - told['good'])} down of {duration_text(told['total'])}"
    if told["kind"] == "ratio":
        return f": {told['good']} good of {told['total']}"
    return f", of {told['total']} events"


def _shouted(told: Told) -> str:
    return str(told["state"]).upper().replace("_", " ") + (" (provisional)" if told["provisional"] and told["state"] != "open" else "")


# -- what a case counts for --------------------------------------------------------------------------------------------


def explain_part(book: LevelBook, counted: Counted) -> Iterator[Told]:
    """What a case counts for in a level, and in which windows; nothing where it does not."""
    parts: list[tuple[int, int | None, Any, str]] = [(mark.instant, mark.instant, mark.value, mark.id) for mark in counted.marks]
    parts += [(spell.start, spell.end, "excluded" if spell.excludes else "down", spell.id) for spell in counted.spells]
    if not parts:
        return
    rules = next(iter(book.timetable.editions)).rules
    told: Told = {
        "agreement": book.agreement,
        "objective": book.objective,
        "kind": type(rules.objective).__struct_config__.tag,
        "vendor": book.place.vendor,
        "service": book.place.service,
        "case": counted.case,
        "timezone": rules.agreement.timezone,
        "parts": [_part(book, *part) for part in sorted(parts, key=lambda part: (part[0], part[3]))],
    }
    told["text"] = list(_part_text(told, rules))
    yield told


def _part(book: LevelBook, start: int, end: int | None, counts: Any, event: str) -> Told:
    span = book.timetable.at(start)
    window = None if span is None or span.rules.objective.window.kind == "rolling" else format_instant(span.start)
    value = counts if isinstance(counts, bool | str) else float(counts)
    return {"from": format_instant(start), "to": or_none_instant(end), "event": event, "counts": value, "window_start": window}


def _part_text(told: Told, rules: LevelRules) -> Iterator[str]:
    promise = f"{told['agreement']}, objective {told['objective']} ({told['kind']})"
    yield f"{told['vendor']} / {told['service']} / {told['case']} counts in {promise}; all times are {told['timezone']}"
    for part in told["parts"]:
        word, begin = _word(part["counts"]), wall_text(rules.zone, parse_instant(part["from"]))
        end = "" if part["to"] == part["from"] else f" .. {wall_text(rules.zone, parse_instant(part['to'])) if part['to'] else 'as yet'}"
        within = "" if part["window_start"] is None else f", in the window of --case {part['window_start']}"
        yield f"    {begin}{end}  {word:<8} ({part['event']}){within}"


def _word(counts: bool | float | str) -> str:
    if isinstance(counts, str):
        return counts
    return ("good" if counts else "bad") if isinstance(counts, bool) else f"{counts:.10g}"


# -- slots -------------------------------------------------------------------------------------------------------------


def explain_slot(book: HeartbeatBook, line: CaseLine, span: Span[Any], beat: Beat | None, said: Sequence[Statement]) -> Told:
    """A slot: what was due, what came, when. `beat`: what met it, or closed it late."""
    rules, view = span.rules, line.view
    objective = rules.objective
    told: Told = {
        "agreement": line.agreement,
        "version": line.version,
        "objective": line.objective,
        "kind": "heartbeat",
        "vendor": line.vendor,
        "service": line.service,
        "case": line.case,
        "timezone": rules.agreement.timezone,
        "calendar": objective.calendar,
        "expected": " or ".join(objective.on.on) + ("" if objective.on.when is None else f", if {objective.on.when}"),
        "state": view.state,
        "started": format_instant(view.started),
        "due": or_none_instant(view.due),
        "provisional": view.provisional,
        "stopped": or_none_instant(view.stopped),
        "late_s": or_none_seconds(view.late),
        "overdue_s": or_none_seconds(view.overdue),
        "event": None if beat is None else beat.id,
        "statements": statements_told([s for s in said if s.case == line.case]),
        "left_out": sorted(event_id for _, event_id in book.excluded),
    }
    told["text"] = list(_slot_text(told, rules.zone))
    return told


def _slot_text(told: Told, zone: Zone) -> Iterator[str]:
    def at(text: str | None) -> str:
        return "-" if text is None else wall_text(zone, parse_instant(text))

    yield f"{told['vendor']} / {told['service']}, due {at(told['due'])}: {told['state'].upper().replace('_', ' ')}"
    yield f"  promise   {told['agreement']} version {told['version']}, objective {told['objective']} (heartbeat)"
    yield f"  expected  {told['expected']}; after {at(told['started'])}, until {at(told['due'])}; all times are {told['timezone']}"
    if told["provisional"]:
        yield f"  calendar  {told['calendar']}: its holidays are not yet published, so that the due may move"
    came = {
        "met": f"{told['event']} at {at(told['stopped'])}, in time",
        "breached_closed": f"{told['event']} at {at(told['stopped'])}, the first after its due: too late, and it meets no slot",
        "breached": "nothing came until its due, nor since",
    }
    yield f"  came      {came.get(told['state'], 'nothing yet')}"
    if told["late_s"] is not None:
        yield f"  late      {duration_text(told['late_s'])} of working time, {duration_text(told['overdue_s'])} by the clock"
    yield from stated_text(told["statements"], zone)
    if told["left_out"]:
        yield f"  left out, because it came too late or awaits review: {', '.join(told['left_out'])}"


# -- violations --------------------------------------------------------------------------------------------------------


def explain_violations(book: ViolationBook, said: Sequence[Statement]) -> Iterator[Told]:
    """Each event of a case that failed its test, in the order of time."""
    for event, rules, revision, stands in book.violations():
        mine = [s for s in said if s.case == book.case and s.instance == event.key]
        told: Told = {
            "agreement": book.agreement,
            "version": rules.version,
            "objective": book.objective,
            "kind": "violation",
            "vendor": event.vendor,
            "service": event.service,
            "case": book.case,
            "timezone": rules.agreement.timezone,
            "state": "breached_closed" if stands else "retracted",
            "revision": revision,
            "event": event.id,
            "source": event.source,
            "at": format_instant(event.time),
            "unless": rules.objective.unless,
            "data": event.data,
            "statements": statements_told(mine),
            "left_out": sorted(event_id for _, event_id in book.excluded),
        }
        told["text"] = list(_violation_text(told, event, rules.zone))
        yield told


def _violation_text(told: Told, event: Evidence, zone: Zone) -> Iterator[str]:
    data = msgspec.json.encode(event.data, order="deterministic").decode()
    shown = data if len(data) <= _DATA_LENGTH_MAX else f"{data[:_DATA_LENGTH_MAX]} …"
    yield f"{told['vendor']} / {told['service']} / {told['case']}: {'VIOLATED' if told['state'] != 'retracted' else 'RETRACTED'}"
    yield f"  promise   {told['agreement']} version {told['version']}, objective {told['objective']} (violation)"
    yield f"  test      {told['unless']}"
    yield f"  event     {event.id} of {event.source}, {event.type}, {wall_text(zone, event.time)}; all times are {told['timezone']}"
    yield f"  its data  {shown}"
    yield "  because   " + ("the test is false for it" if told["state"] != "retracted" else "later evidence took it back")
    yield from stated_text(told["statements"], zone)
    if told["left_out"]:
        yield f"  left out, because it came too late or awaits review: {', '.join(told['left_out'])}"
