"""What cannot be said key by key: contradictions, targets nobody can reach, rules that never fire, references to nothing.

Each check sees the fields of one record that could be read, and reports at the place to be mended.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from shared.language import values
from shared.language.problems import Report, Wrong, nearest
from shared.language.readers import Fields
from shared.language.recurrences import occurs
from shared.language.zones import transitions, zone
from shared.sla.calendars import Zone
from shared.sla.conditions import meaning
from shared.sla.instants import DAY, HOUR, MINUTE, BadInstant, parse_instant
from shared.sla.windows import EPOCH_MONDAY

Check = Callable[[Fields, Report], None]

PERIOD_LENGTHS: Final = {"week": 7 * DAY, "month": 30 * DAY, "quarter": 90 * DAY, "year": 365 * DAY}
COUNTABLE: Final = ("deadline", "heartbeat")  # kinds whose outcomes a ratio can count
_EDGES: Final = ("below", "above", "at_least", "at_most")
WINDOWED: Final = ("ratio", "aggregate", "availability")

# Share of the error budget, long window, short window, severity (SRE workbook; semantics.md, "Burn rate").
STANDARD_BURN: Final = (
    ("0.02", HOUR, 5 * MINUTE, "page"),
    ("0.05", 6 * HOUR, 30 * MINUTE, "page"),
    ("0.10", DAY, 2 * HOUR, "ticket"),
    ("0.10", 3 * DAY, 6 * HOUR, "ticket"),
)

# --- notations that only make sense with others


def effective_day(text: str) -> str:
    """A day, or an RFC 3339 instant; kept as text, because the zone stands in another key."""
    if "T" not in text:
        return values.calendar_date(text).isoformat()
    try:
        parse_instant(text)
    except BadInstant as wrong:
        raise Wrong(str(wrong), "write a day, such as 2026-01-01") from None
    return text


def instant_of(text: str, zone_name: str, last: bool) -> int:
    """The instant an effective day begins at, or (`last`) the one at which the day after it begins; an instant is itself."""
    if "T" in text:
        return parse_instant(text)
    day = values.calendar_date(text) + timedelta(days=1 if last else 0)
    return parse_instant(f"{day.isoformat()}T00:00:00", zone(zone_name))


def share_or_money(text: str) -> dict[str, Any]:
    """`5%` of the fee, or `500 CNY`, as the fields `share` or `amount` of terms.Tier."""
    return {"share": values.share(text)} if text.endswith("%") else {"amount": values.money(text)}


def flag_or_money(text: str) -> bool | dict[str, str]:
    """`true`, `false` or an amount."""
    return text == "true" if text in ("true", "false") else values.money(text)


def due_time(text: str) -> str:
    """`18:00`, kept as text."""
    values.time_of_day(text)
    return text


# --- parts of objectives


def one_of(*keys: str) -> Check:
    """Exactly one of the keys must be there."""

    def check(fields: Fields, report: Report) -> None:
        written = [key for key in keys if fields.has_key(key)]
        if not written:
            report.at(fields.node, f"one of {' and '.join(map(repr, keys))} is missing", f"write {keys[0]}: …")
        for key in written[1:]:
            report.at(fields.key_place(key), f"{written[0]!r} and {key!r} exclude each other", "keep one")

    return check


def pause(fields: Fields, report: Report) -> None:
    one_of("on", "while")(fields, report)
    for key in ("when", "by"):
        if fields.has_key("while") and fields.has_key(key):
            report.at(fields.key_place(key), f"{key!r} needs 'on'; with 'while' any event of the case decides", f"leave out {key!r}")


def target(fields: Fields, report: Report) -> None:
    one_of("within", "until")(fields, report)
    if "at" in fields and fields.get("within", {}).get("unit") != "bd":
        report.at(fields.key_place("at"), "'at: same_time' goes with business days only", "write within: 2bd, or leave out 'at'")
    if "pausable" in fields and "until" not in fields:
        report.at(
            fields.key_place("pausable"), "'pausable' goes with 'until' only", "targets of 'within' are always pausable; leave it out"
        )


_NEVER: Final = "leave out the one that is wrong, or tell them apart by `when`"


def _told_apart(fields: Fields, report: Report, *pairs: tuple[str, str]) -> None:
    """No event may always do both of two things that undo each other."""
    for first, second in pairs:
        one, other = fields.get(first), fields.get(second)
        if one is None or other is None or any(trigger.has_key(key) for trigger in (one, other) for key in ("when", "by")):
            continue
        both = next((event_type for event_type in one.get("on", ()) if event_type in other.get("on", ())), None)
        if both is not None:
            report.at(fields.place(second), f"{both!r} is both {first!r} and {second!r}", _NEVER)


def _warned_in_time(fields: Fields, report: Report) -> None:
    """A lead of at least every target never warns."""
    targets = [target.get("within", {}) for target in fields.get("targets", ())]
    if not targets or any("amount" not in within or "unit" in within for within in targets):
        return
    longest = max(within["amount"] for within in targets)
    for warning in fields.get("warn_at", ()):
        if warning.get("lead", 0) >= longest:
            message = f"this warning never comes: {warning['label']} before due is not after the start"
            report.at(fields.place("warn_at"), message, "write less than the longest target, or a share such as 80%")


def _same(when: str | None) -> Any:
    """A condition as it is compared with others: blanks and quotes do not matter, and what is always true is none at all."""
    said = True if when is None else meaning(when)
    return None if said is True else said


def deadline(fields: Fields, report: Report) -> None:
    _told_apart(fields, report, ("start", "stop"), ("start", "cancel"), ("stop", "cancel"), ("pause", "resume"))
    _warned_in_time(fields, report)
    if fields.has_key("resume") and not fields.has_key("pause"):
        report.at(fields.key_place("resume"), "'resume' without 'pause'", "say what pauses the clock, or leave out 'resume'")
    conditions: dict[Any, Fields] = {}
    for one in fields.get("targets", ()):
        if one.has_key("when") and "when" not in one:
            continue  # it has a problem of its own
        when, never = _same(one.get("when")), "this target is never reached"
        if when is False:
            report.at(one.place("when"), never, "its 'when' is always false; leave out the target, or write when it is for")
        elif None in conditions:
            line, why = conditions[None].node.line, "is always 'true'" if conditions[None].has_key("when") else "has no 'when'"
            report.at(one.node, never, f"the target on line {line} {why} and takes every case; put it last")
        elif when in conditions:
            report.at(one.node, never, f"the target on line {conditions[when].node.line} has the same 'when'")
        else:
            conditions[when] = one


def _share_target(fields: Fields, report: Report) -> None:
    bound = fields.get("target")
    if bound is None:
        return
    value, op = Decimal(bound["value"]), bound["op"]
    place = fields.place("target")
    if not 0 <= value <= 1:
        meant = f'write "{op} {bound["value"]}%"' if 1 < value <= 100 else "write a percentage from 0% to 100%"
        report.at(place, f"a share of {bound['value']} is impossible", meant)
    elif (op == ">=" and value == 0) or (op == "<=" and value == 1):
        report.at(place, "this target is always met", "a share lies between 0% and 100%")
    elif (op == ">" and value == 1) or (op == "<" and value == 0):
        report.at(place, "this target can never be met", "a share lies between 0% and 100%")


def _edges(fields: Fields) -> Iterator[tuple[Fields, str]]:
    """(record, key) of each level that money hangs on."""
    tiers = (*fields.get("penalty", {}).get("tiers", ()), *fields.get("reward", {}).get("tiers", ()))
    for record in (*tiers, fields.get("earn_back", {})):
        yield from ((record, key) for key in _EDGES if key in record)


def _on_their_side(fields: Fields, report: Report) -> None:
    """Credits are for the bad side of the target, bonuses and what earns back for the good one; the first tier says it for all."""
    op = fields.get("target", {}).get("op", "")
    credit, gain = {">": ("below", "at_least"), "<": ("above", "at_most")}.get(op[:1], ("", ""))
    credited, bonuses = (fields.get(key, {}).get("tiers", [])[:1] for key in ("penalty", "reward"))
    for records, right, side in ((credited, credit, "good"), (bonuses, gain, "bad"), ([fields.get("earn_back", {})], gain, "bad")):
        for record in records:
            wrong = next((key for key in record if key in _EDGES and right and key != right), None)
            if wrong is not None:
                report.at(record.key_place(wrong), f"{wrong!r} is the {side} side of a target of {op}", f"write {right}")


def share_level(fields: Fields, report: Report) -> None:
    """A level that is a share: ratio and availability."""
    _share_target(fields, report)
    _on_their_side(fields, report)
    for record, key in _edges(fields):
        if not 0 <= Decimal(record[key]) <= 1:
            meant = f"write {record[key]}%" if 1 < Decimal(record[key]) <= 100 else "write a percentage from 0% to 100%"
            report.at(record.place(key), f"a share of {record[key]} is impossible", meant)
    burn, bound = fields.get("burn_rate"), fields.get("target")
    if burn is None or bound is None or not 0 <= Decimal(bound["value"]) <= 1:
        return
    budget = 1 - Decimal(bound["value"])
    if bound["op"] not in (">=", ">") or budget == 0:
        report.at(fields.key_place("burn_rate"), "'burn_rate' needs an error budget", 'write a target such as ">= 99.9%"')
    elif isinstance(burn, list):
        for pair in burn:
            _can_fire(Decimal(pair["factor"]), budget, pair.place("factor"), report)


def availability(fields: Fields, report: Report) -> None:
    share_level(fields, report)
    _told_apart(fields, report, ("down", "up"))


def exclusion(fields: Fields, report: Report) -> None:
    _told_apart(fields, report, ("from", "to"))


def burn_pair(fields: Fields, report: Report) -> None:
    if "long" in fields and "short" in fields and fields["short"] >= fields["long"]:
        report.at(fields.place("short"), "the short window is not shorter than the long one", "a twelfth of the long window is usual")
    if "factor" in fields and Decimal(fields["factor"]) <= 0:
        report.at(fields.place("factor"), "the factor must be more than zero")


def _can_fire(factor: Decimal, budget: Decimal, place: Any, report: Report) -> None:
    if factor * budget >= 1:
        most = float(1 / budget)
        message = f"this burn rule can never fire: {factor:f} times a budget of {budget.normalize():f} is not less than everything"
        report.at(place, message, f"the factor must be below {most:.4g}, or the target higher")


def ratio(fields: Fields, report: Report) -> None:
    share_level(fields, report)
    events = fields.get("of", {}).get("events")
    if events is not None and not events.has_key("good"):
        report.at(events.node, "a ratio over events needs 'good'", "write events: {on: …, good: 'data.damaged == false'}")


def aggregate(fields: Fields, report: Report) -> None:
    function, bound = fields.get("aggregate"), fields.get("target")
    _on_their_side(fields, report)
    if function == "count":
        for record, key in (*([(fields, "target")] if bound else ()), *_edges(fields)):
            written = getattr(record.place(key), "text", "")
            if written.endswith("%"):
                number = f'"{written[:-1]}"' if key == "target" else written[:-1]
                report.at(record.place(key), f"{written} is a share, and a count is a number", f"write {number}")
    if function == "count" and bound is not None:
        value, op = Decimal(bound["value"]), bound["op"]
        if (op in (">=", ">") and value < 0) or (op == ">=" and value == 0):
            report.at(fields.place("target"), "this target is always met", "a count is never less than 0")
        elif (op in ("<=", "<", "==") and value < 0) or (op == "<" and value == 0) or (op == "==" and value != int(value)):
            report.at(fields.place("target"), "this target can never be met", "a count is a whole number of at least 0")
    if function == "count" and fields.has_key("field"):
        report.at(fields.key_place("field"), "'field' has no meaning for count", "leave it out")
    elif function not in (None, "count") and not fields.has_key("field"):
        report.at(fields.node, f"{function} needs the key 'field'", "write field: data.score")


# --- money


def penalty(fields: Fields, report: Report) -> None:
    started = fields.get("per_started_hour")
    if not any(fields.has_key(key) for key in ("per_breach", "per_hour_late", "per_started_hour", "tiers")):
        report.at(fields.node, "the penalty costs nothing", 'write per_breach: "500 CNY"')
    if isinstance(started, bool) and not fields.has_key("per_hour_late"):
        report.at(
            fields.key_place("per_started_hour"), "'per_started_hour: true' needs 'per_hour_late'", 'write per_started_hour: "50 CNY"'
        )
    cap, each = fields.get("at_most"), fields.get("per_breach")
    if cap and each and cap["currency"] == each["currency"] and Decimal(cap["amount"]) < Decimal(each["amount"]):
        message = f"the cap of one breach is less than 'per_breach', {each['amount']} {each['currency']}, which is never paid in full"
        report.at(fields.place("at_most"), message, "raise the cap, or lower 'per_breach'")
    if isinstance(started, dict) and fields.has_key("per_hour_late"):
        report.at(fields.key_place("per_started_hour"), "'per_hour_late' and 'per_started_hour' exclude each other", "keep one amount")


def level_penalty(fields: Fields, report: Report) -> None:
    penalty(fields, report)
    _tiers(fields.get("tiers", []), "credit", ("below", "above"), report)


def reward(fields: Fields, report: Report) -> None:
    _tiers(fields.get("tiers", []), "bonus", ("at_most", "at_least"), report)


def _tiers(tiers: list[Fields], gain: str, keys: tuple[str, str], report: Report) -> None:
    """`keys`: the one whose edges must fall from tier to tier, and the one whose edges must rise."""
    falling, rising = keys
    for before, after in pairwise(tiers):
        key = falling if falling in before else rising
        if key not in before or key not in after:
            report.at(after.node, f"tiers of one list all say {key!r}", f"write {key}: … here too")
            continue
        first, second = Decimal(before[key]), Decimal(after[key])
        if not (second < first if key == falling else second > first):
            ends = "highest edge first" if key == falling else "lowest edge first"
            report.at(
                after.place(key), "the tiers are out of order", f"{ends}: each must be {'below' if key == falling else 'above'} the last"
            )
        elif _gives_less(before[gain], after[gain]):
            report.at(
                after.place(gain),
                f"a further tier gives less {gain} than the one before",
                "tiers do not add up: the last that applies counts",
            )


def _gives_less(before: dict[str, Any], after: dict[str, Any]) -> bool:
    if "share" in before and "share" in after:
        return Decimal(after["share"]) < Decimal(before["share"])
    if "amount" in before and "amount" in after:
        return Decimal(after["amount"]["amount"]) < Decimal(before["amount"]["amount"])
    return False


# --- the agreement as a whole


def agreement(fields: Fields, report: Report) -> None:
    objectives: list[Fields] = fields.get("objectives", [])
    _parties(fields, report)
    _effective(fields, report)
    _names(objectives, report)
    _references(objectives, fields, report)
    _currencies(fields, report)
    _recurrences(objectives, fields, report)
    for objective in objectives:
        if objective.get("burn_rate") == "standard":
            _standard_burn(objective, fields.get("period", "month"), report)


def _parties(fields: Fields, report: Report) -> None:
    for key in ("vendor", "service"):
        if "*" in fields.get(key, ()) and len(fields[key]) > 1:
            report.at(fields.place(key), f'"*" beside other names of a {key}', f'write {key}: "*" alone; it means all')


def _effective(fields: Fields, report: Report) -> None:
    effective = fields.get("effective", {})
    zone_name = fields.get("timezone", "UTC")
    if "from" in effective and "to" in effective:
        first, last = (instant_of(effective[key], zone_name, key == "to") for key in ("from", "to"))
        if last <= first:
            report.at(
                effective.place("to"), f"effective.to {effective['to']} lies before effective.from {effective['from']}", "exchange them"
            )


def _names(objectives: list[Fields], report: Report) -> None:
    seen: dict[str, Fields] = {}
    for objective in objectives:
        name = objective.get("name")
        if name in seen:
            line = seen[name].place("name").line
            report.at(
                objective.place("name"), f"there is another objective {name!r}", f"it is on line {line}; names are unique in an agreement"
            )
        elif name is not None:
            seen[name] = objective


def _references(objectives: list[Fields], fields: Fields, report: Report) -> None:
    kinds = {objective["name"]: objective["kind"] for objective in objectives if "name" in objective and "kind" in objective}
    countable = [name for name, kind in kinds.items() if kind in COUNTABLE]
    for objective in objectives:
        of = objective.get("of", {})
        named = of.get("objective")
        if named is None:
            continue
        place = of.place("objective")
        if named == objective.get("name"):
            report.at(place, f"the objective {named!r} refers to itself", nearest("", countable))
        elif named not in kinds:
            if named not in _written_names(fields):
                report.at(place, f"there is no objective {named!r} in this agreement", nearest(named, countable))
        elif kinds[named] not in COUNTABLE:
            what = "windowed" if kinds[named] in WINDOWED else f"of kind {kinds[named]}"
            report.at(place, f"{named!r} is {what}: a ratio counts the outcomes of a deadline or heartbeat", nearest(named, countable))


def _written_names(fields: Fields) -> set[str]:
    """Names of all the objectives as written, those that could not be read included."""
    items = getattr(fields.place("objectives"), "items", ())
    return {name.text for item in items if hasattr(item, "get") and hasattr(name := item.get("name"), "text")}


def _recurrences(objectives: list[Fields], fields: Fields, report: Report) -> None:
    """A rule counts from `effective.from`, so that whether it ever gives a day is for the agreement to say."""
    zone_name, begins = fields.get("timezone", "UTC"), fields.get("effective", {}).get("from")
    anchor = EPOCH_MONDAY if begins is None else Zone(transitions(zone_name)).to_local(instant_of(begins, zone_name, last=False))
    for objective in objectives:
        due = objective.get("due", {})
        if "rrule" in due and not occurs(due["rrule"], anchor):
            since = begins or "1970-01-05, as there is no effective.from"
            hint = f"counted from {since}, it meets no day; the last day of each month is BYMONTHDAY=-1"
            report.at(due.place("rrule"), "the recurrence never occurs", hint)


def _currencies(fields: Fields, report: Report) -> None:
    first: str | None = None
    for owner, key, currency in _moneys(fields):
        first = first or currency
        if currency != first:
            report.at(owner.place(key), f"{currency} beside {first}: an agreement has one currency", f"write the amount in {first}")


def _moneys(fields: Fields) -> Iterator[tuple[Fields, str, str]]:
    """(record, key, currency) of every amount, in the order written."""
    for key, value in fields.items():
        match value:
            case Fields():
                yield from _moneys(value)
            case list():
                for item in value:
                    if isinstance(item, Fields):
                        yield from _moneys(item)
            case {"currency": str(currency)} | {"amount": {"currency": str(currency)}}:
                yield fields, key, currency


def burn_window(objective: Fields, period: str) -> int:
    """The civil length of the objective's window in ms; a contract period counts as its usual length."""
    length: int | None = objective.get("window", {}).get("length")
    return PERIOD_LENGTHS[period] if length is None else length


def standard_pairs(window: int) -> list[dict[str, Any]]:
    """The standard burn-rate pairs for a window, those left out whose long window it does not hold; fields of terms.BurnPair."""
    return [
        {"long": long, "short": short, "factor": _factor(window, share, long), "severity": severity}
        for share, long, short, severity in STANDARD_BURN
        if long <= window
    ]


def _factor(window: int, share: str, long: int) -> str:
    exact = Decimal(window) * Decimal(share) / Decimal(long)
    return f"{exact.quantize(Decimal('0.0001')).normalize():f}"


def _standard_burn(objective: Fields, period: str, report: Report) -> None:
    bound = objective.get("target")
    if bound is None or bound["op"] not in (">=", ">") or not 0 <= Decimal(bound["value"]) < 1:
        return
    pairs = standard_pairs(burn_window(objective, period))
    place = objective.place("burn_rate")
    if not pairs:
        report.at(place, "the window is too short for the standard burn rates", "list pairs of your own")
    budget = 1 - Decimal(bound["value"])
    worst = max((Decimal(pair["factor"]) for pair in pairs), default=Decimal(0))
    if worst * budget >= 1:
        _can_fire(worst, budget, place, report)
