"""The door's pulse: a record in every partition every few seconds says that events can come in (engine.md, "Blind time")."""

from typing import Final

import structlog

from services.ingest.metrics import Metrics
from shared.ports.log import Entry, LogUnavailable, LogWriter
from shared.ports.time import TimeSource
from shared.wire import controls

EVERY_S: Final = 5
_log = structlog.get_logger()


async def beat(log: LogWriter, topic: str, name: str, reading: int) -> None:
    """One pulse into each partition; `reading`: this machine's clock, ms since 1970. Raises LogUnavailable."""
    pulse = controls.Pulse(name, reading)
    value, headers = controls.encode(pulse), controls.headers_of(pulse)
    await log.append(topic, [Entry(None, value, headers, partition) for partition in range(await log.partitions(topic))])


async def keep_beating(log: LogWriter, topic: str, name: str, time: TimeSource, metrics: Metrics) -> None:
    """Beat until cancelled, whatever the broker does: a pulse that fails is counted, and missing is what it then means."""
    while True:
        began = time.monotonic()
        try:
            await beat(log, topic, name, time.wall())
            metrics.pulses.labels("written").inc()
        except LogUnavailable as wrong:
            metrics.pulses.labels("failed").inc()
            _log.warning("pulse failed", error=str(wrong))
        await time.sleep(max(0.1, EVERY_S - (time.monotonic() - began)))
