"""The evaluator's metrics, each declared once (interfaces.md section 8)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.folded = Counter("slawatch_events_folded_total", "Records of the events topic that were folded", registry=registry)
        self.duplicates = Counter("slawatch_events_duplicate_total", "Events that stood in the log already", registry=registry)
        self.quarantined = Counter("slawatch_events_quarantined_total", "Records that could not be used", ["reason"], registry=registry)
        self.statements = Counter("slawatch_statements_total", "Verdicts emitted", ["type", "agreement", "objective"], registry=registry)
        self.ticks = Counter("slawatch_ticks_total", "Tick records appended", registry=registry)
        self.emit_failures = Counter(
            "slawatch_emit_failures_total", "Attempts to emit verdicts that the broker did not take", registry=registry
        )
        self.emit_dropped = Counter(
            "slawatch_emit_dropped_total", "Verdicts and quarantined records that the broker refuses for their size", registry=registry
        )
        self.open_clocks = Gauge("slawatch_clocks", "Clocks by state", ["agreement", "objective", "state"], registry=registry)
        self.partitions = Gauge("slawatch_partitions_owned", "Partitions this evaluator owns", registry=registry)
        self.restoring = Gauge("slawatch_partitions_restoring", "Partitions that are being restored", registry=registry)
        self.behind = Gauge("slawatch_records_behind", "Records between the end of the log and the fold", registry=registry)
        self.log_time = Gauge("slawatch_log_time_seconds", "The largest arrival folded, Unix time", registry=registry)
        self.pulse_age = Gauge(
            "slawatch_pulse_age_seconds", "Since ingest's last pulse, in the partition that waits longest (15: blind)", registry=registry
        )
        self.held = Gauge("slawatch_timers_held", "Deadlines that wait because our own door is shut", registry=registry)
        self.recovery = Histogram(
            "slawatch_recovery_duration_seconds",
            "From assignment to the end of the log",
            buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
            registry=registry,
        )
        self.fold_seconds = Histogram(
            "slawatch_fold_duration_seconds",
            "Folding one slice of records",
            buckets=(0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=registry,
        )
