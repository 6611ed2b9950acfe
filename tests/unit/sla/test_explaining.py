"""`slawatch explain`: a timeline that a contract manager can put before the vendor."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.language import bundles, load_or_raise
from shared.sla.engine import Engine, books_of
from shared.sla.explaining import INTERVALS_MAX, duration_text, explain_case
from shared.sla.statements import Statement
from shared.wire.events import decode
from tests.saying import unwritten
from tests.unit.sla.timeline import BY_PRIORITY, OFFICE, Timeline, agreement, instant

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "explain_helpdesk.txt"


def explained(history: Timeline, end: str) -> list[dict[str, Any]]:
    case = history.engine.desk("vendor", "desk").cases["case"]
    (book,) = books_of(case)
    return explain_case(book, case.events, instant(end), history.statements)


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
    case = engine.desk("acme", "helpdesk").cases["INC-1004"]
    for book in books_of(case):
        about = [s for s in said if (s.case, s.objective) == (book.case, book.objective)]
        for told in explain_case(book, case.events, engine.log_time_of(book.vendor), about):
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
        ("[{when: data.p == 9, within: 1h}]", "none of 1 applies: no target matches"),
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
    assert intervals(told) == [("void", 1800, "forgotten: the target was restarted later"), ("counted", 1800, "")]
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
    case = history.engine.desk("vendor", "desk").cases["case"]
    (without,) = explain_case(books_of(case)[0], case.events, instant("Tue 12:30"), None)
    assert "statements" not in without
    assert not any("was stated" in line for line in without["text"])
    assert without["pauses"] == told["pauses"]


def what_happened(told: dict[str, Any]) -> list[str]:
    """The lines of the text that tell it, without the day."""
    lines = told["text"]
    first = lines.index("  what happened") + 1
    return [" ".join(line.split()[2:]) for line in lines[first : lines.index("  how the time counts")]]


@pytest.mark.parametrize(
    ("within", "kind", "state"),
    [
        ("1h", "cancelled", "cancelled"),
        ("1h", "rejected", "cancelled"),
        ("1h", "noted", "cancelled"),
        ("20m", "cancelled", "breached_closed"),
        ("20m", "rejected", "breached_closed"),
    ],
)
def test_a_pause_in_which_the_clock_ends_is_told(within: str, kind: str, state: str) -> None:
    history = Timeline(agreement(targets=f"[{{within: {within}}}]", when="'!has(data.moot) || !data.moot'"))
    history.at("10:00", "opened")
    history.at("10:30", "paused")
    history.at("11:30", kind, {"moot": kind == "noted"})
    told = explained(history, "12:00")[0]
    assert told["state"] == state
    assert intervals(told) == [("counted", 1800, ""), ("paused", 3600, "")]
    assert [pause["s"] for pause in told["pauses"]] == [told["paused_s"]] == [3600]


def test_a_version_that_ends_a_clock_in_a_pause_tells_the_pause_and_the_end() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", {"vip": False})
    history.at("10:30", "paused")
    history.activate("10:40", agreement(version="2", when="data.vip", apply_to="open"))
    (told,) = explained(history, "11:00")
    assert [step["what"] for step in told["steps"]] == ["start", "pause", "version", "when"]
    assert intervals(told) == [("counted", 1800, ""), ("paused", 600, "")]


def test_a_skipped_case_counts_nothing_and_says_why_and_since_when() -> None:
    for targets, data, why in (
        ("[{when: data.p == 1, within: 1h}]", {"p": 2}, "no target matches"),
        ("[{until: data.promised}]", {}, "data.promised is missing, or no instant"),
    ):
        history = Timeline(agreement(targets=targets))
        history.at("10:00", "opened", data)
        history.at("12:00", "done")
        (told,) = explained(history, "13:00")
        assert [(one["from"][11:16], one["to"][11:16], one["what"], one["s"], one["why"]) for one in told["intervals"]] == [
            ("10:00", "12:00", "skipped", 0, f"not counted: {why}")
        ]
        assert told["pauses"] == []
    history = Timeline(agreement(targets="[{when: data.p == 1, within: 1h}]"))
    history.at("10:00", "opened", {"p": 1})
    history.at("10:10", "changed", {"p": 2})
    history.at("10:20", "paused")
    (told,) = explained(history, "11:00")
    assert intervals(told) == [("skipped", 0, "not counted: from Mon 2026-03-02 10:10:00 on no target matches")]
    assert told["steps"][1]["note"] == "no target"


def test_every_event_that_moved_nothing_says_why() -> None:
    history = Timeline(agreement())
    for at, kind in (
        ("09:00", "paused"),
        ("10:00", "opened"),
        ("10:01", "opened"),
        ("10:02", "resumed"),
        ("10:03", "reopened"),
        ("10:04", "changed"),
        ("10:05", "paused"),
        ("10:06", "paused"),
        ("10:07", "noted"),
        ("10:10", "done"),
        ("10:11", "opened"),
        ("10:12", "paused"),
        ("10:13", "resumed"),
        ("10:14", "changed"),
        ("10:15", "done"),
        ("10:16", "cancelled"),
    ):
        history.at(at, kind, {"n": 1} if kind == "noted" else None)
    (told,) = explained(history, "11:00")
    assert what_happened(told) == [
        "09:00:00 moved nothing paused 09:00 a pause before any start",
        "10:00:00 started opened 10:00",
        "10:01:00 moved nothing opened 10:01 a second start: the clock is open already",
        "10:02:00 moved nothing resumed 10:02 there is no pause to end",
        "10:03:00 moved nothing reopened 10:03 the clock is open: there is nothing to reopen",
        "10:04:00 moved nothing changed 10:04 the same target applies",
        "10:05:00 paused paused 10:05",
        "10:06:00 moved nothing paused 10:06 it is paused already: pauses do not nest",
        "10:07:00 moved nothing noted 10:07 nothing of this objective (noted); its data was merged",
        "10:10:00 stopped done 10:10",
        "10:11:00 moved nothing opened 10:11 a start after the stop: only a reopening goes on",
        "10:12:00 moved nothing paused 10:12 a pause while the clock is closed",
        "10:13:00 moved nothing resumed 10:13 a resume while the clock is closed",
        "10:14:00 moved nothing changed 10:14 the clock has stopped: the last change before a reopening counts from there",
        "10:15:00 moved nothing done 10:15 it has stopped already: the first stop counts",
        "10:16:00 moved nothing cancelled 10:16 a cancel after the stop: what is done is done",
    ]
    assert [(idle["event"], idle["type"]) for idle in told["idle"]][:2] == [("paused 09:00", "paused"), ("opened 10:01", "opened")]


def whys(told: dict[str, Any]) -> dict[str, str]:
    return {idle["event"]: idle["why"] for idle in told["idle"]}


def test_nothing_counts_after_a_cancel() -> None:
    history = Timeline(agreement())
    for at, kind in (("10:00", "opened"), ("10:10", "cancelled"), ("10:20", "done"), ("10:30", "reopened"), ("10:40", "rejected")):
        history.at(at, kind)
    (told,) = explained(history, "11:00")
    assert whys(told) == {
        "done 10:20": "a stop after the cancel",
        "reopened 10:30": "a reopening after the cancel",
        "rejected 10:40": "a reset after the cancel",
    }


def test_what_comes_at_or_after_due_says_that_it_undoes_nothing() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY, when="'!has(data.moot) || !data.moot'"))
    for at, kind, data in (
        ("10:00", "opened", {"p": 1}),
        ("11:00", "changed", {"p": 3}),
        ("11:10", "changed", {"p": 2}),
        ("11:20", "paused", {}),
        ("11:30", "noted", {"moot": True}),
        ("11:40", "cancelled", {}),
    ):
        history.at(at, kind, data)
    (told,) = explained(history, "12:00")
    after, unmet = "after due: it does not undo the breach", "it does not hold that !has(data.moot) || !data.moot"
    assert whys(told) == {
        "changed 11:00": "a change at due, which is reached and stays reached; its data was merged",
        "changed 11:10": f"a change {after}; its data was merged",
        "noted 11:30": f"nothing of this objective (noted); {unmet}, {after}; its data was merged",
    }
    assert [(step["what"], step["note"]) for step in told["steps"]] == [("start", ""), ("pause", after), ("cancel", after)]


def test_triggers_that_did_not_fire_say_which_condition() -> None:
    terms = agreement(
        start="{on: status, when: data.s == 'new'}",
        stop="{on: status, when: data.s == 'solved', by: vendor}",
        cancel="{on: withdrawn, by: customer}",
        pause="{while: data.s == 'waits', at_most: 10m}",
        resume="",
    )
    history = Timeline(terms)
    for at, kind, data in (
        ("10:00", "status", {"s": "new"}),
        ("10:01", "withdrawn", {}),
        ("10:02", "status", {"s": "busy"}),
        ("10:03", "noted", {"s": "waits"}),
        ("10:20", "noted", {"s": "waits"}),
        ("10:30", "noted", {"s": None}),
    ):
        history.at(at, kind, data)
    (told,) = explained(history, "10:40")
    unmet = "it does not hold that"
    assert whys(told) == {
        "withdrawn 10:01": "no cancel: only by customer, and it is by vendor",
        "status 10:02": f"no start: {unmet} data.s == 'new'; no stop: {unmet} data.s == 'solved'; its data was merged",
        "noted 10:20": "nothing of this objective (noted); it waits on (data.s == 'waits'); its data was merged",
        "noted 10:30": "nothing of this objective (noted); a field is missing in data.s == 'waits'; its data was merged",
    }
    assert told["steps"][1]["note"] == "it waits: data.s == 'waits'"


def test_a_resume_after_the_longest_pause_says_so() -> None:
    history = Timeline(agreement(pause="{on: paused, at_most: 10m}"))
    for at, kind in (("10:00", "opened"), ("10:10", "paused"), ("10:30", "resumed"), ("10:40", "resumed")):
        history.at(at, kind)
    (told,) = explained(history, "10:50")
    assert whys(told) == {"resumed 10:30": "the longest a pause may count is over", "resumed 10:40": "there is no pause to end"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"vip": False}, "no clock: it does not hold that data.vip; its data was merged"),
        ({}, "no clock: a field is missing in data.vip"),
    ],
)
def test_a_case_in_which_no_clock_began_says_why(data: dict[str, Any], why: str) -> None:
    history = Timeline(agreement(when="data.vip"))
    history.at("10:00", "opened", data)
    history.at("10:10", "done")
    (told,) = explained(history, "11:00")
    assert (told["state"], told["cycle"], told["intervals"]) == ("no_clock", None, [])
    assert whys(told) == {"opened 10:00": why, "done 10:10": "a stop before any start"}
    assert told["text"][0] == "vendor / desk / case, cycle none: NO CLOCK"
    assert any("moved nothing    opened 10:00" in line for line in told["text"])


def test_a_case_that_nothing_started_is_told_too() -> None:
    history = Timeline(agreement())
    history.at("10:00", "paused")
    (told,) = explained(history, "11:00")
    assert whys(told) == {"paused 10:00": "a pause before any start"}


def test_a_reset_that_opens_no_clock_says_why() -> None:
    history = Timeline(agreement(when="data.open"))
    history.at("10:00", "opened", {"open": True})
    history.at("10:10", "rejected", {"open": False})
    history.at("10:20", "done")
    (told,) = explained(history, "11:00")
    assert told["steps"][-1]["note"] == "no clock: it does not hold that data.open"
    assert whys(told) == {"done 10:20": "a stop after the reset, which opened no new clock"}


def test_a_first_target_counts_from_the_start_and_says_so() -> None:
    history = Timeline(agreement(targets="[{when: data.p == 1, within: 4h}]"))
    history.at("10:00", "opened")
    history.at("10:30", "changed", {"p": 1})
    (told,) = explained(history, "11:00")
    assert told["steps"][-1]["note"] == "from the start, target 1"
    assert intervals(told) == [("counted", 3600, "")]


def test_a_change_while_stopped_stands_where_it_counts() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY, change="{on: changed, as: restart}"))
    history.at("10:00", "opened", {"p": 3})
    history.at("10:30", "done")
    history.at("10:40", "changed", {"p": 2})
    history.at("11:00", "reopened")
    (told,) = explained(history, "11:30")
    (why,) = whys(told).values()
    assert why == "the clock has stopped: the last change before a reopening counts from there; its data was merged"
    assert what_happened(told)[3:] == [
        "11:00:00 reopened reopened 11:00 the closed time is a pause",
        "11:00:00 changed changed 10:40 restart, target 2: it counts from the reopening",
    ]
    assert intervals(told)[0] == ("void", 1800, "forgotten: the target was restarted later")
    assert told["elapsed_s"] == 1800
    assert "  used      30 min of 2 h, paused 30 min; 30 min before the restart forgotten" in told["text"]


def test_a_change_while_stopped_that_changes_nothing_says_so_at_the_reopening() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY))
    for at, kind in (("10:00", "opened"), ("10:30", "done"), ("10:40", "changed"), ("11:00", "reopened")):
        history.at(at, kind)
    (told,) = explained(history, "11:30")
    assert [idle["why"] for idle in told["idle"]][-1] == "at the reopening: the same target applies"


def test_a_restart_that_was_taken_from_the_start_later_forgets_nothing() -> None:
    targets = "[{when: data.p == 1, within: 1h}, {when: data.p == 2, within: 2h}]"
    history = Timeline(agreement(targets=targets, change="{on: changed, as: restart}"))
    for at, p in (("10:00", 1), ("10:10", 2), ("10:20", 3), ("10:30", 1)):
        history.at(at, "opened" if at == "10:00" else "changed", {"p": p})
    (told,) = explained(history, "10:40")
    assert intervals(told) == [("counted", 2400, "")]


def test_a_later_stop_says_that_it_counts() -> None:
    history = Timeline(agreement(stop="{on: done, take: last}"))
    for at, kind in (("10:00", "opened"), ("10:10", "done"), ("10:30", "done")):
        history.at(at, kind)
    (told,) = explained(history, "11:00")
    assert [step["note"] for step in told["steps"]] == ["", "", "the last stop counts, and so does the time between"]
    assert intervals(told) == [("counted", 1800, "")]


def test_what_was_replaced_is_named() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("10:10", "done", id="wrong")
    history.at("10:20", "done", id="right", replaces="wrong")
    (told,) = explained(history, "11:00")
    assert told["replaced"] == [{"event": "wrong", "by": "right"}]
    assert told["text"][-1] == "  replaced by later events: wrong (by right)"


def test_asking_why_counts_no_unknown_condition_again() -> None:
    history = Timeline(agreement(when="data.vip"))
    history.at("10:00", "opened")
    before = history.engine.unknown
    explained(history, "11:00")
    assert history.engine.unknown == before
    assert before.total() == 1
