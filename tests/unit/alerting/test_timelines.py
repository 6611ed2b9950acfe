"""Who hears what, when: each rule as a timeline in minutes."""

from tests.unit.alerting.timelines import Heard, Timeline

SINGLE = "route: {receiver: chat}"


def chat(minute: float, why: str, *cases: str) -> Heard:
    return Heard(minute, "receiver/chat", why, cases)


# ---- each breach by itself


def test_a_breach_is_told_at_once_and_each_revision_once_in_one_thread() -> None:
    it = Timeline(SINGLE)
    it.opened(0, "a")
    it.amended(3, "a")
    it.closed(9, "a")
    it.until(100_000)
    assert it.heard == [chat(0, "first", "a"), chat(3, "update", "a"), chat(9, "resolved", "a")]
    assert it.keys == ["a#0", "a#1", "a#2"], "the deduplication key is the verdict's id"
    assert set(it.threads) == {"a"}


def test_a_breach_that_is_done_late_when_it_is_known_is_told() -> None:
    it = Timeline(SINGLE)
    it.closed(0, "a")
    assert it.heard == [chat(0, "first", "a")]


def test_a_retraction_goes_to_whoever_got_the_first_message_even_long_after_the_breach_was_closed() -> None:
    it = Timeline("escalations: {e: {steps: [{notify: chat}, {after: 15m, notify: boss}]}}\nroute: {escalation: e}")
    it.opened(0, "a")
    it.opened(0, "b")
    it.closed(10, "a")
    it.closed(20, "b")
    it.heard.clear()
    it.retracted(5_000, "a", "b")
    who = [(heard.who, heard.why, heard.cases) for heard in it.heard]
    assert who == [
        ("receiver/chat", "retracted", ("a",)),
        ("receiver/chat", "retracted", ("b",)),
        ("receiver/boss", "retracted", ("b",)),
    ], "the boss never heard of a"
    assert not it.groups


def test_a_retraction_of_what_nobody_was_told_is_told_to_nobody() -> None:
    it = Timeline(SINGLE)
    it.silenced(0, 60, case="a")
    it.opened(1, "a")
    it.retracted(2, "a")
    it.until(500)
    assert it.heard == []


def test_a_group_is_forgotten_when_the_verdict_is_final() -> None:
    it = Timeline(SINGLE)
    it.opened(0, "a")
    it.closed(1, "a")
    assert it.groups, "a retraction may still come"
    it.final(10_000, "a")
    assert not it.groups


# ---- warnings


def test_a_breach_inhibits_its_warnings_and_begins_anew() -> None:
    it = Timeline("escalations: {e: {steps: [{notify: chat}, {after: 15m, notify: boss}]}}\nroute: {escalation: e}")
    it.warned(0, "a")
    it.opened(10, "a")
    it.until(24.9)
    assert it.heard == [chat(0, "first", "a"), chat(10, "first", "a")]
    it.until(25)
    assert it.heard[2:] == [Heard(25, "receiver/boss", "escalation", ("a",))], "fifteen minutes from the breach, not from the warning"


def test_good_news_about_a_warning_wakes_nobody_and_stops_the_steps() -> None:
    it = Timeline("escalations: {e: {steps: [{notify: chat}, {after: 15m, notify: boss}]}}\nroute: {escalation: e}")
    it.warned(0, "a")
    it.met(10, "a")
    it.until(500)
    assert it.heard == [chat(0, "first", "a")]
    assert not it.groups


def test_warnings_and_breaches_may_go_different_ways() -> None:
    it = Timeline("route: {receiver: chat, routes: [{match: {type: breach}, receiver: boss}]}")
    it.warned(0, "a")
    it.opened(5, "a")
    it.closed(6, "a")
    assert [(heard.minute, heard.who) for heard in it.heard] == [(0, "receiver/chat"), (5, "receiver/boss"), (6, "receiver/boss")]


# ---- routes


def test_the_first_route_that_matches_takes_it_unless_it_goes_on() -> None:
    text = """
route:
  receiver: chat
  routes:
    - {match: {severity: page}, receiver: ann, continue: true}
    - {match: {vendor: [acme, "other*"]}, but_not: {case: b}, receiver: bo}
    - {match: {vendor: acme}, receiver: boss}
"""
    it = Timeline(text)
    it.opened(0, "a")
    it.opened(1, "b", severity="ticket")
    it.opened(2, "c", vendor="otherwise", severity="info")
    it.opened(3, "d", vendor="nobody", severity="info")
    assert [(heard.who.partition("/")[2], heard.cases[0]) for heard in it.heard] == [
        ("ann", "a"),
        ("bo", "a"),
        ("boss", "b"),
        ("bo", "c"),
        ("chat", "d"),
    ]


def test_when_the_routes_change_open_breaches_end_with_whoever_was_told() -> None:
    it = Timeline("route: {receiver: chat, routes: [{name: old, match: {vendor: acme}, receiver: boss}]}")
    it.opened(0, "a")
    it.rerouted(5, SINGLE)
    it.closed(10, "a")
    assert [(heard.minute, heard.who, heard.why) for heard in it.heard] == [
        (0, "receiver/boss", "first"),
        (10, "receiver/boss", "resolved"),
        (10, "receiver/chat", "first"),
    ]


# ---- groups

GROUPED = "route: {receiver: chat, group_by: [vendor], group_wait: 1m, group_interval: 5m, repeat_interval: 60m}"


def test_a_group_waits_for_more_then_tells_news_by_interval_and_repeats() -> None:
    it = Timeline(GROUPED)
    it.opened(0, "a")
    it.opened(0.5, "b", severity="ticket")
    it.opened(0.6, "x", vendor="other")
    it.opened(2, "c")
    it.closed(3, "a")
    it.until(130)
    assert it.heard == [
        chat(1, "first", "a", "b"),
        chat(1.6, "first", "x"),
        chat(6, "update", "a", "c"),
        chat(61.6, "repeat", "x"),
        chat(66, "repeat", "c", "b"),
        chat(121.6, "repeat", "x"),
        chat(126, "repeat", "c", "b"),
    ]
    assert len(set(it.threads)) == 2


def test_what_is_over_before_the_group_was_told_is_told_as_it_stands() -> None:
    it = Timeline(GROUPED)
    it.opened(0, "a", "b", "c")
    it.retracted(0.2, "a")
    it.closed(0.4, "b")
    it.until(30)
    assert it.heard == [chat(1, "first", "c", "b")] or it.heard == [chat(1, "first", "b", "c")], "retracted: it never was"


def test_a_group_whose_breaches_are_all_over_says_so() -> None:
    it = Timeline(GROUPED)
    it.opened(0, "a", "b")
    it.closed(10, "a", "b")
    it.until(300)
    assert [heard.why for heard in it.heard] == ["first", "resolved"]


# ---- mutes, silences, inhibition


MUTED = """
mute_times: {night: {hours: {mon-sun: ["22:00-06:00"]}}}
route: {receiver: chat, mute_times: night}
"""


def test_nothing_is_told_in_a_mute_time_and_at_once_when_it_ends() -> None:
    it = Timeline(MUTED, "2026-03-02T21:00:00Z")
    it.opened(30, "told")
    it.opened(70, "open", "done", "never")
    it.closed(80, "told", "done")
    it.retracted(90, "never")
    it.until(24 * 60 - 1)
    assert it.heard == [
        chat(30, "first", "told"),
        chat(9 * 60, "first", "open"),
        chat(9 * 60, "resolved", "told"),
    ], "six in the morning is nine hours after nine; what came and went at night is on record, and wakes nobody"


def test_a_mute_time_may_be_the_closed_hours_of_a_calendar_in_its_zone() -> None:
    text = """
mute_times: {away: {calendar: office, closed: true}}
route: {receiver: chat, mute_times: away}
---
apiVersion: slawatch/v1
kind: Calendar
name: office
timezone: Asia/Shanghai
hours: {mon-fri: ["09:00-18:00"]}
"""
    it = Timeline(text, "2026-03-06T09:59:00Z")  # Friday, 17:59 in Shanghai
    it.opened(0, "a")
    it.opened(1, "b")
    it.until(10_000)
    assert it.heard == [chat(0, "first", "a"), chat(1 + 63 * 60, "first", "b")], "on Monday at nine"


def test_a_silence_holds_what_it_matches_until_its_end_and_lets_the_end_through() -> None:
    it = Timeline(SINGLE)
    it.opened(0, "told", "stays")
    it.silenced(1, 60, vendor="acme")
    it.opened(2, "new", "other", vendor="acme")
    it.closed(3, "told")
    it.closed(4, "other")
    it.until(200)
    assert it.heard[2:] == [
        chat(3, "resolved", "told"),
        chat(60, "first", "new"),
    ], "a silenced alert still resolves; what came and went in silence is told to nobody"


def test_a_silence_that_is_ended_early_sets_free_at_once() -> None:
    it = Timeline(SINGLE)
    it.silenced(0, 600, vendor="acme")
    it.opened(1, "a")
    it.unsilenced(7)
    assert it.heard == [chat(7, "first", "a")]


def test_an_outage_inhibits_its_vendors_cases_until_it_is_over() -> None:
    text = """
inhibit: [{source: {objective: uptime}, target: {objective: resolution}, equal: [vendor]}]
route: {receiver: chat}
"""
    it = Timeline(text)
    it.opened(0, "down", objective="uptime")
    it.opened(1, "a")
    it.opened(2, "b", vendor="other")
    it.opened(3, "c")
    it.closed(4, "c")
    it.closed(30, "down")
    assert it.heard == [
        chat(0, "first", "down"),
        chat(2, "first", "b"),
        chat(30, "resolved", "down"),
        chat(30, "first", "a"),
    ]


# ---- escalation

PAGED = """
people:
  ann: {receivers: ann, quiet_hours: {hours: {mon-sun: ["22:00-07:00"]}}}
  bo: {receivers: bo}
rotas:
  first: {people: [ann, bo], from: 2026-03-02T09:00, every: 1d}
escalations:
  e:
    acknowledged_for: 4h
    steps: [{notify: {rota: first}}, {after: 15m, notify: [{person: bo}]}, {after: 1h, notify: [boss]}]
route: {escalation: e, repeat_interval: 30m}
"""


def who(it: Timeline) -> list[tuple[float, str, str]]:
    return [(heard.minute, heard.who.partition("/")[2], heard.why) for heard in it.heard]


def test_steps_go_on_until_somebody_acknowledges() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.opened(0, "a")
    it.until(29)
    assert who(it) == [(0, "ann", "first"), (15, "bo", "escalation")]
    it.acknowledged(29, "a")
    it.until(200)
    assert len(it.heard) == 2, "an acknowledgement stops every pending step, and repeats"


def test_an_acknowledgement_times_out_and_the_steps_begin_again() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.opened(0, "a")
    it.acknowledged(5, "a")
    it.until(5 + 4 * 60 + 20)
    assert who(it) == [(0, "ann", "first"), (245, "ann", "repeat"), (260, "bo", "escalation")]


def test_an_acknowledgement_that_times_out_never_reopens_what_is_over() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.opened(0, "a")
    it.acknowledged(5, "a")
    it.closed(60, "a")
    it.acknowledged(70, "a")
    it.until(3_000)
    assert who(it) == [(0, "ann", "first"), (60, "ann", "resolved")]


def test_nobody_is_asked_again_about_a_case_that_is_excused_or_closed_until_it_is_taken_up_again() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.opened(0, "a")
    it.excused(5, "a")
    it.until(3_000)
    assert who(it) == [(0, "ann", "first")]
    it.taken_up_again(3_000, "a")
    it.until(3_010)
    assert who(it)[1:] == [(3_000, "ann", "repeat")], "its acknowledgement has timed out by now"


def test_reopening_asks_for_a_new_acknowledgement() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.opened(0, "a")
    it.acknowledged(5, "a")
    it.closed(60, "a")
    it.reopened(100, "a")
    it.until(116)
    assert who(it)[2:] == [(100, "ann", "update"), (115, "bo", "escalation")]


def test_news_of_an_acknowledged_breach_still_comes() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.opened(0, "a")
    it.acknowledged(5, "a")
    it.amended(10, "a")
    it.until(20)
    assert who(it) == [(0, "ann", "first"), (10, "ann", "update")]


def test_the_next_on_duty_hears_of_what_is_open_at_the_hand_over() -> None:
    it = Timeline(
        PAGED.replace("after: 15m", "after: 1d").replace("after: 1h", "after: 2d").replace("repeat_interval: 30m", "repeat_interval: 0s"),
        "2026-03-03T08:50:00Z",
    )
    it.opened(0, "a")
    it.opened(1, "b")
    it.acknowledged(2, "b")
    it.until(60)
    assert [(heard.minute, heard.who, heard.cases) for heard in it.heard] == [
        (0, "person/ann", ("a",)),
        (1, "person/ann", ("b",)),
        (10, "person/bo", ("a",)),
    ]
    it.closed(70, "a")
    assert who(it)[3:] == [(70, "bo", "resolved"), (70, "ann", "resolved")], "whoever was told"


def test_an_override_stands_in() -> None:
    overridden = PAGED.replace("every: 1d}", "every: 1d, overrides: [{person: bo, from: 2026-03-02T12:00, to: 2026-03-02T14:00}]}")
    it = Timeline(overridden, "2026-03-02T11:59:00Z")
    it.opened(0, "a")
    it.closed(0.5, "a")
    it.opened(1, "b")
    it.closed(2, "b")
    it.opened(121, "c")
    assert [(heard.who, heard.cases[0]) for heard in it.heard if heard.why == "first"] == [
        ("person/ann", "a"),
        ("person/bo", "b"),
        ("person/ann", "c"),
    ]


def test_quiet_hours_hold_all_but_pages_until_they_end() -> None:
    it = Timeline(
        PAGED.replace("after: 15m", "after: 20h").replace("after: 1h", "after: 30h").replace("30m}", "0s}"), "2026-03-02T23:00:00Z"
    )
    it.opened(0, "page")
    it.opened(1, "ticket", "gone", severity="ticket")
    it.closed(30, "page")
    it.retracted(31, "gone")
    it.until(9 * 60)
    assert [(heard.minute, heard.cases[0], heard.why) for heard in it.heard if heard.who == "person/ann"] == [
        (0, "page", "first"),
        (8 * 60, "page", "resolved"),
        (8 * 60, "ticket", "first"),
    ], "seven in the morning"


def test_a_breach_that_came_and_went_in_quiet_hours_is_told_when_they_end() -> None:
    text = PAGED.replace("after: 15m", "after: 20h").replace("after: 1h", "after: 30h")
    late = Timeline(text, "2026-03-02T23:00:00Z")
    late.closed(0, "a", severity="ticket")  # known only when it was over
    quick = Timeline(text, "2026-03-02T23:00:00Z")
    quick.opened(0, "b", severity="ticket")
    quick.closed(120, "b", severity="ticket")
    for it in (late, quick):
        it.until(24 * 60)
        assert who(it) == [(480, "ann", "first")], "once, at seven in the morning"


def test_an_escalation_in_a_mute_time_begins_when_it_ends() -> None:
    text = MUTED.replace("receiver: chat", "escalation: e") + "escalations: {e: {steps: [{notify: chat}, {after: 15m, notify: boss}]}}"
    it = Timeline(text, "2026-03-02T23:00:00Z")
    it.opened(0, "a")
    it.until(7 * 60 + 15)
    assert who(it) == [(420, "chat", "first"), (435, "boss", "escalation")]


def test_a_group_is_acknowledged_when_all_its_breaches_are_and_a_new_one_begins_anew() -> None:
    text = """
escalations: {e: {steps: [{notify: chat}, {after: 15m, notify: boss}]}}
route: {escalation: e, group_by: vendor, group_wait: 0s, group_interval: 1m}
"""
    it = Timeline(text)
    it.opened(0, "a", "b")
    it.acknowledged(1, "a")
    it.until(20)
    assert who(it) == [(0, "chat", "first"), (15, "boss", "escalation")]
    assert it.heard[1].cases == ("b",)
    it.acknowledged(21, "b")
    it.opened(30, "c")
    it.until(50)
    assert [(heard.minute, heard.who, heard.cases) for heard in it.heard[2:]] == [
        (30, "receiver/chat", ("c",)),
        (45, "receiver/boss", ("c",)),
    ]


# ---- corrective actions that are late


def test_a_late_corrective_action_is_told_once_to_the_first_step_and_goes_no_further() -> None:
    it = Timeline(PAGED, "2026-03-02T10:00:00Z")
    it.overdue(0, "a/correction")
    it.met(60, "a/correction")
    it.until(24 * 60)
    assert who(it) == [(0, "ann", "first")], "nobody else is engaged, nothing is repeated, its end wakes nobody"
    assert not it.groups


def test_a_late_corrective_action_waits_for_silences_mute_times_and_quiet_hours_and_is_not_lost() -> None:
    silenced = Timeline("route: {receiver: chat}")
    silenced.silenced(0, 60, case="a")
    silenced.overdue(1, "a", case="a")
    silenced.until(120)
    muted = Timeline(MUTED, "2026-03-02T23:00:00Z")
    muted.overdue(0, "a")
    muted.until(24 * 60)
    quiet = Timeline(PAGED, "2026-03-02T23:00:00Z")
    quiet.overdue(0, "a", severity="ticket")
    quiet.until(24 * 60)
    assert [who(it) for it in (silenced, muted, quiet)] == [[(60, "chat", "first")], [(420, "chat", "first")], [(480, "ann", "first")]]


def test_a_corrective_action_that_was_put_off_and_is_late_again_is_news_and_inhibits_nothing() -> None:
    it = Timeline("inhibit: [{source: {type: breach}, target: {objective: other}}]\nroute: {receiver: chat, group_by: [vendor]}")
    it.overdue(0, "a/correction")
    it.opened(1, "b", objective="other")
    it.overdue(10, "a/correction")
    it.closed(11, "b")
    it.until(60)
    assert {(heard.cases, heard.why) for heard in it.heard} >= {(("a/correction",), "first"), (("a/correction",), "update")}
    assert "resolved" not in {heard.why for heard in it.heard}, "the corrective action is late still"
    assert "b" in {case for heard in it.heard for case in heard.cases}
