"""`slawatch explain` for what is counted over cases: every number in it adds up to the level that was stated."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from shared.cli.__main__ import app

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
UNTIL = "2026-04-15T12:00:00Z"  # long enough for cases to have left memory


def explain(trade: str, case: str, *more: str, until: str = UNTIL) -> Result:
    folder = EXAMPLES / trade
    words = ["explain", "-a", str(folder / "agreement.yaml"), "-e", str(folder / "events.ndjson"), "--case", case, "--until", until]
    return CliRunner().invoke(app, [*words, *more])


def told(trade: str, case: str, *more: str, until: str = UNTIL) -> list[dict[str, Any]]:
    result = explain(trade, case, "--json", *more, until=until)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_ratio_names_every_outcome_that_it_counts() -> None:
    (level,) = told("helpdesk", "2026-02", "--objective", "in-time-share")
    assert (level["state"], level["good"], level["total"], level["provisional"]) == ("breached", 4, 7, False)
    assert [mark["counts"] for mark in level["evidence"]].count(True) == 4
    assert len(level["evidence"]) == 7
    assert {mark["case"] for mark in level["evidence"] if not mark["counts"]} == {"INC-1002", "INC-1004", "INC-1008"}
    assert [stated["type"] for stated in level["statements"]][-2:] == ["slawatch.breach.opened", "slawatch.breach.final"]
    assert "  because   57.14285714% is not >= 95%" in level["text"]


def test_an_average_names_every_number() -> None:
    (level,) = told("helpdesk", "2026-02-01", "--objective", "satisfaction")
    assert [mark["counts"] for mark in level["evidence"]] == [5, 3, 5, 4]
    assert level["value"] == sum(mark["counts"] for mark in level["evidence"]) / 4
    assert "  measures  avg of data.score" in level["text"]


@pytest.mark.parametrize("until", [UNTIL, "2026-02-28T01:00:00Z"])
def test_downtime_adds_up_to_what_the_level_lost(until: str) -> None:
    (level,) = told("hosting", "2026-02", "--objective", "uptime", until=until)
    down = [piece for piece in level["intervals"] if piece["what"] == "down"]
    assert sum(piece["s"] for piece in down) == level["total"] - level["good"] > 0
    assert [piece["events"][0]["case"] for piece in level["intervals"]] == ["OUT-71", "MNT-9", "OUT-74"]
    burning = [stated for stated in level["statements"] if stated["type"] == "slawatch.level.burning"]
    assert burning[0]["threshold"] == "14.4x over 1h and 5m"
    assert all(stated["evidence"] for stated in burning)


def test_a_window_that_is_not_over_tells_how_it_stands() -> None:
    (level,) = told("helpdesk", "2026-02", "--objective", "satisfaction", until="2026-02-20T12:00:00Z")
    assert level["state"] == "open"
    assert level["because"] == "the window is not over; it stands at 4.25"


def test_a_slot_tells_what_came_and_is_found_by_its_due_its_day_and_its_event() -> None:
    by_due, by_event = told("payroll", "2026-02-06T10:00:00Z"), told("payroll", "REP-2026-01")
    assert by_due == by_event
    (slot,) = by_due
    assert (slot["state"], slot["event"], slot["stopped"]) == ("met", "wf-7001", "2026-02-06T09:00:00Z")
    assert "  came      wf-7001 at Fri 2026-02-06 17:00:00, in time" in slot["text"]
    breached = told("campus", "2026-03-23")
    assert [one["state"] for one in breached if one["kind"] == "heartbeat"] == ["breached"]
    assert any("nothing came" in line for line in breached[0]["text"])


def test_a_violation_shows_the_test_and_the_data_that_failed_it() -> None:
    (violation,) = told("campus", "LOT-2", "--objective", "lot-accepted")
    assert (violation["unless"], violation["data"]) == ("data.defects <= data.accept", {"sampled": 80, "defects": 4, "accept": 3})
    assert [stated["type"].rsplit(".", 1)[1] for stated in violation["statements"]] == ["opened", "closed", "final"]


@pytest.mark.parametrize("until", [UNTIL, "2026-02-28T12:00:00Z"])
def test_a_case_tells_what_it_counts_for(until: str) -> None:
    (part,) = told("cards", "TX-3", "--objective", "authorised", until=until)
    assert [(one["counts"], one["event"], one["window_start"]) for one in part["parts"]] == [(False, "cl-90224", "2026-01-31T23:00:00Z")]
    (outage,) = told("hosting", "OUT-71", "--objective", "uptime", until=until)
    assert [(one["from"], one["to"], one["counts"]) for one in outage["parts"]] == [
        ("2026-02-10T02:00:00Z", "2026-02-10T04:30:00Z", "down")
    ]


def test_what_is_counted_nowhere_is_said_so() -> None:
    result = explain("payroll", "nothing")
    assert result.exit_code == 1
    assert "the start of a window" in result.output


def test_an_objective_that_is_none_is_told_with_those_that_are() -> None:
    for asked, hint in (
        ("resolutoin", "did you mean resolution?"),
        ("rr", "known here: first-response, in-time-share, resolution, satisfaction"),
    ):
        result = explain("helpdesk", "INC-1004", "--objective", asked)
        assert result.exit_code == 2
        assert f"there is no objective '{asked}': {hint}" in " ".join(result.output.split())


def test_evidence_that_came_when_the_case_had_left_is_named(tmp_path: Path) -> None:
    terms = "{apiVersion: slawatch/v1, kind: Agreement, name: a, vendor: acme, service: desk, horizon: 1d, objectives: ["
    (tmp_path / "a.yaml").write_text(terms + "{name: r, kind: deadline, start: opened, stop: done, targets: [{within: 4h}]}]}\n")
    usual = {"specversion": "1.0", "source": "/s", "subject": "A", "vendor": "acme", "service": "desk"}
    lines = [
        usual | {"id": "1", "type": "opened", "time": "2026-01-05T10:00:00Z", "arrival": "2026-01-05T10:00:00Z"},
        usual | {"id": "2", "type": "done", "time": "2026-01-05T15:00:00Z", "arrival": "2026-01-05T15:00:00Z"},
        usual | {"id": "3", "type": "done", "time": "2026-01-05T12:00:00Z", "arrival": "2026-01-06T15:30:00Z"},
    ]
    (tmp_path / "a.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["explain", "-a", str(tmp_path / "a.yaml"), "-e", str(tmp_path / "a.ndjson"), "--case", "A", "--json"]
    (told,) = json.loads(CliRunner().invoke(app, words).stdout)
    assert (told["state"], told["left_out"]) == ("breached_closed", ["3"])
