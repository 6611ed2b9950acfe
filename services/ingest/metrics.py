"""What ingest counts (interfaces.md section 8), each metric declared once. Labels are bounded: see shared.runtime.metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.runtime.metrics import VENDORS_MAX, FewValues

SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
DELAYS_S: Final = (1, 10, 60, 300, 3_600, 86_400)  # 300: timely; 86 400: later evidence corrects after review only
DEPENDENCIES: Final = ("broker", "database")


class Metrics:
    """All metrics of one ingest, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry, vendors_max: int = VENDORS_MAX) -> None:
        self.accepted = Counter("slawatch_events_accepted", "Events the broker has, by vendor.", ["vendor"], registry=registry)
        self.duplicates = Counter(
            "slawatch_events_duplicate", "Events that ingest remembers to have written before, by vendor.", ["vendor"], registry=registry
        )
        self.rejected = Counter(
            "slawatch_events_rejected", "Events not let in, by vendor and reason.", ["vendor", "reason"], registry=registry
        )
        self.delay = Histogram(
            "slawatch_event_delay_seconds",
            "From when an event happened, as its vendor says, to its acceptance.",
            ["vendor"],
            buckets=DELAYS_S,
            registry=registry,
        )
        self.requests = Counter(
            "slawatch_ingest_requests", "Answered posts, by content mode and status.", ["mode", "status"], registry=registry
        )
        self.produced = Histogram(
            "slawatch_produce_seconds",
            "From handing a batch to the broker to its acknowledgement by all in-sync replicas.",
            buckets=SECONDS,
            registry=registry,
        )
        self.produce_failures = Counter(
            "slawatch_produce_failures", "Batches that the broker did not acknowledge in time.", registry=registry
        )
        self.in_flight = Gauge("slawatch_ingest_in_flight_bytes", "Bytes of bodies and events held for the broker.", registry=registry)
        self.in_flight_max = Gauge("slawatch_ingest_in_flight_max_bytes", "The most that ingest holds.", registry=registry)
        self.pulses = Counter("slawatch_pulses", "Pulses written to all partitions, by outcome.", ["outcome"], registry=registry)
        self.ready = Gauge("slawatch_dependency_up", "1 while the dependency answers.", ["dependency"], registry=registry)
        for outcome in ("written", "failed"):
            self.pulses.labels(outcome)
        for dependency in DEPENDENCIES:
            self.ready.labels(dependency)
        self._few = FewValues(vendors_max)
        self._of: dict[str, tuple[Counter, Histogram]] = {}  # by label: looked up for every event

    def count_accepted(self, vendor: str, delay_s: float) -> None:
        """One event of this vendor, written so long after it happened (a future `time` counts as no delay)."""
        label = self._few(vendor)
        of = self._of.get(label)
        if of is None:
            of = self._of[label] = (self.accepted.labels(label), self.delay.labels(label))
        of[0].inc()
        of[1].observe(max(delay_s, 0))

    def count_duplicate(self, vendor: str) -> None:
        """One event of this vendor that stands in the log already."""
        self.duplicates.labels(self._few(vendor)).inc()

    def count_rejected(self, reason: str, vendor: str | None, claimed: str | None = None) -> None:
        """One event not let in. `vendor`: whose key posted it, None for a key of others; `claimed`: the vendor that the event names."""
        label = self._few.known(claimed or "") if vendor is None else self._few(vendor)
        self.rejected.labels(label, reason).inc()
