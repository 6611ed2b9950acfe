"""Series stay few, whatever names the world sends, and what is shown under a name is that name's alone."""

from prometheus_client import CollectorRegistry, generate_latest

from services.evaluator.metrics import Metrics as OfEvaluator
from services.ingest.metrics import Metrics as OfIngest
from services.notifier.metrics import Metrics as OfNotifier
from shared.ports.ledger import Count
from shared.runtime.metrics import VENDORS_MAX, FewValues
from shared.sla.breaches import Place
from shared.sla.levels import LevelNow

FLOOD = 50_000


def level(vendor: str, objective_name: str = "share", value: float | None = 0.9) -> LevelNow:
    return LevelNow(Place("terms", objective_name, vendor, "desk"), 0.8, value, True, 0.5, {"1h": 2.0})


def shown(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_gauges_show_what_is_and_forget_what_is_no_more() -> None:
    metrics = OfEvaluator()
    metrics.show_levels([level("acme"), level("gone")])
    metrics.show_levels([level("acme"), level("new", value=None)])

    text = shown(metrics.registry)

    what = 'agreement="terms",objective="share",service="desk",vendor="acme"'
    assert f"slawatch_level_value{{{what}}} 0.9" in text
    assert f"slawatch_level_target{{{what}}} 0.8" in text
    assert f"slawatch_level_kept{{{what}}} 1.0" in text
    assert f"slawatch_error_budget_left_ratio{{{what}}} 0.5" in text
    assert f'slawatch_burn_rate{{{what},window="1h"}} 2.0' in text
    assert "gone" not in text
    assert 'slawatch_level_value{agreement="terms",objective="share",service="desk",vendor="new"}' not in text


def test_levels_beyond_the_bound_are_counted_and_never_mixed() -> None:
    metrics = OfEvaluator(vendors_max=2, levels_max=3)
    metrics.show_levels([level(f"vendor-{n}", of) for n in range(3) for of in ("share", "uptime")])

    text = shown(metrics.registry)

    assert text.count("slawatch_level_target{") == 3
    assert "vendor-2" not in text
    assert 'vendor="other"' not in text
    assert "slawatch_levels_hidden 3.0" in text


def series(registry: CollectorRegistry) -> int:
    return sum(not line.startswith("#") for line in shown(registry).splitlines())


def test_a_flood_of_vendor_names_ends_in_one_series() -> None:
    few = FewValues(most=2)
    assert [few(name) for name in ("acme", "swift", "third", "acme", "fourth")] == ["acme", "swift", "other", "acme", "other"]
    assert (few.known("swift"), few.known("fifth")) == ("swift", "other")


def test_ingest_stands_a_flood_of_vendors_and_loses_no_count() -> None:
    registry = CollectorRegistry()
    metrics = OfIngest(registry)
    for n in range(FLOOD):
        metrics.count_accepted(f"vendor-{n}", 0.5)
        metrics.count_duplicate(f"vendor-{n}")
        metrics.count_rejected("conflict", None, f"vendor-{n}")

    text = shown(registry)

    assert series(registry) < 20 * VENDORS_MAX
    assert f'slawatch_events_accepted_total{{vendor="other"}} {float(FLOOD - VENDORS_MAX)}' in text
    assert registry.get_sample_value("slawatch_event_delay_seconds_count", {"vendor": "other"}) == FLOOD - VENDORS_MAX


def test_a_name_that_only_a_refused_event_claims_makes_no_series() -> None:
    registry = CollectorRegistry()
    metrics = OfIngest(registry)
    metrics.count_accepted("acme", 0.5)
    for n in range(100):
        metrics.count_rejected("not-an-event", None, f"invented-{n}")
    metrics.count_rejected("not-an-event", None, "acme")
    metrics.count_rejected("quota", "own-key")

    rejected = {line for line in shown(registry).splitlines() if line.startswith("slawatch_events_rejected_total")}

    assert rejected == {
        'slawatch_events_rejected_total{reason="not-an-event",vendor="other"} 100.0',
        'slawatch_events_rejected_total{reason="not-an-event",vendor="acme"} 1.0',
        'slawatch_events_rejected_total{reason="quota",vendor="own-key"} 1.0',
    }


def test_the_notifier_adds_up_what_it_does_not_tell_apart() -> None:
    registry = CollectorRegistry()
    metrics = OfNotifier(registry, vendors_max=3)
    metrics.standing([Count(f"vendor-{n}", "terms", "clock", "page", 2) for n in range(10)], [])

    what = {"agreement": "terms", "objective": "clock", "severity": "page"}
    assert registry.get_sample_value("slawatch_open_breaches", {"vendor": "vendor-2", **what}) == 2
    assert registry.get_sample_value("slawatch_open_breaches", {"vendor": "other", **what}) == 14
