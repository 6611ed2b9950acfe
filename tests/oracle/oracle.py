"""The oracle's door: agreements, calendars, a history in; lines of `cases.ndjson` and `levels.ndjson` out (event-time mode)."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.cases import Event, Fold, in_order, matches, trigger
from tests.oracle.conditions import decide
from tests.oracle.hours import Hours, always
from tests.oracle.levels import Merged, level_lines
from tests.oracle.slots import slot_lines
from tests.oracle.units import duration, instant, seconds, wall, written

Document = dict[str, Any]
Line = dict[str, Any]


def evidence(events: list[Event]) -> list[Event]:
    """The set of evidence: the first of each (vendor, source, id), without those that another replaces."""
    kept: dict[tuple[str, str, str], Event] = {}
    for event in events:
        kept.setdefault((event["vendor"], event["source"], event["id"]), event)
    gone = {(e["vendor"], e["source"], e["replaces"]) for e in kept.values() if e.get("replaces") not in {None, e["id"]}}
    return [event for key, event in kept.items() if key not in gone]


def log_times(events: list[Event], until: str | None) -> dict[str, int]:
    """The largest time of each vendor, moved on to ``until``."""
    out: dict[str, int] = {}
    for event in events:
        at = max(instant(event["time"]), instant(until) if until else instant(event["time"]))
        out[event["vendor"]] = max(at, out.get(event["vendor"], at))
    return out


def covers(names: Any, name: str) -> bool:
    """`acme`, `[acme, globex]` or `*`."""
    return names == "*" or name == names or (isinstance(names, list) and name in names)


def in_force(agreement: Document, at: int) -> bool:
    """Whether the instant lies in `effective`, both days included in the agreement's zone."""
    zone = ZoneInfo(agreement.get("timezone", "UTC"))
    effective = agreement.get("effective", {})
    begin = wall(date.fromisoformat(str(effective["from"])), 0, zone) if "from" in effective else at
    end = wall(date.fromisoformat(str(effective["to"])) + timedelta(days=1), 0, zone) if "to" in effective else at + 1
    return begin <= at < end


def calendars_of(agreement: Document, calendars: list[Document]) -> dict[str, Hours]:
    """The calendars by name, with `24x7` in the agreement's zone."""
    return {"24x7": always(agreement.get("timezone", "UTC"))} | {doc["name"]: Hours(doc) for doc in calendars}


def case_lines(agreements: list[Document], calendars: list[Document], events: list[Event], until: str | None = None) -> list[Line]:
    """One line per (objective, case, cycle) of the `deadline`, `violation` and `heartbeat` objectives, without `revision`.

    ``events`` in order of arrival. Within one name, the version of the highest number in force at the start governs the case.
    """
    logs = log_times(events, until)
    cases: dict[tuple[str, str, str], list[Event]] = {}
    for event in evidence(events):
        cases.setdefault((event["vendor"], event["service"], event["subject"]), []).append(event)
    lines: list[Line] = []
    for case, its_events in sorted(cases.items()):
        for name, objective in sorted({(a["name"], o["name"]) for a in agreements for o in a["objectives"]}):
            versions = sorted((a for a in agreements if a["name"] == name), key=lambda a: -int(a["version"]))
            lines += _lines(versions, objective, calendars, case, its_events, logs[case[0]])
    for agreement in agreements:
        for spec in (o for o in agreement["objectives"] if o["kind"] == "heartbeat"):
            lines += _slots(agreement, spec, calendars, events, logs, until)
    return lines


def levels(agreements: list[Document], calendars: list[Document], events: list[Event], until: str | None = None) -> list[Line]:
    """One line per (objective, closed window), `value` and `target` left as exact fractions; one version per agreement."""
    logs, all_cases = log_times(events, until), case_lines(agreements, calendars, events, until)
    out: list[Line] = []
    for agreement in agreements:
        for spec in (o for o in agreement["objectives"] if o["kind"] in {"ratio", "aggregate", "availability"}):
            for vendor, service in sorted({(e["vendor"], e["service"]) for e in evidence(events)}):
                if not (covers(agreement["vendor"], vendor) and covers(agreement["service"], service)):
                    continue
                head = {"agreement": agreement["name"], "version": agreement["version"], "vendor": vendor, "service": service}
                of = spec.get("of", {}).get("objective")
                about = [line for line in all_cases if line["objective"] == of and all(line[key] == head[key] for key in head)]
                hours = _hours(agreement, spec, calendars)
                found = level_lines(agreement, spec, hours, _merged(events, vendor, service), about, logs[vendor])
                out += [head | {"objective": spec["name"]} | line for line in found]
    return out


def _hours(agreement: Document, objective: Document, calendars: list[Document]) -> Hours:
    return calendars_of(agreement, calendars)[str(objective.get("calendar", agreement.get("calendar", "24x7")))]


def _merged(events: list[Event], vendor: str, service: str) -> Merged:
    """The evidence of a vendor's service, merged."""
    return merged_of([event for event in evidence(events) if (event["vendor"], event["service"]) == (vendor, service)])


def merged_of(mine: list[Event]) -> Merged:
    """Evidence in order of time, each event with its case's data merged so far."""
    out: Merged = []
    for subject in sorted({event["subject"] for event in mine}):
        data: dict[str, Any] = {}
        for event in in_order([event for event in mine if event["subject"] == subject], {}):
            data = {**data, **(event.get("data") or {})}
            out.append((event, data))
    return sorted(out, key=lambda pair: instant(pair[0]["time"]))


def _names(written_names: Any) -> list[str]:
    return [written_names] if isinstance(written_names, str) else list(written_names)


def _slots(
    agreement: Document, objective: Document, calendars: list[Document], events: list[Event], logs: dict[str, int], until: str | None
) -> list[Line]:
    """Slots of the vendors and services the agreement names; where it says `*`, of those seen, from their first event."""
    seen = {(event["vendor"], event["service"]) for event in evidence(events)}
    pairs = {pair for pair in seen if covers(agreement["vendor"], pair[0]) and covers(agreement["service"], pair[1])}
    named = "*" not in (agreement["vendor"], agreement["service"])
    if named:
        pairs |= {(vendor, service) for vendor in _names(agreement["vendor"]) for service in _names(agreement["service"])}
    out: list[Line] = []
    for vendor, service in sorted(pairs):
        if vendor not in logs and until is None:
            continue
        merged = _merged(events, vendor, service)
        log = logs.get(vendor, instant(until) if until else 0)
        head = {"agreement": agreement["name"], "version": agreement["version"], "objective": objective["name"]}
        since = 0 if named else min(instant(event["time"]) for event, _ in merged)
        for line in slot_lines(agreement, objective, _hours(agreement, objective, calendars), merged, log, since):
            full = dict.fromkeys(["elapsed", "target", "paused"]) | line
            out.append(head | {"vendor": vendor, "service": service, "case": written(line["case"])} | _written(full))
    return out


def _lines(
    versions: list[Document], name: str, calendars: list[Document], case: tuple[str, str, str], events: list[Event], log: int
) -> list[Line]:
    """The lines of one case under one objective; of several versions that of the earliest start holds for all of the case's cycles."""
    folds: list[tuple[Document, Fold]] = []
    out: list[Line] = []
    head = dict(zip(("vendor", "service", "case"), case, strict=True)) | {"objective": name}
    for place, agreement in enumerate(versions):
        governs = partial(_governs, agreement, versions[:place])
        objective = next((o for o in agreement["objectives"] if o["name"] == name), None)
        if objective is None or not (covers(agreement["vendor"], case[0]) and covers(agreement["service"], case[1])):
            continue
        if objective["kind"] == "violation":
            about = head | {"agreement": agreement["name"], "version": agreement["version"]}
            out += [about | line for line in _violations(governs, objective, events)]
        if objective["kind"] == "deadline":
            fold = Fold(agreement, objective, calendars_of(agreement, calendars), governs)
            for event in in_order(events, objective):
                fold.feed(event)
            if fold.cycles:
                folds.append((agreement, fold))
    if folds:
        agreement, fold = min(folds, key=lambda pair: pair[1].cycles[0].started)
        about = head | {"agreement": agreement["name"], "version": agreement["version"]}
        grace = duration(agreement.get("grace", "2s"))
        out += [about | _written(cycle.line(log, grace)) for cycle in fold.cycles]
    return out


def _governs(agreement: Document, newer: list[Document], at: int) -> bool:
    return in_force(agreement, at) and not any(in_force(other, at) for other in newer)


def _violations(governs: Callable[[int], bool], objective: Document, events: list[Event]) -> list[Line]:
    spec = trigger(objective["on"])
    data: dict[str, Any] = {}
    out: list[Line] = []
    for event in in_order(events, {}):
        at = instant(event["time"])
        data = {**data, **(event.get("data") or {})}
        own = event.get("data") or {}
        looked_at = matches(spec, event) and decide(spec.get("when"), data, event) and decide(objective.get("when"), data, event)
        if looked_at and governs(at) and decide(objective["unless"], own, event) is False:
            moment = written(at)
            line = {"cycle": 1, "state": "breached_closed", "started": moment, "due": moment, "stopped": moment}
            empty = dict.fromkeys(["elapsed_s", "target_s", "paused_s", "late_s", "overdue_s"])
            out.append(line | empty | {"event": event["id"]})
    return out


def _written(line: dict[str, Any]) -> Line:
    instants = {key: written(line[key]) for key in ("started", "due", "stopped")}
    durations = {f"{key}_s": seconds(line[key]) for key in ("elapsed", "target", "paused", "late", "overdue")}
    return {"cycle": line["cycle"], "state": line["state"]} | instants | durations | {"event": None}
