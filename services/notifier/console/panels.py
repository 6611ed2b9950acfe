"""The key panels for where there is no Grafana: figures of the three services, read from what they expose to Prometheus."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import httpx2
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from shared.ports.time import TimeSource

EVERY_S: Final = 10.0
KEPT: Final = 180  # samples: half an hour
BYTES_MAX: Final = 4_000_000
TIMEOUT_S: Final = 3.0
Kind = Literal["gauge", "most", "rate", "p99"]
Raw = dict[float, float] | float  # counts by upper bound, or a number
Fetch = Callable[[str], Awaitable[str]]


class Panel(NamedTuple):
    """One figure. `service`: ingest, evaluator or notifier; `labels` that a sample must (or, with `!`, must not) have;
    gauge: the sum, most: the largest, rate: a second, p99: of a histogram's last minute, in seconds."""

    key: str
    service: str
    metric: str
    kind: Kind
    unit: str = ""
    labels: Mapping[str, str] = {}


PANELS: Final = (
    Panel("open", "notifier", "slawatch_open_breaches", "gauge"),
    Panel("at_risk", "notifier", "slawatch_clocks_at_risk", "gauge"),
    Panel("clocks", "evaluator", "slawatch_clocks", "gauge", labels={"state": "running"}),
    Panel("verdict", "notifier", "slawatch_deadline_to_verdict_seconds", "p99", "s"),
    Panel("delivery", "notifier", "slawatch_verdict_to_delivery_seconds", "p99", "s"),
    Panel("accepted", "ingest", "slawatch_events_accepted_total", "rate"),
    Panel("rejected", "ingest", "slawatch_events_rejected_total", "rate"),
    Panel("folded", "evaluator", "slawatch_events_folded_total", "rate"),
    Panel("lag", "evaluator", "slawatch_log_time_lag_seconds", "most", "s"),
    Panel("behind", "evaluator", "slawatch_records_behind", "gauge"),
    Panel("pulse", "evaluator", "slawatch_pulse_age_seconds", "most", "s"),
    Panel("checkpoint", "evaluator", "slawatch_checkpoint_age_seconds", "most", "s"),
    Panel("quarantined", "evaluator", "slawatch_events_quarantined_total", "rate"),
    Panel("notifications", "notifier", "slawatch_notifications_total", "rate", labels={"outcome": "sent"}),
    Panel("failures", "notifier", "slawatch_notifications_total", "rate", labels={"outcome": "!sent"}),
    Panel("memory", "notifier", "process_resident_memory_bytes", "gauge", "B"),
)


class Figure(NamedTuple):
    """What a panel shows: `now` is None before there is anything to show."""

    panel: Panel
    now: float | None
    values: Sequence[float]


class Sample(NamedTuple):
    """A metric's value with its labels, as exposed."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples_of(families: Iterable[Metric], wanted: frozenset[str]) -> list[Sample]:
    """The samples of the metrics wanted; of histograms the buckets."""
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name in wanted or (sample.name.endswith("_bucket") and sample.name.removesuffix("_bucket") in wanted)
    ]


def _parsed(text: str, wanted: frozenset[str]) -> list[Sample]:
    """The samples in the text format; a thread's work, as it may be megabytes. Raises ValueError."""
    return samples_of(text_string_to_metric_families(text), wanted)


def raw_of(panel: Panel, samples: Iterable[Sample]) -> Raw | None:
    """A panel's total before rates are taken: a number, or counts by upper bound; None where nothing is exposed."""
    name = panel.metric + "_bucket" if panel.kind == "p99" else panel.metric
    found = [sample for sample in samples if sample.name == name and _fits(panel, sample.labels)]
    if not found:
        return None
    if panel.kind == "p99":
        counts: dict[float, float] = {}
        for sample in found:
            bound = float(sample.labels["le"])
            counts[bound] = counts.get(bound, 0.0) + sample.value
        return counts
    values = [sample.value for sample in found]
    return max(values) if panel.kind == "most" else sum(values)


def _fits(panel: Panel, labels: Mapping[str, str]) -> bool:
    pairs = ((labels.get(name), value) for name, value in panel.labels.items())
    return all(have != value[1:] if value.startswith("!") else have == value for have, value in pairs)


def quantile(counts: Mapping[float, float], share: float) -> float | None:
    """The quantile of cumulative counts by upper bound, as Prometheus reckons it; None without any observation."""
    bounds = sorted(counts)
    total = counts[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    below, before = 0.0, 0.0
    for bound in bounds:
        if counts[bound] >= share * total:
            if math.isinf(bound):
                return below
            return below + (bound - below) * (share * total - before) / max(counts[bound] - before, 1e-9)
        below, before = bound, counts[bound]
    return below


class Panels:
    """Reads the figures again and again. `sources`: service to address of its metrics; the notifier's own are read in the process."""

    def __init__(
        self, registry: CollectorRegistry, sources: Mapping[str, str], time: TimeSource, panels: Sequence[Panel] = PANELS, kept: int = KEPT
    ) -> None:
        self._registry, self._sources, self._time, self._panels = registry, sources, time, panels
        self._raws: dict[str, deque[tuple[float, Raw]]] = {panel.key: deque(maxlen=8) for panel in panels}
        self._values: dict[str, deque[float]] = {panel.key: deque(maxlen=kept) for panel in panels}
        self.states: dict[str, str] = {}  # service: why it does not answer; empty: it does

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client:
            while True:
                await self.read(lambda url: _fetch(client, url))
                await self._time.sleep(EVERY_S)

    async def read(self, fetch: Fetch) -> None:
        """Once from all services."""
        wanted = frozenset(panel.metric for panel in self._panels)
        found = {"notifier": samples_of(self._registry.collect(), wanted)}
        for service, url in self._sources.items():
            try:
                text = await fetch(url)
                found[service] = await asyncio.to_thread(_parsed, text, wanted)
                self.states[service] = ""
            except (httpx2.HTTPError, ValueError) as wrong:
                self.states[service] = str(wrong) or type(wrong).__name__
        now = self._time.monotonic()
        for panel in self._panels:
            raw = raw_of(panel, found.get(panel.service, ()))
            if raw is not None:
                self._take(panel, now, raw)

    def _take(self, panel: Panel, now: float, raw: Raw) -> None:
        raws = self._raws[panel.key]
        first = raws[0] if raws else None
        raws.append((now, raw))
        value: float | None
        if isinstance(raw, dict):
            before = first[1] if first is not None and isinstance(first[1], dict) else {}
            value = quantile({bound: max(0.0, count - before.get(bound, 0.0)) for bound, count in raw.items()}, 0.99)
        elif panel.kind == "rate":
            last = raws[-2] if len(raws) > 1 else None
            value = None if last is None or isinstance(last[1], dict) else max(0.0, raw - last[1]) / max(now - last[0], 1e-9)
        else:
            value = raw
        if value is not None and math.isfinite(value):
            self._values[panel.key].append(value)

    def figures(self) -> list[Figure]:
        """Every panel, in order."""
        return [Figure(panel, values[-1] if (values := self._values[panel.key]) else None, tuple(values)) for panel in self._panels]


async def _fetch(client: httpx2.AsyncClient, url: str) -> str:
    """The text at the address, bounded. Raises httpx2.HTTPError."""
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        text = bytearray()
        async for chunk in answer.aiter_bytes():
            text += chunk
            if len(text) > BYTES_MAX:
                raise httpx2.DecodingError("more than is read")
    return text.decode("utf-8", "replace")
