"""The notifier's metrics, each declared once with its meaning (interfaces.md section 8). Labels are bounded: never a case."""

from collections import Counter as Sums
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.ports.ledger import Count
from shared.runtime.metrics import VENDORS_MAX, FewValues

BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_WHAT: Final = ("vendor", "agreement", "objective", "severity")


class Metrics:
    """All of them, in one registry."""

    def __init__(self, registry: CollectorRegistry, vendors_max: int = VENDORS_MAX) -> None:
        self.vendor = FewValues(vendors_max)  # the label of a vendor
        self.deadline_to_verdict = Histogram(
            "slawatch_deadline_to_verdict_seconds",
            "From the instant a breach was to be called (due and grace) to its verdict's record in the log; breaches opened by a timer.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.verdict_to_delivery = Histogram(
            "slawatch_verdict_to_delivery_seconds",
            "From a verdict's record in the log, or the end of what its route had it wait for, to its delivery, by channel.",
            ("channel",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.breaches = Counter(
            "slawatch_breaches_total",
            "Breach statements recorded in the ledger, by type: opened, amended, closed, retracted, reopened, contested, final.",
            (*_WHAT, "type"),
            registry=registry,
        )
        self.warnings = Counter(
            "slawatch_warnings_total",
            "Warnings recorded: warning, at_risk, burning, overdue (a corrective action).",
            (*_WHAT, "type"),
            registry=registry,
        )
        self.notifications = Counter(
            "slawatch_notifications_total",
            "Attempts to deliver, by channel and outcome: sent, retried (failed, comes again), failed (given up), disabled.",
            ("channel", "outcome"),
            registry=registry,
        )
        self.escalations = Counter(
            "slawatch_escalations_total",
            "Messages sent since nobody had acknowledged, by route.",
            ("route",),
            registry=registry,
        )
        self.dropped = Counter(
            "slawatch_verdicts_dropped_total", "Verdicts read that say nothing new, by reason: seen, stale.", ("reason",), registry=registry
        )
        self.quarantined = Counter(
            "slawatch_quarantined_total",
            "Records that went to quarantine, by reason.",
            ("reason",),
            registry=registry,
        )
        self.open = Gauge("slawatch_open_breaches", "Breaches that are open now.", _WHAT, registry=registry)
        self.at_risk = Gauge("slawatch_clocks_at_risk", "Clocks and levels with a warning that still holds.", _WHAT, registry=registry)
        self.credits = Gauge(
            "slawatch_credits_estimated",
            "What breaches recorded this month (UTC) cost by their penalties per breach and hour, in units of the currency: an estimate.",
            ("vendor", "agreement", "currency"),
            registry=registry,
        )
        self.behind = Gauge(
            "slawatch_records_behind", "Records of a partition that were not read yet.", ("topic", "partition"), registry=registry
        )
        self.queued = Gauge("slawatch_deliveries_queued", "Deliveries that wait in memory, by channel.", ("channel",), registry=registry)
        self.channel_up = Gauge("slawatch_channel_enabled", "1 while a channel is on, 0 when off.", ("channel",), registry=registry)
        self.routes_good = Gauge(
            "slawatch_routes_good",
            "1 while the Routing file is as it is used, 0 while it is wrong and the last good one holds.",
            registry=registry,
        )
        self.ledger_up = Gauge("slawatch_ledger_available", "1 while the ledger takes writes.", registry=registry)
        self.transaction = Histogram(
            "slawatch_ledger_transaction_seconds", "One batch of verdicts into the ledger.", buckets=BUCKETS, registry=registry
        )
        for reason in ("seen", "stale"):
            self.dropped.labels(reason)

    def standing(self, open_: list[Count], at_risk: list[Count]) -> None:
        """Set the gauges of what stands in the ledger."""
        for gauge, counts in ((self.open, open_), (self.at_risk, at_risk)):
            sums = Sums[tuple[str, ...]]()
            for count in counts:
                sums[self.vendor(count.vendor), count.agreement, count.objective, count.severity] += count.number
            gauge.clear()
            for labels, number in sums.items():
                gauge.labels(*labels).set(number)
