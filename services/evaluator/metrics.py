"""The evaluator's metrics, each declared once (interfaces.md section 8). Labels are bounded: see shared.runtime.metrics."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.runtime.metrics import VENDORS_MAX, FewValues
from shared.sla.levels import LevelNow

_WHAT: Final = ("agreement", "objective", "vendor", "service")
LEVELS_MAX: Final = 10_000  # (objective, vendor, service) whose levels are shown


class Metrics:
    def __init__(self, registry: CollectorRegistry | None = None, *, vendors_max: int = VENDORS_MAX, levels_max: int = LEVELS_MAX) -> None:
        self.registry = registry = CollectorRegistry() if registry is None else registry
        self._vendor, self._levels_max = FewValues(vendors_max), levels_max
        self.folded = Counter("slawatch_events_folded_total", "Records of the events topic that were folded", registry=registry)
        self.duplicates = Counter("slawatch_events_duplicate_total", "Events that stood in the log already", registry=registry)
        self.unknown = Counter(
            "slawatch_conditions_unknown_total",
            "Events of which a condition of an objective could not tell: a field is missing, null or of another kind",
            ["agreement", "objective"],
            registry=registry,
        )
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
        self.log_time_lag = Gauge(
            "slawatch_log_time_lag_seconds",
            "From the last record folded to now, in the partition that lags most (pulses keep an idle one near 5)",
            registry=registry,
        )
        self.pulse_age = Gauge(
            "slawatch_pulse_age_seconds", "Since ingest's last pulse, in the partition that waits longest (15: blind)", registry=registry
        )
        self.held = Gauge("slawatch_timers_held", "Deadlines that wait because our own door is shut", registry=registry)
        self.leap_held = Gauge(
            "slawatch_broker_time_leap_held_seconds",
            "By how far broker time has leapt ahead and is not believed; 0: it is",
            registry=registry,
        )
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
        self._declare_checkpoints(registry)
        self._declare_levels(registry)

    def _declare_checkpoints(self, registry: CollectorRegistry) -> None:
        self.checkpoint_age = Gauge(
            "slawatch_checkpoint_age_seconds",
            "Since the last checkpoint of the partition that waits longest; 0: all is written",
            registry=registry,
        )
        self.checkpoint_seconds = Histogram(
            "slawatch_checkpoint_duration_seconds",
            "Packing and writing one checkpoint",
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30),
            registry=registry,
        )
        self.checkpoint_failures = Counter(
            "slawatch_checkpoint_failures_total",
            "Checkpoints not written: away (PostgreSQL), stale (another evaluator took over), fork (no process to write it)",
            ["reason"],
            registry=registry,
        )
        for reason in ("away", "stale", "fork"):
            self.checkpoint_failures.labels(reason)

    def _declare_levels(self, registry: CollectorRegistry) -> None:
        self.level_value = Gauge("slawatch_level_value", "A level in its current window, as it stands", _WHAT, registry=registry)
        self.level_target = Gauge("slawatch_level_target", "What the level is promised to be", _WHAT, registry=registry)
        self.level_kept = Gauge(
            "slawatch_level_kept", "1: as it stands the level keeps its promise; 0: it does not", _WHAT, registry=registry
        )
        self.budget_left = Gauge(
            "slawatch_error_budget_left_ratio", "Share of the error budget that is left; below 0: overdrawn", _WHAT, registry=registry
        )
        self.burn_rate = Gauge(
            "slawatch_burn_rate", "How many times too fast the error budget burns, over this window", [*_WHAT, "window"], registry=registry
        )
        self.levels_hidden = Gauge(
            "slawatch_levels_hidden", "Levels that are not shown here, as there are too many, or too many vendors", registry=registry
        )

    def show_levels(self, levels: Iterable[LevelNow]) -> None:
        """Set the gauges of all levels that this evaluator keeps; those not among them any more go."""
        gauges = (self.level_value, self.level_target, self.level_kept, self.budget_left, self.burn_rate)
        for gauge in gauges:
            gauge.clear()
        shown = hidden = 0
        for level in levels:
            place = level.place
            if shown >= self._levels_max or self._vendor(place.vendor) != place.vendor:
                hidden += 1  # of many vendors under one label, the value of none would be right
                continue
            shown += 1
            what = (place.agreement, place.objective, place.vendor, place.service)
            self.level_target.labels(*what).set(level.target)
            if level.value is not None:
                self.level_value.labels(*what).set(level.value)
                self.level_kept.labels(*what).set(level.is_kept)
            if level.budget_left is not None:
                self.budget_left.labels(*what).set(level.budget_left)
            for window, rate in level.burn_rates.items():
                self.burn_rate.labels(*what, window).set(rate)
        self.levels_hidden.set(hidden)
