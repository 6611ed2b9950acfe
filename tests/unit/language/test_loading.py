"""What agreements compile to: shorthands spelt out, defaults resolved, every kind of objective."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.language import load_text, values
from shared.language.problems import Wrong
from shared.language.recurrences import recurrence
from shared.sla.instants import DAY, HOUR, MINUTE, parse_instant
from shared.sla.terms import Bound, Bundle, BurnPair, Money, Penalty, Target, Tier, Trigger, Warn, Window, Within
from tests.unit.language.samples import CALENDAR, SOUND, agreement, bundle, found, objective, with_lines

RATIO = ("name: share", "kind: ratio", "on_empty: met", 'target: ">= 99.9%"')


@pytest.mark.parametrize(
    ("written", "trigger"),
    [
        ("x", Trigger(on=("x",))),
        ("[x, y]", Trigger(on=("x", "y"))),
        ("{on: x}", Trigger(on=("x",))),
        ("{on: [x, y], when: data.a, by: customer}", Trigger(on=("x", "y"), when="data.a", by="customer")),
    ],
)
def test_triggers_in_all_their_forms(written: str, trigger: Trigger) -> None:
    assert agreement(with_lines(f"cancel: {written}")).objectives[0].cancel == trigger  # type: ignore[union-attr]


def test_when_stands_beside_every_other_key_of_a_trigger() -> None:
    clock = agreement(
        with_lines(
            "pause: {on: p, when: data.a, at_most: 2h, reason: data.why}",
            "resume: {on: r, when: data.a}",
            "reopen: {on: o, when: data.a, as: new_cycle}",
            "change: {on: c, when: data.a, as: restart}",
            "reset: {on: s, when: data.a}",
        )
    ).objectives[0]
    assert {getattr(clock, part).when for part in ("pause", "resume", "reopen", "change", "reset")} == {"data.a"}
    assert (clock.pause.at_most, clock.pause.reason) == (2 * HOUR, "data.why")  # type: ignore[union-attr]
    assert (clock.reopen.as_, clock.change.as_) == ("new_cycle", "restart")  # type: ignore[union-attr]


def test_sources_that_post_states_pause_while_a_condition_holds() -> None:
    clock = agreement(with_lines("pause: {while: 'data.state == \"Awaiting\"', at_most: 1h}")).objectives[0]
    assert clock.pause.while_ == 'data.state == "Awaiting"'  # type: ignore[union-attr]
    assert clock.pause.on == ()  # type: ignore[union-attr]


def test_a_target_takes_its_own_calendar_else_the_objectives_else_the_agreements() -> None:
    text = (
        SOUND.replace("[{within: 4h}]", "[{when: data.a, within: 4h, calendar: 24x7}, {within: 3bd}]")
        + "calendar: office\n---\n"
        + CALENDAR
    )
    assert agreement(text).objectives[0].targets == (  # type: ignore[union-attr]
        Target(calendar="24x7", when="data.a", within=Within(amount=4 * HOUR)),
        Target(calendar="office", within=Within(amount=3, unit="bd")),
    )
    assert agreement(SOUND).objectives[0].targets[0].calendar == "24x7"  # type: ignore[union-attr]
    assert set(bundle(text).calendars) == {"office", "24x7"}


def test_the_built_in_calendar_lies_in_the_agreements_zone() -> None:
    always = bundle(SOUND + "timezone: Asia/Shanghai\n").calendars["24x7"]
    assert (always.timezone, always.always, always.hours) == ("Asia/Shanghai", True, (((0, DAY),),) * 7)


def test_effective_days_are_both_included_in_the_agreements_zone() -> None:
    terms = agreement(SOUND + "timezone: America/New_York\neffective: {from: 2026-01-01, to: 2026-06-30}\n")
    assert terms.effective_from == parse_instant("2026-01-01T05:00:00Z")
    assert terms.effective_to == parse_instant("2026-07-01T04:00:00Z")
    assert agreement(SOUND + "effective: {to: 2026-06-30T12:00:00Z}\n").effective_to == parse_instant("2026-06-30T12:00:00Z")


def test_defaults() -> None:
    terms = agreement(SOUND)
    assert (terms.version, terms.service, terms.timezone, terms.period, terms.grace) == (1, ("*",), "UTC", "month", 2_000)
    assert (terms.horizon, terms.max_lateness, terms.effective_from, terms.effective_to) == (7 * DAY, DAY, None, None)
    assert (terms.objectives[0].severity, terms.objectives[0].calendar) == ("ticket", "24x7")


def test_on_is_a_key_and_dates_are_texts() -> None:
    assert agreement(with_lines("cancel: {on: yes}")).objectives[0].cancel.on == ("yes",)  # type: ignore[union-attr]
    assert agreement(SOUND.replace("vendor: acme", "vendor: 2026-01-01")).vendor == ("2026-01-01",)


def test_keys_of_ones_own_and_anchors_and_merge_keys() -> None:
    text = (
        "x-common: &common {severity: page, weight: 2}\n"
        + SOUND
        + "  - {<<: *common, name: b, kind: violation, on: inspected, unless: data.ok, weight: 3}\n"
    )
    other = agreement(text).objectives[1]
    assert (other.severity, other.weight) == ("page", "3")


def test_ratio_over_another_objective_and_over_events() -> None:
    assert objective(*RATIO, "of: {objective: answer}").of.objective == "answer"
    of = objective(*RATIO, "of: {events: {on: [a, b], good: data.ok, by: customer}}").of
    assert (of.events, of.good) == (Trigger(on=("a", "b"), by="customer"), "data.ok")


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ("period", Window()),
        ("rolling 30d", Window(kind="rolling", length=30 * DAY)),
        ("tumbling 1h", Window(kind="tumbling", length=HOUR)),
    ],
)
def test_windows(written: str, window: Window) -> None:
    assert objective(*RATIO, "of: {objective: answer}", f"window: {written}").window == window


@pytest.mark.parametrize(
    ("window", "factors"),
    [
        ("rolling 30d", ["14.4", "6", "3", "1"]),  # SRE workbook
        ("rolling 28d", ["13.44", "5.6", "2.8", "0.9333"]),  # slok/sloth
        ("period", ["14.4", "6", "3", "1"]),
        ("rolling 1d", ["0.48", "0.2", "0.1"]),  # the pair of three days does not fit
    ],
)
def test_standard_burn_rates_follow_the_window(window: str, factors: list[str]) -> None:
    pairs = objective(*RATIO, "of: {objective: answer}", f"window: {window}", "burn_rate: standard").burn_rate
    assert [pair.factor for pair in pairs] == factors
    assert pairs[0] == BurnPair(long=HOUR, short=5 * MINUTE, factor=factors[0], severity="page")


def test_burn_rates_of_ones_own() -> None:
    line = "burn_rate: [{long: 2h, short: 10m, factor: 8.5, severity: info}]"
    assert objective(*RATIO, "of: {objective: answer}", line).burn_rate == (
        BurnPair(long=2 * HOUR, short=10 * MINUTE, factor="8.5", severity="info"),
    )


def test_aggregate_availability_heartbeat_violation() -> None:
    score = objective(
        "name: s",
        "kind: aggregate",
        "of: {events: answered}",
        "field: data.score",
        "aggregate: p95",
        'target: ">= 4.2"',
        "on_empty: no_data",
    )
    assert (score.of.events.on, score.field, score.aggregate, score.target) == (
        ("answered",),
        "data.score",
        "p95",
        Bound(op=">=", value="4.2"),
    )
    up = objective("name: u", "kind: availability", "down: d", "up: u", "exclude: {from: m, to: n}", 'target: ">= 99.9%"', "on_empty: met")
    assert (up.exclude_from.on, up.exclude_to.on, up.target.value) == (("m",), ("n",), "0.999")
    report = objective("name: r", "kind: heartbeat", "on: sent", 'due: {rrule: "FREQ=WEEKLY;BYDAY=MO", at: "18:00"}', "on_closed: next")
    assert (report.on.on, report.rrule, report.at, report.on_closed) == (("sent",), "FREQ=WEEKLY;BYDAY=MO", "18:00", "next")
    assert objective("name: r", "kind: heartbeat", "on: {on: sent, by: vendor}", "every: 7d").every == 7 * DAY
    lot = objective("name: l", "kind: violation", "on: {on: inspected, when: data.lot > 1}", "unless: data.defects <= data.accept")
    assert (lot.on.when, lot.unless) == ("data.lot > 1", "data.defects <= data.accept")


def test_money_shares_tiers() -> None:
    clock = agreement(with_lines('penalty: {per_breach: "500 CNY", per_hour_late: "50.50 CNY", at_most: "2000 CNY"}')).objectives[0]
    assert clock.penalty == Penalty(
        per_breach=Money(amount="500", currency="CNY"),
        per_hour_late=Money(amount="50.5", currency="CNY"),
        at_most=Money(amount="2000", currency="CNY"),
    )
    started = Penalty(per_hour_late=Money(amount="9", currency="EUR"), per_started_hour=True)
    assert agreement(with_lines('penalty: {per_started_hour: "9 EUR"}')).objectives[0].penalty == started
    assert agreement(with_lines('penalty: {per_hour_late: "9 EUR", per_started_hour: true}')).objectives[0].penalty == started
    level = objective(
        *RATIO,
        "of: {objective: answer}",
        "penalty: {tiers: [{below: 99.99%, credit: 10%}, {below: 99%, credit: 30%}, {below: 95%, credit: 100%}]}",
        'reward: {tiers: [{at_least: 99.999%, bonus: "7 EUR"}]}',
        "earn_back: {periods: 2, at_least: 97%}",
    )
    assert [(tier.op, tier.value, tier.share) for tier in level.penalty.tiers] == [
        ("<", "0.9999", "0.1"),
        ("<", "0.99", "0.3"),
        ("<", "0.95", "1"),
    ]
    assert level.reward.tiers == (Tier(op=">=", value="0.99999", amount=Money(amount="7", currency="EUR")),)
    assert (level.earn_back.periods, level.earn_back.op, level.earn_back.value) == (2, ">=", "0.97")


def test_warnings() -> None:
    assert agreement(with_lines("warn_at: [50%, 12.5%, 30m]")).objectives[0].warn_at == (  # type: ignore[union-attr]
        Warn(label="50%", share="0.5"),
        Warn(label="12.5%", share="0.125"),
        Warn(label="30m", lead=30 * MINUTE),
    )


def test_a_bundle_survives_its_wire_form() -> None:
    original = bundle(SOUND + "calendar: office\n---\n" + CALENDAR + "holidays: CN\n")
    assert msgspec.json.decode(msgspec.json.encode(original), type=Bundle) == original


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("90s", 90_000), ("500ms", 500), ("1.5h", 90 * MINUTE), ("1h30m", 90 * MINUTE), ("2d", 48 * HOUR), ("0.25s", 250)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert values.duration(text) == milliseconds


@given(st.text(max_size=30))
def test_every_notation_parses_or_says_what_is_wrong(text: str) -> None:
    for parse in (
        values.duration,
        values.within,
        values.share,
        values.bound,
        values.money,
        values.window,
        values.warning,
        recurrence,
    ):
        try:
            assert parse(text) is not None
        except Wrong as wrong:
            assert wrong.message  # noqa: PT017


@given(st.decimals(0, 100, places=3))
def test_shares_are_exact(percent: Decimal) -> None:
    assert Decimal(values.share(f"{percent}%")) == percent / 100


@given(st.text(max_size=200))
def test_no_text_crashes_the_loader(text: str) -> None:
    load_text("a.yaml", text)
    found(SOUND + text)
