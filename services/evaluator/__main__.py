"""evaluator: the log's events against the agreements' rules, verdicts out. The composition root."""

import socket
import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog

from services.evaluator import api
from services.evaluator.core import WouldFoldDifferently
from services.evaluator.metrics import Metrics
from services.evaluator.pipeline import Pipeline, Topics
from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.reader import KafkaGroupReader, KafkaScanner
from shared.adapters.kafka.topics import EVENTS, OTHERS, Topic, ensure, verify_events_topic
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect
from shared.adapters.system_time import SystemTime
from shared.language import bundles, load_or_raise
from shared.local.program import run as run_program
from shared.ports.log import GroupReader, LogUnavailable
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, load_pepper
from shared.runtime.serving import serve
from shared.runtime.settings import Settings
from shared.sla.instants import SECOND
from shared.sla.terms import Bundle

WRITE_TIMEOUT_S = 10
RETRY_S = 1


def standing_agreements(settings: Settings) -> list[tuple[str, Bundle]]:
    """(activation id, agreement) of the files that hold from the log's beginning. Raises what the loader raises."""
    if not settings.agreements:
        return []
    found = bundles(load_or_raise([Path(name) for name in settings.agreements]))
    return [(f"standing/{sha256(msgspec.json.encode(bundle)).hexdigest()}", bundle) for bundle in found]


async def prepare(settings: Settings, writer: KafkaWriter, time: TimeSource) -> None:
    """The topics, made where they are missing; waits for the broker. Raises WrongTopic."""
    options = connection(settings, settings.kafka)
    while True:
        try:
            await ensure(options, [Topic(settings.topic_events, settings.partitions, settings.replication, EVENTS)])
            count = await writer.partitions(settings.topic_events)
            names = (settings.topic_breaches, settings.topic_quarantine)
            await ensure(options, [Topic(name, count, settings.replication, OTHERS) for name in names])
            if settings.clock == "log":
                await verify_events_topic(options, settings.topic_events)
            return
        except LogUnavailable as wrong:
            structlog.get_logger().warning("waiting for the broker", detail=str(wrong))
            await time.sleep(RETRY_S)


async def join(reader: GroupReader, time: TimeSource) -> None:
    """Join the group; waits for the broker."""
    while True:
        try:
            return await reader.start()
        except LogUnavailable as wrong:
            structlog.get_logger().warning("waiting for the broker", detail=str(wrong))
            await time.sleep(RETRY_S)


async def main(settings: Settings) -> None:
    """Serve until SIGTERM."""
    time, metrics = SystemTime(), Metrics()
    engine = connect(settings.database.get_secret_value(), pool=2)
    options = connection(settings, settings.kafka)
    authenticator = Authenticator(PostgresCredentials(engine), load_pepper(settings), settings.environment, time)
    try:
        async with KafkaWriter(options, timeout=WRITE_TIMEOUT_S) as writer:
            pipeline = Pipeline(
                topics=Topics(settings.topic_events, settings.topic_breaches, settings.topic_quarantine),
                clock=settings.clock,
                max_skew=round(settings.max_skew_s * SECOND),
                bundles=standing_agreements(settings),
                writer=writer,
                scanner=KafkaScanner(options),
                time=time,
                metrics=metrics,
            )
            group = f"{settings.group}-evaluator"
            reader = KafkaGroupReader(
                options,
                [settings.topic_events],
                group,
                on_assigned=pipeline.on_assigned,
                on_revoked=pipeline.on_revoked,
                instance=f"{group}-{socket.gethostname()}-{settings.evaluator_port}",
            )
            pipeline.reader = reader

            async def work() -> None:
                await prepare(settings, writer, time)
                await join(reader, time)
                try:
                    await pipeline.run()
                finally:
                    await reader.stop()

            app = api.build(pipeline.partitions, authenticator, metrics.registry, pipeline.readiness)
            await serve(app, settings.bind, settings.evaluator_port, work)
    finally:
        await engine.dispose()


def run() -> None:
    """`slawatch serve evaluator`."""
    try:
        run_program("evaluator", main)
    except WouldFoldDifferently as wrong:
        sys.exit(str(wrong))


if __name__ == "__main__":
    run()
