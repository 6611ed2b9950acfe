"""Versions: which one rules a clock, and what an activation does to what is there (semantics.md, "Clocks", "Version")."""

import msgspec
import pytest
from msgspec.structs import replace

from shared.sla import keeping
from shared.sla.engine import ClockMode, Engine
from shared.sla.terms import Bundle
from shared.wire.events import to_evidence
from tests.unit.sla.level_timeline import objective, promise, types
from tests.unit.sla.timeline import OFFICE, Timeline, agreement, bundles_of, instant, shown

ONE = agreement(version="1")
TWO = agreement(version="2", targets="[{within: 2h}]")
FROM_TUESDAY = agreement(version="2", targets="[{within: 2h}]", effective="{from: 2026-03-03}")


def version_and_due(history: Timeline, **wanted: str) -> tuple[int, str | None]:
    line = history.line(**wanted)
    return line["version"], line["due"]


# -- which version -------------------------------------------------------------------------------------------------


def test_the_version_in_force_at_the_start() -> None:
    history = Timeline(ONE, FROM_TUESDAY)
    history.at("Mon 23:59:59.999", "opened", subject="monday", id="1")
    history.at("Tue 00:00", "opened", subject="tuesday", id="2")
    assert version_and_due(history, case="monday") == (1, "Tue 00:59:59.999")
    assert version_and_due(history, case="tuesday") == (2, "Tue 02:00")


def test_both_days_of_effective_are_included_in_the_agreements_zone() -> None:
    history = Timeline(agreement(effective="{from: 2026-03-03, to: 2026-03-04}", timezone="Asia/Shanghai"))
    for number, start in enumerate(("Mon 15:59", "Mon 16:00", "Wed 15:59", "Wed 16:00")):
        history.at(start, "opened", subject=str(number), id=str(number))
    assert [line["case"] for line in history.lines()] == ["1", "2"]


def test_of_several_in_force_the_highest_rules() -> None:
    history = Timeline(TWO, ONE)
    history.at("10:00", "opened")
    assert version_and_due(history) == (2, "12:00")


def test_a_version_counts_from_its_activation() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened", subject="before", id="1")
    history.activate("10:10", TWO)
    history.at("10:20", "opened", subject="after", id="2")
    assert version_and_due(history, case="before") == (1, "11:00")
    assert version_and_due(history, case="after") == (2, "12:20")


def test_open_clocks_stay_pinned_although_late_evidence_folds_them_again() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened")
    history.activate("10:10", TWO)
    history.at("10:30", "resumed", dated="10:20")
    history.at("10:30", "paused", dated="10:05")
    assert version_and_due(history) == (1, "11:15")


def test_a_start_folded_after_the_activation_is_ruled_by_it() -> None:
    history = Timeline(ONE)
    history.at("09:00", "noise")
    history.activate("10:10", TWO)
    history.at("10:20", "opened", dated="10:00")
    assert version_and_due(history) == (2, "12:00")


def test_an_activation_known_in_advance_waits_for_its_day() -> None:
    history = Timeline(ONE)
    history.activate("10:00", FROM_TUESDAY)
    history.at("11:00", "opened", subject="today", id="1")
    history.at("Tue 11:00", "opened", subject="tomorrow", id="2")
    assert version_and_due(history, case="today") == (1, "12:00")
    assert version_and_due(history, case="tomorrow") == (2, "Tue 13:00")


def test_no_version_in_force_no_clock() -> None:
    history = Timeline(FROM_TUESDAY)
    history.at("10:00", "opened")
    assert history.lines() == []
    history.at("Tue 10:00", "done")
    history.at("Tue 10:10", "opened", id="2")
    assert version_and_due(history) == (2, "Tue 12:10")


def test_a_new_cycle_is_ruled_by_the_version_in_force_at_its_opening() -> None:
    history = Timeline(ONE, FROM_TUESDAY)
    history.at("Mon 23:30", "opened")
    history.at("Tue 00:10", "rejected")
    assert [(line["cycle"], line["version"]) for line in history.lines()] == [(1, 1), (2, 2)]


def test_the_same_activation_again_is_ignored() -> None:
    history = Timeline(ONE)
    history.activate("10:00", TWO)
    history.at("10:10", "opened")
    history.activate("10:00", TWO)
    assert version_and_due(history) == (2, "12:10")


def test_the_same_version_with_other_words_rules_what_starts_from_then_on() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened", subject="before", id="1")
    history.activate("10:10", agreement(version="1", targets="[{within: 3h}]"))
    history.at("10:20", "noise", dated="09:59", subject="before", id="2")  # folds the clock again
    history.at("10:30", "opened", subject="after", id="3")
    assert version_and_due(history, case="before") == (1, "11:00")
    assert version_and_due(history, case="after") == (1, "13:30")


def test_a_version_rules_its_own_vendors_and_services_only() -> None:
    history = Timeline(agreement(vendor="vendor"), agreement(version="2", vendor='"*"', effective="{from: 2026-03-03}"))
    for number, (start, vendor) in enumerate((("Mon 10:00", "vendor"), ("Mon 10:00", "other"), ("Tue 10:00", "other"))):
        history.at(start, "opened", subject=str(number), id=str(number), vendor=vendor)
    assert [(line["case"], line["version"]) for line in history.lines()] == [("2", 2), ("0", 1)]


def test_a_vendor_that_left_the_agreement_starts_no_clocks() -> None:
    history = Timeline(agreement(vendor="[vendor, other]"), agreement(version="2", vendor="other"))
    history.at("10:00", "opened")
    assert history.lines() == []


WITHOUT = agreement(version="2", effective="{from: 2026-03-03}").replace("name: clock", "name: other")


@pytest.mark.parametrize("clock", ["log", "event"])
def test_an_objective_that_a_version_leaves_out_begins_nothing_under_it(clock: ClockMode) -> None:
    history = Timeline(ONE, WITHOUT, clock=clock)
    history.at("Mon 23:30", "opened", subject="before", id="1")
    history.at("Tue 10:00", "opened", subject="after", id="2")
    assert [(line["case"], line["version"]) for line in history.lines() if line["objective"] == "clock"] == [("before", 1)]


def test_it_begins_again_where_a_higher_version_speaks_of_it_again_or_that_one_is_over() -> None:
    over = agreement(version="2", effective="{from: 2026-03-03, to: 2026-03-03}").replace("name: clock", "name: other")
    for texts in ((ONE, over), (ONE, WITHOUT, agreement(version="3", effective="{from: 2026-03-04}"))):
        history = Timeline(*texts)
        for number, start in enumerate(("Mon 10:00", "Tue 10:00", "Wed 10:00")):
            history.at(start, "opened", subject=str(number), id=str(number))
        assert [line["case"] for line in history.lines() if line["objective"] == "clock"] == ["0", "2"]


def test_a_version_activated_before_that_leaves_it_out_is_heeded_too() -> None:
    history = Timeline()
    history.activate("10:00", agreement(version="2").replace("name: clock", "name: other"))
    history.activate("10:10", ONE)
    history.at("10:20", "opened")
    assert [line["objective"] for line in history.lines()] == ["other"]


def test_a_version_activated_again_may_add_an_objective() -> None:
    both = ONE + "\n" + ONE.split("objectives:\n")[1].replace("name: clock", "name: other")
    for standing in ([], [ONE]):
        history = Timeline(*standing)
        if not standing:
            history.activate("10:00", ONE)
        history.activate("10:10", both)
        history.at("10:20", "opened")
        assert [line["objective"] for line in history.lines()] == ["clock", "other"]


def test_an_objective_of_another_kind_is_another_promise() -> None:
    beat = """
apiVersion: slawatch/v1
kind: Agreement
name: terms
version: 2
vendor: vendor
effective: {from: 2026-03-03}
objectives: [{name: clock, kind: heartbeat, on: reported, every: 1h}]
"""
    history = Timeline(ONE, beat)
    history.at("Mon 10:00", "opened", subject="before", id="1")
    history.at("Tue 10:00", "opened", subject="after", id="2")
    assert {line["case"] for line in history.lines() if line["version"] == 1} == {"before"}
    assert {line["started"][:3] for line in history.lines() if line["version"] == 2} == {"Tue"}


@pytest.mark.parametrize(("restate", "said"), [(False, ["breach.closed", "level.no_data"]), (True, ["breach.retracted"])])
def test_a_rolling_breach_ends_where_no_version_rules_it_any_more(restate: bool, said: list[str]) -> None:
    history = Timeline(promise(objective(window="rolling 1d")))
    history.at("10:00", "checked", {"ok": False})
    history.at("11:00", "noise")
    other = promise(objective({"name": "other", "kind": "violation", "on": "nothing", "unless": "data.a == 1"}), version="2")
    assert types([*history.activate("12:00", other, restate=restate), *history.until("Fri 12:00")]) == said


def test_slots_and_windows_begun_under_a_version_are_finished_under_it() -> None:
    daily = "{name: clock, kind: heartbeat, on: reported, every: 1d}"
    monthly = "{name: share, kind: ratio, of: {events: {on: [asked], good: data.ok == true}}, target: '>= 99%', on_empty: no_data}"
    one = "{apiVersion: slawatch/v1, kind: Agreement, name: terms, vendor: vendor, effective: {from: 2026-03-01}, objectives: [%s, %s]}"
    two = agreement(version="2", effective="{from: 2026-03-03}").replace("name: clock", "name: other")
    history = Timeline(one % (daily, monthly), two, clock="event")
    history.at("Mon 10:00", "noise")
    history.at("Wed 10:00", "asked", {"ok": False})
    assert [said[:2] for said in history.until("2026-05-01T00:00:00Z") if said.type == "breach.opened"] == [
        ("breach.opened", "2026-04-01T00:00")
    ]
    assert [line["due"] for line in history.lines() if line["objective"] == "clock"] == ["Tue 00:00"]


# -- restatement ----------------------------------------------------------------------------------------------------


def test_a_restatement_rules_what_was_folded_before() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened")
    history.until("11:30")
    assert [said[:3] for said in history.activate("11:30", TWO, restate=True)] == [("breach.retracted", "11:00", 1)]
    assert version_and_due(history) == (2, "12:00")
    assert history.until("13:00") == [("breach.reopened", "12:00", 2, "12:00:02", "breached")]


def test_a_restatement_without_the_objective_takes_all_of_it_back() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened")
    history.until("11:30")
    without = agreement(version="2").replace("name: clock", "name: other")
    assert [said[:3] for said in history.activate("11:30", without, restate=True)] == [("breach.retracted", "11:00", 1)]
    assert [line["objective"] for line in history.lines()] == ["other"]


def test_a_restatement_may_find_breaches() -> None:
    history = Timeline(TWO)
    history.at("10:00", "opened")
    history.at("11:30", "done")
    three = agreement(version="3")
    assert [said[:4] for said in history.activate("12:00", three, restate=True)] == [
        ("breach.opened", "11:00", 0, "12:00"),
        ("breach.closed", "11:30", 1, "12:00"),
    ]


def test_a_restatement_says_what_differs_and_no_more() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened", subject="a", id="1")
    history.at("10:30", "done", subject="a", id="2")
    history.at("10:00", "opened", subject="b", id="3")
    assert history.activate("10:45", agreement(version="2", grace="2s"), restate=True) == []


# -- apply_to: open -------------------------------------------------------------------------------------------------

OPEN = agreement(version="2", targets="[{within: 2h}]", apply_to="open")


def test_apply_to_open_moves_open_clocks_at_the_activation() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened")
    assert history.activate("10:30", OPEN) == []
    assert version_and_due(history) == (2, "12:00")  # as if from the start
    assert history.until("11:30") == []
    assert history.until("12:30") == [("breach.opened", "12:00", 0, "12:00:02", "breached")]
    assert history.statements[-1].version == 2


def test_what_is_closed_or_breached_stays_where_it_is() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened", subject="met", id="1")
    history.at("10:20", "done", subject="met", id="2")
    history.at("10:00", "opened", subject="cancelled", id="3")
    history.at("10:20", "cancelled", subject="cancelled", id="4")
    history.at("10:00", "opened", subject="breached", id="5")
    history.until("11:30")
    assert history.activate("11:30", OPEN) == []
    assert {line["version"] for line in history.lines()} == {1}


def test_a_clock_that_is_over_by_the_new_version_is_breached_at_the_activation() -> None:
    history = Timeline(TWO)
    history.at("10:00", "opened")
    history.activate("11:30", agreement(version="3", apply_to="open"))
    assert history.until("12:00") == [("breach.opened", "11:30", 0, "11:30:02", "breached")]
    assert history.statements[-1].cause == "target_changed"


def test_paused_time_is_counted_anew_on_the_new_calendar() -> None:
    history = Timeline(ONE)
    history.at("Mon 16:00", "opened")
    history.at("Mon 16:30", "paused")
    history.activate("Mon 16:45", agreement(OFFICE, version="2", calendar="office", targets="[{within: 2h}]", apply_to="open"))
    history.at("Tue 09:30", "resumed")
    line = history.line()
    assert (line["paused_s"], line["due"]) == (3600, "Tue 11:00")


TUESDAY = agreement(version="2", targets="[{within: 4h}]", effective="{from: 2026-03-03}", apply_to="open")


@pytest.mark.parametrize("standing", [True, False])
def test_an_activation_in_advance_moves_open_clocks_on_its_day(standing: bool) -> None:
    history = Timeline(agreement(targets="[{within: 2h}]"), *([TUESDAY] if standing else []))
    if not standing:
        history.activate("09:00", TUESDAY)
    history.at("20:00", "opened", subject="before", id="1")
    assert [said[:2] for said in history.at("23:00", "opened", subject="over", id="2")] == [("breach.opened", "22:00")]
    assert version_and_due(history, case="over") == (1, "Tue 01:00")
    assert history.until("Tue 02:00") == []  # it moved at midnight, although nothing happened
    assert version_and_due(history, case="over") == (2, "Tue 03:00")
    assert version_and_due(history, case="before") == (1, "22:00")


def test_late_evidence_folds_the_move_again_at_its_instant() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened")
    history.activate("10:30", OPEN)
    history.at("10:45", "resumed", dated="10:20")
    history.at("10:46", "paused", dated="10:10")
    assert version_and_due(history) == (2, "12:10")
    history.at("10:50", "done", dated="10:25")  # before the move: it was done under version 1
    assert (history.line()["version"], history.line()["state"]) == (1, "met")


def test_a_start_from_before_the_move_that_comes_after_it_moves_too() -> None:
    history = Timeline(ONE, TUESDAY)
    history.at("Tue 00:10", "opened", dated="Mon 23:30")
    assert version_and_due(history) == (2, "Tue 03:30")


def test_apply_to_open_moves_upwards_only() -> None:
    history = Timeline(agreement(version="3"))
    history.at("10:00", "opened")
    history.activate("10:30", OPEN)
    assert version_and_due(history) == (3, "11:00")


def test_a_version_without_the_objective_leaves_its_clocks_alone() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened")
    history.activate("10:30", OPEN.replace("name: clock", "name: other"))
    assert version_and_due(history) == (1, "11:00")


def test_a_condition_of_the_new_version_that_is_false_cancels_the_clock() -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened", {"p": 1})
    assert history.activate("10:30", agreement(version="2", when="data.p == 2", apply_to="open")) == [
        ("clock.cancelled", "10:30", None, "10:30", "cancelled")
    ]


def test_event_time_moves_open_clocks_on_the_day_too() -> None:
    history = Timeline(ONE, TUESDAY, clock="event")
    history.at("23:30", "opened")
    assert [said[:2] for said in history.until("Tue 12:00")] == [("breach.opened", "Tue 03:30")]


# -- provisional ----------------------------------------------------------------------------------------------------


def test_a_due_beyond_the_published_holidays_is_provisional() -> None:
    office = "{apiVersion: slawatch/v1, kind: Calendar, name: cn, timezone: Asia/Shanghai, hours: {mon-fri: ['09:00-18:00']}, holidays: CN}"
    history = Timeline(agreement(office, calendar="cn", targets="[{when: data.far == true, within: 200bd}, {within: 1h}]"))
    history.at("2026-06-01T02:00:00Z", "opened", {"far": True}, subject="far", id="1")
    history.at("2026-06-01T02:00:00Z", "opened", {"far": False}, subject="near", id="2")
    history.at("2026-06-02T02:00:00Z", "done", subject="near", id="3")
    history.at("2027-12-01T02:00:00Z", "done", subject="far", id="4")
    assert {s.case: s.provisional for s in history.statements if s.type == "slawatch.breach.closed"} == {"near": False, "far": True}


CHINA = """
apiVersion: slawatch/v1
kind: Calendar
name: cn
timezone: Asia/Shanghai
hours: {mon-fri: ["09:00-18:00"]}
holidays: CN
"""
LONG = agreement(CHINA, calendar="cn", targets="[{when: data.far == true, within: 30bd}, {within: 1h}]")


def known_until(year: int, text: str = LONG) -> Bundle:
    """A document as it was compiled when no later year was published."""
    [bundle] = bundles_of(text)
    table = bundle.calendars["cn"]
    known = {
        "valid_through": f"{year}-12-31",
        "holidays": {day: name for day, name in table.holidays.items() if int(day[:4]) <= year},
        "workdays": {day: windows for day, windows in table.workdays.items() if int(day[:4]) <= year},
    }
    return replace(bundle, calendars=bundle.calendars | {"cn": replace(table, **known)})


@pytest.mark.parametrize("with_plain", [True, False])
def test_a_provisional_due_is_revised_when_the_next_table_is_loaded(with_plain: bool) -> None:
    engine = Engine("log", with_plain=with_plain)
    engine.activate(known_until(2025), "standing")
    started = instant("2025-12-29T02:00:00Z")
    opened = {"specversion": "1.0", "source": "/s", "type": "opened", "vendor": "vendor", "service": "desk", "time": "2025-12-29T02:00:00Z"}
    for name, far in (("far", True), ("near", False)):
        engine.take(to_evidence(opened | {"id": name, "subject": name, "data": {"far": far}}), started)

    def due() -> tuple[str | None, bool]:
        [view] = [line.view for line in engine.case_lines() if line.case == "far"]
        return shown(view.due), view.provisional

    assert due() == ("2026-02-09T10:00", True)
    assert engine.activate(known_until(2026), "next", instant("2025-12-29T02:30:00Z")) == []
    assert due() == ("2026-02-10T10:00", False)  # 2 January is off, 4 January and 14 February are worked
    assert [line.view.state for line in engine.case_lines()] == ["running", "running"]


KINDS = {
    "slots": '{name: beat, kind: heartbeat, on: reported, due: {rrule: "FREQ=MONTHLY;BYMONTHDAY=2", at: "10:00"}, on_closed: next}',
    "downtime": "{name: up, kind: availability, down: down, up: up, target: '>= 99%', window: tumbling 60d, on_empty: met}",
    "rolling": "{name: r, kind: ratio, of: {events: {on: noise, good: data.ok}}, target: '>= 9%', window: rolling 7d, on_empty: met}",
    "clock": "{name: clock, kind: deadline, start: noise, stop: done, targets: [{within: 30bd}]}",
}


@pytest.mark.parametrize("restate", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_next_table_is_as_if_it_had_been_there_and_a_checkpoint_can_be_taken(kind: str, restate: bool) -> None:
    text = f"apiVersion: slawatch/v1\nkind: Agreement\nname: terms\nvendor: vendor\ncalendar: cn\nobjectives: [{KINDS[kind]}]"
    events = [("noise", "2025-12-29T02:00:00Z"), ("down", "2026-01-02T01:00:00Z"), ("up", "2026-01-02T10:00:00Z")]

    def after(*tables: int) -> Engine:
        engine = Engine("log")
        engine.activate(known_until(tables[0], f"{CHINA}---\n{text}"), "standing")
        for number, (what, at) in enumerate(events):
            if number == 1 and tables[1:]:
                again = known_until(tables[1], f"{CHINA}---\n{text}")
                engine.activate(again, "next", instant("2025-12-29T03:00:00Z"), restate=restate)
            event = {"specversion": "1.0", "source": "/s", "id": at, "type": what, "vendor": "vendor", "service": "desk", "time": at}
            engine.take(to_evidence(event | {"subject": "s", "data": {"ok": False}}), instant(at))
        return engine

    def lines(engine: Engine) -> list[object]:
        engine.tick(instant("2026-03-10T03:00:00Z"))
        return [msgspec.to_builtins(line) for line in (*engine.case_lines(), *engine.level_lines())]

    revised, again = after(2025, 2026), Engine("log")
    again.activate(known_until(2025, f"{CHINA}---\n{text}"), "standing")
    restoring = keeping.Restoring(again)
    for block in keeping.blocks(revised):
        assert list(restoring.read(block)) is not None
    assert lines(revised) == lines(again) == lines(after(2026))


def test_the_same_words_with_other_hours_leave_open_clocks_alone() -> None:
    history = Timeline(LONG)
    history.at("2026-03-02T02:00:00Z", "opened", {"far": True})
    before = history.line()["due"]
    history.activate("2026-03-02T03:00:00Z", LONG.replace("18:00", "12:00"))
    assert history.line()["due"] == before


@pytest.mark.parametrize("apply_to", ["new", "open"])
def test_what_starts_after_a_version_that_moved_open_clocks_is_plain_again(apply_to: str) -> None:
    history = Timeline(ONE)
    history.at("10:00", "opened", subject="1", id="1")
    history.activate("10:30", agreement(version="2", targets="[{within: 2h}]", apply_to=apply_to))
    history.at("10:40", "opened", subject="2", id="2")
    [desk] = history.engine.desks()
    assert desk.rulings[0][0] is not None
    assert version_and_due(history, case="2") == (2, "12:40")


def test_a_ratio_that_comes_with_a_version_hears_of_the_clocks_there_are() -> None:
    """At once: it does not hang on when one of them acts again."""
    share = "  - {name: share, kind: ratio, of: {objective: clock}, target: '>= 50%', window: rolling 1h, on_empty: met}"
    history = Timeline(ONE)
    history.at("10:00", "opened")
    history.at("10:00", "done", dated="10:04")
    history.activate("10:02", "\n".join([TWO, share]))
    (met,) = history.until("12:00")
    assert (met.type, met.decided_at) == ("level.met", "10:05:02")
    assert [history.statements[-1].detail[name] for name in ("good", "total")] == [1, 1]
