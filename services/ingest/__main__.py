"""ingest: events in over HTTP, into the log. The composition root."""

import asyncio
import os
import platform

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import api, pulses
from services.ingest.core import Rules
from services.ingest.intake import Intake, Limits
from services.ingest.metrics import Metrics
from services.ingest.pipeline import InFlight, Pipeline
from services.ingest.probes import Probes
from services.ingest.quota import Quotas
from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.topics import RECORD_OVERHEAD_BYTES, ensure, events_topic, verify, verify_count
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.topics import first_partitions
from shared.adapters.system_time import SystemTime
from shared.local import program
from shared.ports.log import LogUnavailable
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, load_pepper
from shared.runtime.metrics import process_registry
from shared.runtime.serving import serve
from shared.runtime.settings import Settings
from shared.sla.instants import SECOND

RETRY_S = 1
_log = structlog.get_logger()


async def prepare(settings: Settings, engine: AsyncEngine, time: TimeSource) -> None:
    """Tables and the events topic, made where they are missing; waits for the database and the broker. Raises WrongTopic."""
    options = connection(settings, settings.kafka)
    topic = events_topic(settings)
    migrated = ensured = False
    counts: dict[str, int] = {}
    while not (migrated and ensured):
        try:
            if not ensured:
                await ensure(options, [topic])
                counts = await verify(options, events=topic.name) if settings.clock == "log" else {}
                ensured = True
            if not migrated:
                await migrate(engine)
                for name, count in counts.items():
                    verify_count(name, count, await first_partitions(engine, name, count))
                migrated = True
        except (LogUnavailable, SQLAlchemyError, OSError) as wrong:
            _log.warning("waiting for the broker and the database", error=str(wrong))
            await time.sleep(RETRY_S)


async def main(settings: Settings) -> None:
    """Serve until SIGTERM. Raises WrongTopic where verdicts would be wrong."""
    time = SystemTime()
    registry = process_registry()
    metrics = Metrics(registry)
    engine = connect(settings.database.get_secret_value())
    store = PostgresCredentials(engine)
    authenticator = Authenticator(store, load_pepper(settings), settings.environment, time)
    record_bytes = settings.max_event_bytes + RECORD_OVERHEAD_BYTES
    try:
        options = connection(settings, settings.kafka)
        async with KafkaWriter(options, timeout=settings.produce_timeout_s, max_record_bytes=record_bytes) as log:
            probes = Probes(log, settings.topic_events, store, authenticator, time, metrics)
            skew_ms = round(settings.max_skew_s * SECOND) if settings.clock == "log" else None
            intake = Intake(
                Pipeline(log, settings.topic_events, time, metrics),
                InFlight(settings.max_in_flight_bytes, metrics),
                Quotas(settings.quota_events_per_s, time),
                Rules(settings.max_event_bytes, skew_ms),
                Limits.of(settings),
                time,
                metrics,
            )

            async def pipeline() -> None:
                await prepare(settings, engine, time)
                _log.info("ready", port=settings.ingest_port, clock=settings.clock)
                async with asyncio.TaskGroup() as group:
                    group.create_task(probes.keep_asking())
                    if settings.clock == "log":
                        name = f"{platform.node()}-{os.getpid()}"
                        group.create_task(pulses.keep_beating(log, settings.topic_events, name, time, metrics))

            app = api.build(intake, authenticator, registry, probes.missing)
            await serve(app, settings.bind, settings.ingest_port, pipeline)
    finally:
        await engine.dispose()


def run() -> None:
    """`slawatch serve ingest`."""
    program.run("ingest", main)


if __name__ == "__main__":
    run()
