"""What ingest counts (interfaces.md section 8)."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MOST_VENDORS: Final = 1_000  # label values; what comes later is counted as `other`


class Metrics:
    """All metrics of one ingest, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter("slawatch_events_accepted", "events the broker has, by vendor", ["vendor"], registry=registry)
        self.duplicates = Counter("slawatch_events_duplicate", "events that ingest remembered to have written before", registry=registry)
        self.rejected = Counter("slawatch_events_rejected", "events not let in, by reason", ["reason"], registry=registry)
        self.requests = Counter(
            "slawatch_ingest_requests", "answered posts, by content mode and status", ["mode", "status"], registry=registry
        )
        self.produced = Histogram(
            "slawatch_produce_seconds",
            "from handing a batch to the broker to its acknowledgement by all in-sync replicas",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=registry,
        )
        self.produce_failures = Counter(
            "slawatch_produce_failures", "batches that the broker did not acknowledge in time", registry=registry
        )
        self.in_flight = Gauge("slawatch_ingest_in_flight_bytes", "bytes of bodies and events held for the broker", registry=registry)
        self.in_flight_max = Gauge("slawatch_ingest_in_flight_max_bytes", "the most that ingest holds", registry=registry)
        self.pulses = Counter("slawatch_pulses", "pulses written to all partitions, by outcome", ["outcome"], registry=registry)
        self.ready = Gauge("slawatch_dependency_up", "1 while the dependency answers", ["dependency"], registry=registry)
        self._vendors: set[str] = set()

    def count_accepted(self, vendor: str) -> None:
        """One event of this vendor. The label stays bounded, whatever names a customer's key posts for."""
        if vendor not in self._vendors:
            if len(self._vendors) >= MOST_VENDORS:
                vendor = "other"
            else:
                self._vendors.add(vendor)
        self.accepted.labels(vendor).inc()
