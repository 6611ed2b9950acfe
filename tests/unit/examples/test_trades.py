"""Each trade's agreement, replayed over its short history, gives the verdicts that were worked out by hand."""

import json
from pathlib import Path

import pytest

from shared.language import load, load_or_raise
from shared.sla.instants import DAY, parse_instant
from tests.unit.examples.replaying import EXAMPLES, Line, cases_of, in_event_time, levels_of

TRADES = ("helpdesk", "parcels", "payroll", "hosting", "campus", "cards")
UNTIL = parse_instant("2026-03-01T12:00:00Z")  # everything due in February has been called by then

Key = tuple[object, ...]


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def by_clock(lines: list[Line], objectives: set[str]) -> dict[Key, Line]:
    found: dict[Key, Line] = {(line["objective"], line["case"], line["cycle"]): line for line in lines if line["objective"] in objectives}
    assert len(found) == sum(line["objective"] in objectives for line in lines), "a clock has one line"
    return found


def deadlines_of(trade: str) -> set[str]:
    [agreement] = load_or_raise([EXAMPLES / trade / "agreement.yaml"]).agreements
    return {objective.name for objective in agreement.objectives if objective.__struct_config__.tag == "deadline"}


def replayed(trade: str) -> list[Line]:
    return cases_of(in_event_time(EXAMPLES / trade / "agreement.yaml", lines_of(EXAMPLES / trade / "events.ndjson"), UNTIL))


def test_all_agreements_can_be_in_force_together() -> None:
    files = [EXAMPLES / trade / "agreement.yaml" for trade in TRADES] + [EXAMPLES / "demo" / "agreements.yaml"]
    loaded = load(files)
    assert loaded.problems == ()
    assert len(loaded.agreements) == len(TRADES) + 7  # the demo has a few


@pytest.mark.parametrize("trade", TRADES)
def test_deadlines_come_out_as_worked_out_by_hand(trade: str) -> None:
    objectives = deadlines_of(trade)
    expected = by_clock(lines_of(EXAMPLES / trade / "expected.cases.ndjson"), objectives)
    got = by_clock(replayed(trade), objectives)
    assert expected.keys() == got.keys()
    for clock, line in expected.items():
        assert {name: got[clock][name] for name in line} == line


@pytest.mark.parametrize("trade", ["parcels", "payroll", "campus"])
def test_violations_and_heartbeats_come_out_as_worked_out_by_hand(trade: str) -> None:
    expected = [line for line in lines_of(EXAMPLES / trade / "expected.cases.ndjson") if line["objective"] not in deadlines_of(trade)]
    got = {(line["objective"], line["case"]): line for line in replayed(trade) if line["objective"] not in deadlines_of(trade)}
    assert {(line["objective"], line["case"]) for line in expected} == got.keys()
    for line in expected:
        assert {name: got[line["objective"], line["case"]][name] for name in line} == line


@pytest.mark.parametrize("trade", TRADES)
def test_the_order_of_arrival_does_not_matter(trade: str) -> None:
    events = lines_of(EXAMPLES / trade / "events.ndjson")
    agreement = EXAMPLES / trade / "agreement.yaml"

    def verdicts(history: list[Line]) -> list[Line]:
        lines = cases_of(in_event_time(agreement, history, UNTIL))
        return [{name: value for name, value in line.items() if name != "revision"} for line in lines]

    # disorder of days, but inside the horizon of a week: what comes later does not correct a recurring deliverable any more
    weeks = [[event for event in events if parse_instant(event["time"]) // (6 * DAY) == six] for six in range(3_000, 4_000)]
    assert verdicts([event for week in weeks for event in reversed(week)]) == verdicts(events)


@pytest.mark.parametrize("trade", [trade for trade in TRADES if (EXAMPLES / trade / "expected.levels.ndjson").exists()])
def test_levels_come_out_as_worked_out_by_hand(trade: str) -> None:
    engine = in_event_time(EXAMPLES / trade / "agreement.yaml", lines_of(EXAMPLES / trade / "events.ndjson"), UNTIL)
    got = {(line["objective"], line["window_start"]): line for line in levels_of(engine)}
    expected = {(line["objective"], line["window_start"]): line for line in lines_of(EXAMPLES / trade / "expected.levels.ndjson")}
    assert got.keys() == expected.keys()
    for place, line in expected.items():
        for name, value in line.items():
            shown = got[place][name]
            assert shown == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), (place, name)


@pytest.mark.parametrize("trade", TRADES)
def test_history_is_short_and_of_one_vendor(trade: str) -> None:
    events = lines_of(EXAMPLES / trade / "events.ndjson")
    assert 10 <= len(events) <= 40
    assert len({(event["vendor"], event["service"]) for event in events}) == 1


@pytest.mark.parametrize("trade", TRADES)
def test_history_uses_only_events_that_the_agreement_speaks_of(trade: str) -> None:
    """But for the updates of systems that post states."""
    agreement = (EXAMPLES / trade / "agreement.yaml").read_text(encoding="utf-8")
    types = {event["type"] for event in lines_of(EXAMPLES / trade / "events.ndjson")}
    assert {name for name in types if name not in agreement} <= {"incident.updated"}
