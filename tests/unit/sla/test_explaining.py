"""`slawatch explain`: a timeline that a contract manager can put before the vendor."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.language import bundles, load_or_raise
from shared.sla.engine import Engine
from shared.sla.explaining import INTERVALS_MAX, duration_text, explain_case
from shared.sla.statements import Statement
from shared.wire.events import decode
from tests.saying import unwritten
from tests.unit.sla.timeline import BY_PRIORITY, OFFICE, Timeline, agreement, instant

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "explain_helpdesk.txt"


def explained(history: Timeline, end: str) -> list[dict[str, Any]]:
    (book,) = history.engine.books_of("case")
    return explain_case(book, instant(end), history.statements)


def intervals(told: dict[str, Any]) -> list[tuple[str, Any, str]]:
    return [(piece["what"], piece["s"], piece["why"]) for piece in told["intervals"]]


def test_the_help_desks_case_reads_as_its_golden_text() -> None:
    engine = Engine("event")
    for bundle in bundles(load_or_raise([ROOT / "examples" / "helpdesk" / "agreement.yaml"])):
        engine.activate(bundle, "standing")
    said: list[Statement] = []
    for line in (ROOT / "examples" / "helpdesk" / "events.ndjson").read_bytes().splitlines():
        said += unwritten(engine.take(decode(line))[0])
    said += unwritten(engine.settle())
    text: list[str] = []
    for book in engine.books_of("INC-1004"):
        about = [s for s in said if (s.case, s.objective) == (book.case, book.objective)]
        for told in explain_case(book, engine.log_time_of(book.vendor), about):
            text += [f"{line}\n" for line in (*told["text"], "")]
    assert "".join(text) == GOLDEN.read_text(encoding="utf-8")


def test_every_second_from_start_to_stop_is_accounted_for() -> None:
    history = Timeline(agreement(OFFICE, calendar="office", targets="[{within: 16h}]"))
    for arrival, kind in (
        ("10:00", "opened"),
        ("12:00", "paused"),
        ("Tue 10:00", "resumed"),
        ("Tue 20:00", "done"),
        ("Wed 11:00", "reopened"),
    ):
        history.at(arrival, kind)
    history.at("Wed 12:00", "done")
    (told,) = explained(history, "Wed 12:00")
    pieces = told["intervals"]
    assert [pieces[0]["from"], pieces[-1]["to"]] == [told["started"], told["stopped"]]
    assert all(one["to"] == other["from"] for one, other in pairwise(pieces))
    assert sum(piece["s"] for piece in pieces if piece["what"] == "counted") == told["elapsed_s"]
    assert sum(piece["s"] for piece in pieces if piece["what"] == "paused") == told["paused_s"]
    assert ("paused", 7200, "the case was closed") in intervals(told)


def test_closed_time_says_which_holiday_or_override_closed_it() -> None:
    german = (
        "{apiVersion: slawatch/v1, kind: Calendar, name: office, timezone: UTC, hours: {mon-fri: ['09:00-17:00']}, holidays: DE, "
        "overrides: {2026-12-28: []}}"
    )
    history = Timeline(agreement(german, calendar="office"))
    history.at("2026-12-24T16:30:00Z", "opened")
    history.at("2026-12-29T09:10:00Z", "done")
    (told,) = explained(history, "2026-12-29T09:10:00Z")
    (_, _, why) = intervals(told)[1]
    assert "Christmas Day (2026-12-25)" in why
    assert "closed by an override (2026-12-28)" in why
    assert "2026-12-29" not in why


def test_it_says_which_target_applies_and_why() -> None:
    for priority, text in (
        (1, "1 h of working time (target 1 of 3, first match: data.p == 1)"),
        (3, "4 h of working time (target 3 of 3, no earlier one matches)"),
    ):
        history = Timeline(agreement(targets=BY_PRIORITY))
        history.at("10:00", "opened", {"p": priority})
        (told,) = explained(history, "10:00")
        assert told["target"] == text


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        ("[{within: 90m}]", "1 h 30 min of working time (it has no condition)"),
        ("[{within: 1bd}]", "1 business day (it has no condition)"),
        ("[{within: 2bd, at: same_time}]", "2 business days, at the same time (it has no condition)"),
        ("[{within: 7cd}]", "7 civil days (it has no condition)"),
        ("[{until: data.promised, pausable: true}]", "until data.promised, moved by pauses (it has no condition)"),
        ("[{when: data.p == 9, within: 1h}]", "none of 1 matches"),
    ],
)
def test_targets_in_the_agreements_words(targets: str, text: str) -> None:
    history = Timeline(agreement(targets=targets))
    history.at("10:00", "opened", {"promised": "2026-03-02T12:00:00Z"})
    (told,) = explained(history, "10:00")
    assert told["target"] == text


def test_pauses_show_their_reason_and_end_at_their_cap() -> None:
    history = Timeline(agreement(pause="{on: paused, at_most: 30m, reason: data.reason}"))
    history.at("10:00", "opened")
    history.at("10:10", "paused", {"reason": "waits for the customer"})
    history.at("10:50", "done")
    (told,) = explained(history, "10:50")
    assert intervals(told) == [("counted", 600, ""), ("paused", 1800, "waits for the customer"), ("counted", 600, "")]


def test_time_before_a_restart_does_not_count() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY, change="{on: changed, as: restart}"))
    history.at("10:00", "opened", {"p": 3})
    history.at("10:30", "changed", {"p": 2})
    history.at("11:00", "done")
    (told,) = explained(history, "11:00")
    assert intervals(told) == [("void", 1800, "the target was restarted later"), ("counted", 1800, "")]
    assert told["elapsed_s"] == 1800


def test_time_is_shown_on_the_calendar_it_ran_on() -> None:
    targets = "[{when: data.p == 1, within: 8h, calendar: 24x7}, {within: 8h}]"
    history = Timeline(agreement(OFFICE, calendar="office", targets=targets))
    history.at("16:00", "opened", {"p": 2})
    history.at("19:00", "changed", {"p": 1})
    history.at("20:00", "done")
    (told,) = explained(history, "20:00")
    assert [what for what, _, _ in intervals(told)] == ["counted", "closed", "counted"]
    assert sum(piece["s"] for piece in told["intervals"] if piece["what"] == "counted") == told["elapsed_s"] == 7200


def test_every_revision_says_when_and_on_what_evidence() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("11:30", "done", dated="10:55")
    (told,) = explained(history, "12:00")
    assert [(s["type"], s["revision"], s["decided_at"], s["evidence"]) for s in told["statements"]] == [
        ("slawatch.breach.opened", 0, "2026-03-02T11:00:02Z", ["opened 10:00"]),
        ("slawatch.breach.retracted", 1, "2026-03-02T11:30:00Z", ["opened 10:00", "done 10:55"]),
        ("slawatch.clock.met", 1, "2026-03-02T11:30:00Z", ["opened 10:00", "done 10:55"]),
    ]


def test_evidence_that_was_left_out_is_named() -> None:
    history = Timeline(agreement(max_lateness="10m"))
    history.at("10:00", "opened")
    history.at("11:30", "done", dated="10:55")
    (told,) = explained(history, "12:00")
    assert told["left_out"] == ["done 10:55"]
    assert told["text"][-1].endswith("awaits review: done 10:55")


def test_each_cycle_is_told_apart() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("10:30", "rejected")
    history.until("12:00")
    first, second = explained(history, "12:00")
    assert [step["what"] for step in first["steps"]] == ["start", "reset"]
    assert [s["type"] for s in second["statements"]] == ["slawatch.breach.opened"]


def test_a_move_to_another_version_is_a_step() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.activate("10:30", agreement(version="2", targets="[{within: 2h}]", apply_to="open"))
    (told,) = explained(history, "10:30")
    assert (told["version"], told["steps"][-1]["what"]) == (2, "version")


def test_a_very_long_case_is_cut_and_says_so() -> None:
    history = Timeline(agreement(OFFICE, calendar="office"))
    history.at("10:00", "opened")
    (told,) = explained(history, "2040-01-01T00:00:00Z")
    assert len(told["intervals"]) == INTERVALS_MAX + 1
    assert told["intervals"][-1]["what"] == "left out"


def test_it_is_json() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    assert msgspec.json.decode(msgspec.json.encode(explained(history, "10:30")))[0]["case"] == "case"


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (0, "0 s"), (0.25, "250 ms"), (3661, "1 h 1 min 1 s"), (86400, "24 h")])
def test_durations_for_people(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_each_pause_is_told_with_its_reason_and_its_working_time() -> None:
    history = Timeline(agreement(OFFICE, calendar="office", targets="[{within: 16h}]"))
    history.at("10:00", "opened")
    history.at("12:00", "paused")
    history.at("Tue 10:00", "resumed")
    history.at("Tue 11:00", "paused")
    (told,) = explained(history, "Tue 12:30")
    assert [(pause["from"][8:16], pause["to"][8:16], pause["s"]) for pause in told["pauses"]] == [
        ("02T12:00", "03T10:00", 6 * 3600),
        ("03T11:00", "03T12:30", 1.5 * 3600),
    ]
    assert sum(pause["s"] for pause in told["pauses"]) == told["paused_s"]
    (book,) = history.engine.books_of("case")
    (without,) = explain_case(book, instant("Tue 12:30"), None)
    assert "statements" not in without
    assert not any("was stated" in line for line in without["text"])
    assert without["pauses"] == told["pauses"]
