"""semantics.md, "Clocks" and "Corner cases, settled": what the acceptance vectors leave open, and what is said meanwhile."""

import json
import re
from typing import Any

import pytest

from shared.sla.engine import ClockMode
from tests.unit.sla.timeline import BY_PRIORITY, OFFICE, Said, Timeline, agreement, instant

PROMISED = "[{until: data.promised}]"
PAUSABLE = "[{until: data.promised, pausable: true}]"
NOON, EVENING, MORNING = ({"promised": f"2026-03-02T{hour}:00:00Z"} for hour in ("12", "18", "08"))
IN_OFFICE = {"calendar": "office"}


def told(history: Timeline, story: str) -> list[Said]:
    """Events "10:00 opened; Tue 09:00 changed {"p": 1}" arrive when they happen; "… until" moves log time."""
    said: list[Said] = []
    for line in story.split("; "):
        match = re.fullmatch(r"((?:\w{3} )?[\d:.]+) (\w+) ?(\{.*\})?", line.strip())
        assert match is not None, line
        arrival, kind, data = match.groups()
        said += history.until(arrival) if kind == "until" else history.at(arrival, kind, json.loads(data or "{}"), id=line)
    return said


def promised(text: str) -> str:
    return json.dumps({"promised": f"2026-03-02T{text}:00Z"})


CASES: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    # states and measures
    "running": ({}, "10:00 opened; 10:20 noise", {"state": "running", "due": "11:00", "elapsed_s": 1200, "late_s": None}),
    "paused has no due": (
        {},
        "10:00 opened; 10:20 paused; 10:50 noise",
        {"state": "paused", "due": None, "paused_s": 1800, "elapsed_s": 1200},
    ),
    "paused is never breached": ({}, "10:00 opened; 10:20 paused; Sun 10:00 until", {"state": "paused"}),
    "breached, still open": ({}, "10:00 opened; 12:00 until", {"state": "breached", "late_s": 3600, "overdue_s": 3600, "elapsed_s": 7200}),
    "done late": ({}, "10:00 opened; 12:00 done; Sun 10:00 until", {"state": "breached_closed", "late_s": 3600, "overdue_s": 3600}),
    "met": ({}, "10:00 opened; 10:45 done; Sun 10:00 until", {"state": "met", "elapsed_s": 2700, "late_s": None, "overdue_s": None}),
    "off hours is not a state": (IN_OFFICE, "16:30 opened; 20:00 noise", {"state": "running", "elapsed_s": 1800, "due": "Tue 09:30"}),
    "late is working time, overdue is wall time": (
        IN_OFFICE,
        "16:00 opened; Tue 10:00 done",
        {"state": "breached_closed", "due": "17:00", "late_s": 3600, "overdue_s": 61200},
    ),
    "milliseconds are kept": ({}, "10:00 opened; 10:00:00.250 done", {"elapsed_s": 0.25, "stopped": "10:00:00.250"}),
    "each pause counts only where it overlaps working time": (
        IN_OFFICE,
        "16:00 opened; 16:30 paused; Tue 09:10 resumed",
        {"paused_s": 2400, "due": "Tue 09:40"},
    ),
    "a stop while paused closes the pause first": (
        {},
        "10:00 opened; 10:10 paused; 10:50 done",
        {"state": "met", "paused_s": 2400, "elapsed_s": 600},
    ),
    "a pause dated at due does not undo the breach": ({}, "10:00 opened; 11:00 paused; 11:30 until", {"state": "breached", "due": "11:00"}),
    "a pause after due does not either": (
        {},
        "10:00 opened; 11:30 paused; 12:00 until",
        {"state": "breached", "due": "11:00", "paused_s": 1800},
    ),
    # pauses with a cap
    "a capped pause ends by itself": (
        {"pause": "{on: paused, at_most: 30m}"},
        "10:00 opened; 10:10 paused; 11:00 noise",
        {"state": "running", "paused_s": 1800},
    ),
    "and the clock breaches": (
        {"pause": "{on: paused, at_most: 30m}"},
        "10:00 opened; 10:10 paused; 12:00 until",
        {"state": "breached", "due": "11:30"},
    ),
    "a resume before the cap ends it": (
        {"pause": "{on: paused, at_most: 30m}"},
        "10:00 opened; 10:10 paused; 10:15 resumed",
        {"due": "11:05"},
    ),
    "each pause has the cap anew": (
        {"pause": "{on: paused, at_most: 10m}"},
        "10:00 opened; 10:10 paused; 10:30 resumed; 10:40 paused; 10:59 resumed",
        {"due": "11:20", "paused_s": 1200},
    ),
    "a cap is working time": (
        IN_OFFICE | {"pause": "{on: paused, at_most: 1h}"},
        "16:30 opened; 16:40 paused; Tue 09:45 noise",
        {"due": "Tue 10:30"},
    ),
    # reset
    "a reset opens a cycle, running": (
        {},
        "10:00 opened; 10:20 paused; 10:30 rejected",
        {"cycle": 2, "state": "running", "started": "10:30"},
    ),
    "a reset leaves what is closed as it was": ({}, "10:00 opened; 10:20 done; 10:30 rejected", {"cycle": 2, "state": "running"}),
    "a reset of nothing is ignored": ({}, "10:00 rejected; 10:30 opened", {"cycle": 1, "started": "10:30"}),
    "each cycle has all its time": ({}, "10:00 opened; 10:50 rejected; 11:50 done", {"cycle": 2, "state": "met", "elapsed_s": 3600}),
    # reopen
    "closed time is a pause": (
        {},
        "10:00 opened; 10:30 done; 11:30 reopened",
        {"state": "running", "due": "12:00", "paused_s": 3600, "stopped": None},
    ),
    "closed time counts": (
        {"reopen": "{on: reopened, as: count_all}"},
        "10:00 opened; 10:30 done; 10:45 reopened",
        {"due": "11:00", "paused_s": 0},
    ),
    "a new cycle": ({"reopen": "{on: reopened, as: new_cycle}"}, "10:00 opened; 10:30 done; 10:45 reopened", {"cycle": 2, "due": "11:45"}),
    "a late clock reopened is breached still": (
        {},
        "10:00 opened; 12:00 done; 13:00 reopened; 13:30 until",
        {"state": "breached", "due": "11:00"},
    ),
    # change
    "carry: what was used stays used": (
        {"targets": BY_PRIORITY},
        '10:00 opened {"p": 3}; 10:30 changed {"p": 1}',
        {"due": "11:00", "elapsed_s": 1800},
    ),
    "a change to the same target changes nothing": (
        {"targets": BY_PRIORITY},
        '10:00 opened {"p": 1}; 10:30 changed {"p": 1}',
        {"due": "11:00"},
    ),
    "already over at the change": (
        {"targets": BY_PRIORITY},
        '10:00 opened {"p": 3}; 12:00 changed {"p": 1}; 12:30 until',
        {"state": "breached", "due": "12:00", "late_s": 1800},
    ),
    "retroactive: already over": (
        {"targets": BY_PRIORITY, "change": "{on: changed, as: retroactive}"},
        '10:00 opened {"p": 3}; 12:00 changed {"p": 1}; 12:30 until',
        {"state": "breached", "due": "12:00"},
    ),
    "restart: never over": (
        {"targets": BY_PRIORITY, "change": "{on: changed, as: restart}"},
        '10:00 opened {"p": 3}; 12:00 changed {"p": 1}; 12:30 until',
        {"state": "running", "due": "13:00", "elapsed_s": 1800, "started": "10:00"},
    ),
    "an upgrade gives time": (
        {"targets": BY_PRIORITY},
        '10:00 opened {"p": 1}; 10:59 changed {"p": 3}; 13:00 until',
        {"state": "running", "due": "14:00"},
    ),
    "a change that leaves no target": (
        {"targets": "[{when: data.p == 1, within: 1h}]"},
        '10:00 opened {"p": 1}; 10:30 changed {"p": 2}; 12:00 until',
        {"state": "skipped", "due": None},
    ),
    # promised instants
    "until": (
        {"targets": PROMISED},
        f"10:00 opened {json.dumps(NOON)}; 12:30 until",
        {"state": "breached", "due": "12:00", "target_s": None},
    ),
    "until breaks while paused": (
        {"targets": PROMISED},
        f"10:00 opened {json.dumps(NOON)}; 11:00 paused; 12:30 until",
        {"state": "breached"},
    ),
    "a pausable one does not": (
        {"targets": PAUSABLE},
        f"10:00 opened {json.dumps(NOON)}; 11:00 paused; 12:30 until",
        {"state": "paused", "due": None},
    ),
    "a pause that takes no working time does not move it": (
        IN_OFFICE | {"targets": PAUSABLE, "boundary": "next_open"},
        f"10:00 opened {promised('17:15')}; 17:00 paused; 17:30 resumed; 18:00 until",
        {"state": "breached", "due": "17:15", "paused_s": 0, "late_s": 0, "overdue_s": 2700},
    ),
    "nor where due at closing time would stay": (
        IN_OFFICE | {"targets": PAUSABLE},
        f"10:00 opened {promised('17:15')}; 17:00 paused; 17:30 done",
        {"state": "breached_closed", "due": "17:15", "paused_s": 0, "overdue_s": 900},
    ),
    "a pause that takes working time does": (
        IN_OFFICE | {"targets": PAUSABLE, "boundary": "next_open"},
        f"10:00 opened {promised('17:15')}; 16:00 paused; 17:30 resumed; 18:00 until",
        {"state": "running", "due": "Tue 10:00", "paused_s": 3600},
    ),
    "a promise past already, given while paused, is due at the resume": (
        {"targets": PAUSABLE},
        f"10:00 opened {json.dumps(NOON)}; 10:10 paused; 10:30 changed {promised('10:20')}; 10:40 resumed; 11:00 until",
        {"state": "breached", "due": "10:40"},
    ),
    "a new promise": ({"targets": PROMISED}, f"10:00 opened {json.dumps(NOON)}; 11:00 changed {promised('15:00')}", {"due": "15:00"}),
    "a promise already past": (
        {"targets": PROMISED},
        f"10:00 opened {json.dumps(MORNING)}; 10:30 until",
        {"state": "breached", "due": "08:00", "late_s": 9000},
    ),
    "wall time is the agreement's": (
        {"targets": PROMISED, "timezone": "Asia/Shanghai"},
        '10:00 opened {"promised": "2026-03-02T20:00:00"}',
        {"due": "12:00"},
    ),
    "no instant, no clock": (
        {"targets": PROMISED},
        '10:00 opened {"promised": "soon"}; 12:00 done',
        {"state": "skipped", "due": None, "stopped": None},
    ),
    # conditions
    "when false at the due itself cancels": (
        {"when": "data.p == 1"},
        '10:00 opened {"p": 1}; 11:00 noise {"p": 2}',
        {"state": "cancelled"},
    ),
    "when false after due erases nothing": (
        {"when": "data.p == 1"},
        '10:00 opened {"p": 1}; 11:30 noise {"p": 2}; 12:00 until',
        {"state": "breached"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_clock(name: str, clock: ClockMode) -> None:
    keys, story, wanted = CASES[name]
    history = Timeline(agreement(*([OFFICE] if "calendar" in keys else []), **keys), clock=clock)
    told(history, story)
    line = history.line()
    assert {field: line[field] for field in wanted} == wanted


def test_a_promise_that_no_working_time_moved_is_called_at_the_resume() -> None:
    """The pausable instant passes in a pause outside working hours (New York, 09:00-17:00)."""
    office = OFFICE.replace("timezone: UTC", "timezone: America/New_York")
    for boundary in ("close", "next_open"):
        history = Timeline(agreement(office, calendar="office", targets=PAUSABLE, boundary=boundary))
        told(history, "14:30 opened " + json.dumps({"promised": "2026-03-02T17:15:00-05:00"}) + "; 22:00 paused; 22:29 until")
        assert history.statements == []
        assert told(history, "22:30 resumed; 23:00 until") == [("breach.opened", "22:15", 0, "22:30:02", "breached")]
        assert history.line()["due"] == "22:15"


def test_a_promise_past_already_given_while_paused_breaks_by_that_change() -> None:
    history = Timeline(agreement(targets=PAUSABLE))
    told(history, f"10:00 opened {json.dumps(NOON)}; 10:10 paused; 10:30 changed {promised('10:20')}; 10:40 resumed; 11:00 until")
    assert [(s.type, s.cause, s.due) for s in history.statements] == [("slawatch.breach.opened", "target_changed", instant("10:40"))]


def test_a_promise_past_already_given_while_paused_is_due_at_the_stop_that_ends_the_pause_and_stays_so_when_reopened_at_once() -> None:
    history = Timeline(agreement(targets=PAUSABLE))
    told(history, f"10:00 opened {json.dumps(NOON)}; 10:10 paused; 10:30 changed {promised('10:20')}")
    for number, what in enumerate(["done", "reopened", "paused"]):
        history.at("10:40", what, sequence=str(number))
    assert (history.line()["state"], history.line()["due"]) == ("paused", "10:40")
    told(history, "11:00 until")
    assert [(s.type, s.cause, s.due) for s in history.statements if "breach" in s.type] == [
        ("slawatch.breach.opened", "reopened", instant("10:40"))
    ]


def test_a_promise_that_the_closed_time_moves_into_itself_is_due_at_the_reopen() -> None:
    """While it is closed there is no due. The office shuts at noon; two hours of the morning are its pause."""
    office = OFFICE.replace("09:00-17:00", "09:00-12:00")
    assert office != OFFICE
    history = Timeline(agreement(office, calendar="office", targets=PAUSABLE))
    told(history, f"09:00 opened {promised('18:00')}; 12:00 done; Tue 12:30 reopened; Tue 12:40 until")
    assert [(s.type, s.cause, s.due) for s in history.statements if "breach" in s.type] == [
        ("slawatch.breach.opened", "reopened", instant("Tue 12:30"))
    ]


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        ('Tue 08:00 changed {"p": 1}', {"state": "paused", "due": None, "paused_s": 0, "elapsed_s": 3600}),
        ('Tue 08:00 changed {"p": 1}; Tue 09:20 resumed', {"state": "running", "due": "Tue 12:20", "paused_s": 1200}),
        ('Tue 09:20 resumed; Tue 10:00 changed {"p": 1}', {"state": "running", "due": "Tue 12:20", "paused_s": 1200}),
        ('Tue 11:00 resumed; Tue 11:30 changed {"p": 1}', {"state": "running", "due": "Tue 12:30", "paused_s": 1800}),
        ('Tue 09:10 done; Tue 10:10 reopened; Tue 10:20 changed {"p": 1}', {"state": "running", "due": "Tue 13:10", "paused_s": 4200}),
    ],
)
def test_a_cap_that_was_used_up_on_one_calendar_is_reckoned_anew_on_another(story: str, wanted: dict[str, Any]) -> None:
    """Half an hour of a pause counts: on the clock of all hours it is over at 18:00, in office hours at 09:30 of the next day."""
    targets = "[{when: data.p == 1, within: 4h, calendar: office}, {within: 20h}]"
    pause, change = "{on: paused, at_most: 30m}", "{on: changed, as: retroactive}"
    history = Timeline(agreement(OFFICE, targets=targets, pause=pause, change=change))
    told(history, f'16:00 opened {{"p": 2}}; 17:30 paused; {story}')
    line = history.line()
    assert {field: line[field] for field in wanted} == wanted


@pytest.mark.parametrize("name", CASES)
def test_it_breaches_once_and_closes_once(name: str, clock: ClockMode) -> None:
    """Evidence in order is never retracted, amended or taken back."""
    keys, story, _ = CASES[name]
    history = Timeline(agreement(*([OFFICE] if "calendar" in keys else []), **keys), clock=clock)
    said = [s.type for s in told(history, story) if s.type.startswith("breach.") and s.type != "breach.final"]
    assert said in ([], ["breach.opened"], ["breach.opened", "breach.closed"], ["breach.opened", "breach.closed", "breach.reopened"])


# -- when it is said -------------------------------------------------------------------------------------------------


def test_a_promise_already_past_is_breached_at_the_start() -> None:
    history = Timeline(agreement(targets=PROMISED))
    assert told(history, f"10:00 opened {json.dumps(MORNING)}") == []
    assert history.until("10:00:03") == [("breach.opened", "08:00", 0, "10:00:02", "breached")]


def test_a_capped_pause_moves_the_deadline_without_an_event() -> None:
    history = Timeline(agreement(pause="{on: paused, at_most: 30m}"))
    assert told(history, "10:00 opened; 10:10 paused; 12:00 until") == [("breach.opened", "11:30", 0, "11:30:02", "breached")]


def test_count_all_is_called_at_the_reopen() -> None:
    history = Timeline(agreement(reopen="{on: reopened, as: count_all}"))
    assert [s.type for s in told(history, "10:00 opened; 10:30 done; 12:00 reopened")] == ["clock.met"]
    assert history.until("12:30") == [("breach.opened", "11:00", 0, "12:00:02", "breached")]


def test_over_by_a_change_while_paused_is_called_at_the_resume() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY))
    story = '10:00 opened {"p": 3}; 12:00 paused; 12:10 changed {"p": 1}; 13:00 until'
    assert told(history, story) == []
    assert told(history, "13:00 resumed; 13:30 until") == [("breach.opened", "13:00", 0, "13:00:02", "breached")]


def test_a_start_of_the_instant_of_its_stop() -> None:
    history = Timeline(agreement())
    history.at("10:00", "done")
    assert [said.type for said in history.at("10:00", "opened")] == ["clock.met"]
    assert history.line()["elapsed_s"] == 0


def test_work_finished_out_of_hours_after_a_due_at_closing_time_is_late_by_nothing(clock: ClockMode) -> None:
    history = Timeline(agreement(OFFICE, calendar="office"), clock=clock)
    told(history, "16:00 opened; 17:30 done")
    line = history.line()
    assert (line["state"], line["due"], line["late_s"], line["overdue_s"]) == ("breached_closed", "17:00", 0, 1800)
    history = Timeline(agreement(OFFICE, calendar="office", boundary="next_open"), clock=clock)
    told(history, "16:00 opened; 17:30 done")
    assert (history.line()["state"], history.line()["due"]) == ("met", "Tue 09:00")


def test_every_cycle_is_a_line(clock: ClockMode) -> None:
    history = Timeline(agreement(reopen="{on: reopened, as: new_cycle}"), clock=clock)
    told(history, "10:00 opened; 10:10 done; 10:20 reopened; 10:30 rejected; 12:00 until")
    assert [(line["cycle"], line["state"]) for line in history.lines()] == [(1, "met"), (2, "cancelled"), (3, "breached")]
