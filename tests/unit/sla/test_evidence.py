"""semantics.md, "Cases and evidence": what counts as evidence, once, from whom, and in which order."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.sla.engine import ClockMode
from tests.unit.sla.timeline import BY_PRIORITY, Timeline, agreement

# -- duplicates and conflicts ----------------------------------------------------------------------------------------


def test_a_duplicate_counts_once(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    history.at("10:10", "paused")
    history.at("10:20", "resumed")
    before = history.line()
    for kind, dated in (("opened", "10:00"), ("paused", "10:10"), ("resumed", "10:20")):
        assert history.at("10:20", kind, dated=dated) == []
    assert history.line() == before
    assert (history.engine.counts["duplicates"], history.refused) == (3, [])


def test_the_same_id_with_other_content_is_quarantined_and_the_first_stands(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened", id="1")
    history.at("10:30", "cancelled", id="1")
    assert [refused.reason for refused in history.refused] == ["conflict"]
    assert history.line()["state"] == "running"
    assert (history.engine.counts["quarantined"], history.engine.counts["duplicates"]) == (1, 0)


def test_other_data_alone_is_other_content() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY))
    history.at("10:00", "opened", {"p": 1})
    history.at("10:00", "opened", {"p": 2})
    assert [refused.reason for refused in history.refused] == ["conflict"]
    assert history.line()["due"] == "11:00"


@pytest.mark.parametrize("other", [{"source": "/elsewhere"}, {"vendor": "other"}])
def test_an_id_belongs_to_its_vendor_and_source(other: dict[str, Any]) -> None:
    history = Timeline(agreement(vendor="[vendor, other]"))
    history.at("10:00", "opened", id="1")
    history.at("10:30", "done", id="1", **other)
    assert history.refused == []


def test_a_case_is_of_one_vendor_service_and_subject() -> None:
    history = Timeline(agreement(vendor="[vendor, other]"))
    history.at("10:00", "opened")
    history.at("10:10", "done", vendor="other", id="1")
    history.at("10:10", "done", service="other", id="2")
    history.at("10:10", "done", subject="other", id="3")
    assert history.line()["state"] == "running"


def test_strange_names_are_names_all_the_same() -> None:
    history = Timeline(agreement(vendor='"*"', service='"*"'))
    names: dict[str, Any] = {"vendor": " ", "service": "a/b c", "subject": "工单\n#1"}
    history.at("10:00", "opened", **names)
    history.until("12:00")
    (line,) = history.lines()
    assert (line["vendor"], line["service"], line["case"], line["state"]) == (" ", "a/b c", "工单\n#1", "breached")


# -- replaces --------------------------------------------------------------------------------------------------------


def test_a_replaced_event_is_superseded(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    history.at("10:30", "done", id="1")
    history.at("10:40", "done", dated="10:35", id="2", replaces="1")
    assert history.line()["stopped"] == "10:35"


def test_a_replacement_that_comes_before_the_original() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("10:40", "done", dated="10:35", id="2", replaces="1")
    history.at("10:41", "done", dated="10:30", id="1")
    assert history.line()["stopped"] == "10:35"


@pytest.mark.parametrize("arriving", ["123", "132", "213", "231", "312", "321"])
def test_of_a_chain_of_replacements_the_last_stands(arriving: str, clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    history.at("10:00", "opened")
    chain: dict[str, dict[str, Any]] = {
        "1": {"dated": "10:30", "id": "1"},
        "2": {"dated": "10:35", "id": "2", "replaces": "1"},
        "3": {"dated": "10:40", "id": "3", "replaces": "2"},
    }
    for name in arriving:
        history.at("10:50", "done", **chain[name])
    assert history.line()["stopped"] == "10:40"


def test_a_replacement_supersedes_only_what_is_of_its_vendor_and_source() -> None:
    history = Timeline(agreement(vendor="[vendor, other]"))
    history.at("10:00", "opened")
    history.at("10:30", "done", id="1")
    history.at("10:40", "noise", id="2", source="/elsewhere", replaces="1")
    history.at("10:40", "noise", id="3", vendor="other", replaces="1")
    assert history.line()["state"] == "met"


def test_an_event_cannot_supersede_itself() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", id="1", replaces="1")
    assert history.line()["state"] == "running"


def test_a_replacement_may_move_evidence_to_another_case() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("10:00", "opened", subject="other", id="other")
    history.at("10:30", "done", id="1")
    history.at("10:40", "done", dated="10:30", id="2", replaces="1", subject="other")
    assert (history.line(case="case")["state"], history.line(case="other")["state"]) == ("running", "met")


def test_a_superseded_start_takes_its_clock_with_it() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", id="1")
    history.at("10:30", "noise", id="2", replaces="1")
    assert history.lines() == []
    assert history.until("12:00") == []


def test_a_clock_that_was_gone_and_is_back_still_breaches() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened", id="1")
    history.at("10:30", "noise", id="2", replaces="1")
    assert history.until("11:30") == []
    history.at("11:30", "opened", dated="10:00", id="3")
    assert history.until("12:00") == [("breach.opened", "11:00", 0, "11:30:02", "breached")]


# -- order -----------------------------------------------------------------------------------------------------------


def test_evidence_counts_in_order_of_its_time_not_of_its_arrival(clock: ClockMode) -> None:
    history = Timeline(agreement(), clock=clock)
    for kind, dated in (("done", "10:50"), ("resumed", "10:20"), ("paused", "10:10"), ("opened", "10:00")):
        history.at("10:55", kind, dated=dated)
    line = history.line()
    assert (line["state"], line["elapsed_s"], line["paused_s"], line["due"]) == ("met", 2400, 600, "11:10")


@pytest.mark.parametrize("first", ["paused", "resumed"])
def test_at_one_instant_a_pause_goes_before_a_resume(first: str) -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    second = "resumed" if first == "paused" else "paused"
    for kind in (first, second):
        history.at("10:10", kind)
    assert history.line()["state"] == "running"


def test_at_one_instant_all_roles_have_their_place() -> None:
    """start, change, pause, resume, reset, stop, reopen, cancel: arriving in the reverse order, they act in that one."""
    history = Timeline(agreement(targets=BY_PRIORITY))
    for kind in ("cancelled", "reopened", "done", "rejected", "resumed", "paused"):
        history.at("10:00", kind)
    history.at("10:00", "changed", {"p": 1})
    history.at("10:00", "opened", {"p": 3})
    first, second = history.lines()
    assert (first["cycle"], first["state"], first["target_s"]) == (1, "cancelled", 3600)  # started, changed, paused, resumed, reset
    assert (second["cycle"], second["state"]) == (2, "cancelled")  # stopped, reopened, cancelled


def test_sequence_orders_events_of_one_instant_and_source() -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("10:10", "resumed", sequence="9")
    history.at("10:10", "paused", sequence="10")  # as numbers, not as letters
    assert history.line()["state"] == "paused"


@pytest.mark.parametrize("other", [{"sequence": None}, {"sequence": "10", "source": "/elsewhere"}])
def test_sequence_counts_only_if_all_carry_it_and_come_from_one_source(other: dict[str, Any]) -> None:
    history = Timeline(agreement())
    history.at("10:00", "opened")
    history.at("10:10", "resumed", sequence="9")
    history.at("10:10", "paused", **other)
    assert history.line()["state"] == "running"


def test_between_equals_source_and_id_decide(clock: ClockMode) -> None:
    for arriving in ("ab", "ba"):
        history = Timeline(agreement(targets=BY_PRIORITY, change="{on: changed, as: carry}"), clock=clock)
        history.at("10:00", "opened", {"p": 3})
        for name in arriving:
            history.at("10:10", "changed", {"p": 1 if name == "a" else 2}, id=name)
        assert history.line()["target_s"] == 7200  # b comes after a


KINDS = ("opened", "paused", "resumed", "done", "cancelled", "rejected", "reopened", "changed", "noise")
EVENTS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(KINDS), st.integers(1, 3)), min_size=1, max_size=12)
WORDS = st.fixed_dictionaries(
    {
        "targets": st.sampled_from(["[{within: 1h}]", BY_PRIORITY]),
        "pause": st.sampled_from(["paused", "{on: paused, at_most: 10m}"]),
        "stop": st.sampled_from(["done", "{on: done, take: last}"]),
        "reopen": st.sampled_from(["{on: reopened}", "{on: reopened, as: new_cycle}", "{on: reopened, as: count_all}"]),
        "change": st.sampled_from(["{on: changed, as: carry}", "{on: changed, as: retroactive}", "{on: changed, as: restart}"]),
        "when": st.sampled_from(["", "data.p != 9"]),
        "warn_at": st.just("[50%, 10m]"),
    }
)
LATER = agreement(version="2", targets="[{within: 90m}]", effective="{from: 2026-03-03}", apply_to="open")


@settings(max_examples=150, deadline=None)
@given(WORDS, EVENTS, st.data())
def test_any_order_of_arrival_any_duplicates_end_in_the_same_lines(
    words: dict[str, str], drawn: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    """In order the fast path folds them; out of order all are folded again."""
    events = [
        (f"{hour}:{minute:02}", kind, p, f"{n}")
        for n, (ten, kind, p) in enumerate(drawn)
        for hour, minute in [(10 + ten // 6, ten % 6 * 10)]
    ]
    shuffled = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4))))

    def run(story: list[tuple[str, str, int, str]]) -> list[dict[str, Any]]:
        history = Timeline(agreement(**words), LATER, clock="event")
        for time, kind, p, name in story:
            history.at(time, kind, {"p": p}, id=name)
        history.until("Tue 12:00")
        history.settle()
        return [{**line, "revision": None} for line in history.lines()]

    assert run(sorted(events)) == run(shuffled)


# -- conditions ------------------------------------------------------------------------------------------------------


def test_conditions_see_the_merged_data_of_the_case() -> None:
    history = Timeline(agreement(stop="{on: done, when: data.approved == true && data.p == 1}"))
    history.at("10:00", "opened", {"p": 1})
    history.at("10:10", "done")
    assert history.line()["state"] == "running"
    history.at("10:20", "noise", {"approved": True})  # a type that no objective names
    history.at("10:30", "done")
    assert (history.line()["state"], history.line()["stopped"]) == ("met", "10:30")


def test_data_merge_in_the_order_of_evidence_not_of_arrival() -> None:
    history = Timeline(agreement(targets=BY_PRIORITY, change=""))
    history.at("10:10", "opened", {"p": 2})
    history.at("10:11", "noise", {"p": 1}, dated="10:00")
    assert history.line()["target_s"] == 7200


@pytest.mark.parametrize("data", [{}, {"p": None}])
def test_a_missing_or_null_field_makes_a_condition_unknown_and_nothing_changes(data: dict[str, Any]) -> None:
    history = Timeline(agreement(pause="{on: paused, when: data.p == 1}", targets="[{when: data.q == 1, within: 1h}, {within: 2h}]"))
    history.at("10:00", "opened", data)
    history.at("10:10", "paused", data)
    line = history.line()
    assert (line["state"], line["target_s"]) == ("running", 7200)


def test_a_when_that_is_unknown_at_the_start_makes_no_clock() -> None:
    history = Timeline(agreement(when="data.p == 1"))
    history.at("10:00", "opened")
    assert history.lines() == []


def test_a_when_that_becomes_unknown_changes_nothing() -> None:
    history = Timeline(agreement(when="data.p == 1"))
    history.at("10:00", "opened", {"p": 1})
    history.at("10:10", "noise", {"p": None})
    assert history.line()["state"] == "running"


def test_while_is_decided_by_any_event_of_the_case() -> None:
    history = Timeline(agreement(pause="{while: data.state == 'waiting'}", resume=""))
    history.at("10:00", "opened", {"state": "new"})
    history.at("10:10", "noise", {"state": "waiting"})
    assert history.line()["state"] == "paused"
    history.at("10:20", "more noise", {"state": None})  # unknown: it stays as it was
    assert history.line()["state"] == "paused"
    history.at("10:30", "noise", {"state": "active"})
    assert (history.line()["state"], history.line()["paused_s"]) == ("running", 1200)


# -- who says it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "role", "state"),
    [
        ("customer", "customer", "met"),
        ("customer", "vendor", "running"),
        ("customer", "operator", "running"),
        ("vendor", "vendor", "met"),
        ("vendor", "customer", "running"),
        ("any", "customer", "met"),
        ("any", "operator", "met"),
    ],
)
def test_who_says_it_matters(by: str, role: str, state: str) -> None:
    history = Timeline(agreement(stop=f"{{on: done, by: {by}}}"))
    history.at("10:00", "opened")
    history.at("10:10", "done", slwrole=role)
    assert history.line()["state"] == state
