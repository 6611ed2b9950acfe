"""What becomes of verdicts, and when deliveries are tried again: timelines in, decisions out."""

import pytest

from services.notifier.core import (
    RETRY_AFTER,
    Addressed,
    Failed,
    Gone,
    HeldBack,
    Reason,
    Sent,
    deliveries_of,
    next_attempt,
    outcome,
    settle,
)
from shared.alerting.groups import Notification, Why
from shared.ports.deliveries import Claimed
from shared.ports.ledger import Changes, Known, Stated
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND
from shared.wire import verdicts
from shared.wire.verdicts import Verdict
from tests.integration.notifier_kit import START, verdict

NOTHING = Known(frozenset(), {})
OPENED = verdict("opened", revision=0)
CLOSED = verdict("closed", revision=1, stopped=START + 2 * HOUR)
RETRACTED = verdict("retracted", revision=2)
REOPENED = verdict("reopened", revision=3)
WARNING = verdict("clock.warning", threshold="80%")
BREACH = OPENED.data.breach_id


def stated(*said: Verdict) -> list[Stated]:
    return [Stated(each, verdicts.encode(each), START + place) for place, each in enumerate(said)]


def run(*said: Verdict, known: Known = NOTHING, channels: tuple[str, ...] = ("a", "b"), off: tuple[str, ...] = ()) -> Changes:
    return settle(stated(*said), known, channels, off)[0]


def reasons(*said: Verdict, known: Known = NOTHING) -> list[Reason]:
    return [ruling.reason for ruling in settle(stated(*said), known, ())[1]]


def test_each_statement_is_kept_and_told_to_every_channel_in_order() -> None:
    changes = run(OPENED, CLOSED)
    assert [each.verdict.type for each in changes.statements] == ["slawatch.breach.opened", "slawatch.breach.closed"]
    assert changes.breaches[BREACH].verdict is CLOSED
    told = [(planned.key, planned.channel, planned.state) for planned in changes.deliveries]
    assert told == [(v.id, channel, "pending") for v in (OPENED, CLOSED) for channel in ("a", "b")]


def test_a_verdict_seen_before_is_dropped_in_the_ledger_and_in_the_batch() -> None:
    assert reasons(OPENED, OPENED) == [Reason.told, Reason.seen]
    assert reasons(OPENED, known=Known({OPENED.id}, {BREACH: 0})) == [Reason.seen]


def test_a_revision_up_to_the_last_is_stale_whatever_its_id() -> None:
    again = verdict("opened", revision=1)
    assert reasons(CLOSED, again) == [Reason.told, Reason.stale]
    assert reasons(CLOSED, known=Known(frozenset(), {BREACH: 2})) == [Reason.stale]
    assert reasons(REOPENED, known=Known(frozenset(), {BREACH: 2})) == [Reason.told]


def test_contested_and_final_repeat_the_last_revision_and_are_kept() -> None:
    contested, final = verdict("contested", revision=1), verdict("final", revision=1)
    assert reasons(OPENED, CLOSED, contested, final) == [Reason.told, Reason.told, Reason.told, Reason.recorded]
    changes = run(OPENED, CLOSED, contested, final)
    assert (changes.contested, changes.final) == ({BREACH}, {BREACH})
    assert changes.breaches[BREACH].verdict is CLOSED, "they say nothing new about where it stands"


def test_reopening_asks_for_a_new_acknowledgement() -> None:
    assert run(OPENED, CLOSED, REOPENED).reopened == {BREACH}


def test_a_clock_is_at_risk_until_it_is_met_cancelled_or_breached() -> None:
    assert list(run(WARNING).risks) == [(BREACH, "warning")]
    for end in (verdict("clock.met"), verdict("clock.cancelled"), OPENED):
        changes = run(WARNING, end)
        assert not changes.risks
        assert changes.cleared == {BREACH}


def test_good_news_is_not_told_nor_kept() -> None:
    changes = run(verdict("clock.met"), verdict("clock.cancelled"))
    assert (changes.statements, changes.deliveries) == ([], [])


def test_a_breach_takes_back_warnings_that_wait_here_and_in_the_ledger() -> None:
    other = verdict("clock.warning", "INC-43", threshold="80%")
    changes = run(WARNING, other, OPENED, channels=("a",))
    assert [(planned.key, planned.state) for planned in changes.deliveries] == [
        (WARNING.id, "inhibited"),
        (other.id, "pending"),
        (OPENED.id, "pending"),
    ]
    assert changes.inhibited == {BREACH}


def test_a_warning_after_the_danger_was_over_counts_again() -> None:
    second = verdict("clock.warning", threshold="30m")
    assert [risk.verdict for risk in run(WARNING, verdict("clock.met"), second).risks.values()] == [second]


def test_a_channel_that_is_off_is_written_down_and_not_tried() -> None:
    states = {planned.channel: planned.state for planned in run(OPENED, off=("b",)).deliveries}
    assert states == {"a": "pending", "b": "disabled"}


# ---- deliveries

CLAIMED = Claimed(OPENED.id, "a", 0, START, (b"{}",), START + MINUTE)


def test_the_schedule_of_retries() -> None:
    waits = [(next_attempt(number, None, 0, 0.0)) for number in range(1, 10)]
    assert waits == [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, DAY]
    assert next_attempt(10, None, 0, 0.0) is None


def test_jitter_only_ever_delays_a_little() -> None:
    assert next_attempt(1, None, START, 0.5) == START + 5_500
    assert next_attempt(1, None, START, 0.999) < START + 6_000  # type: ignore[operator]  # there is a second attempt


@pytest.mark.parametrize(
    ("asked", "wait"), [(None, 5 * SECOND), (1 * SECOND, 5 * SECOND), (2 * MINUTE, 2 * MINUTE), (30 * DAY, DAY), (0, 5 * SECOND)]
)
def test_retry_after_is_honoured_within_reason(asked: int | None, wait: int) -> None:
    assert outcome(CLAIMED, Failed("429", asked), START, 0.0).next_attempt_at == START + wait


def test_what_an_attempt_means() -> None:
    sent = outcome(CLAIMED, Sent(), START, 0.0)
    assert (sent.state, sent.attempts, sent.next_attempt_at, sent.error) == ("sent", 1, None, "")
    assert outcome(CLAIMED, Failed("500"), START, 0.0).state == "pending"
    assert outcome(CLAIMED, Failed("550 no such user", permanent=True), START, 0.0).state == "failed"
    assert outcome(CLAIMED._replace(attempts=len(RETRY_AFTER)), Failed("500"), START, 0.0).state == "failed"
    assert outcome(CLAIMED, Gone("410"), START, 0.0).state == "disabled"


def test_what_a_breaker_holds_back_is_no_attempt() -> None:
    last = CLAIMED._replace(attempts=len(RETRY_AFTER))
    held = outcome(last, HeldBack("not tried", 10_000), START, 0.0)
    assert (held.state, held.attempts, held.next_attempt_at) == ("pending", len(RETRY_AFTER), START + 10_000)


def group_notice(reason: Why, number: int = 70) -> Notification:
    verdict_ids = {f"b{n}": f"v{n}" for n in range(number)}
    return Notification(key="g/1", thread="g", reason=reason, recipient="receiver/ops", verdicts=verdict_ids, total=number)


def test_a_receiver_that_remembers_breaches_is_told_of_each_of_a_group_by_itself() -> None:
    addressed = Addressed(lambda _: ["chat", "pager"], (), by_breach=["pager"])
    for reason in ("first", "resolved"):
        planned = deliveries_of([group_notice(reason)], addressed, ())
        assert [each.key for each in planned if each.channel == "chat"] == ["g/1"]
        each_one = [each for each in planned if each.channel == "pager"]
        assert {(each.key, each.breach_id, each.verdicts) for each in each_one} == {(f"v{n}", f"b{n}", (f"v{n}",)) for n in range(70)}
        assert {each.reason for each in each_one} == {reason}
    again = deliveries_of([group_notice("repeat")], addressed, ())
    assert "g/1/b0" in {each.key for each in again}, "a repetition is a delivery of its own"
