"""notifier: verdicts in from the log; ledger, messages, API and console out. The composition root."""

import platform
import random
import sys

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier import api
from services.notifier.actions import Actions
from services.notifier.channels.setup import channels_of
from services.notifier.console import pages
from services.notifier.console.sessions import Sessions
from services.notifier.dispatch import Dispatcher
from services.notifier.live import Hub
from services.notifier.metrics import Metrics
from services.notifier.pipeline import Pipeline, publish_delivery
from shared.adapters.kafka.connection import connection
from shared.adapters.kafka.reader import KafkaGroupReader
from shared.adapters.kafka.topics import OTHERS, Topic, ensure
from shared.adapters.kafka.writer import KafkaWriter
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.ledger import PostgresLedger
from shared.adapters.system_time import SystemTime
from shared.local.program import run as run_program
from shared.ports.log import GroupReader, LogUnavailable, RebalanceHandler
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, load_pepper
from shared.runtime.serving import serve
from shared.runtime.settings import BadSettings, Settings

RETRY_S = 1
WRITE_TIMEOUT_S = 10
POOL = 10  # connections to PostgreSQL: the pipeline, the channels, pages and API


async def prepare(settings: Settings, engine: AsyncEngine, time: TimeSource) -> None:
    """Tables and topics, made where they are missing; waits for the database and the broker."""
    names = (settings.topic_breaches, settings.topic_quarantine)
    while True:
        try:
            await migrate(engine)
            topics = [Topic(name, settings.partitions, settings.replication, OTHERS) for name in names]
            await ensure(connection(settings, settings.kafka), topics)
        except (LogUnavailable, SQLAlchemyError, OSError) as wrong:
            structlog.get_logger().warning("waiting for the broker and the database", error=str(wrong))
            await time.sleep(RETRY_S)
        else:
            return


async def main(settings: Settings) -> None:
    """Serve until SIGTERM."""
    time, hub, registry = SystemTime(), Hub(), CollectorRegistry()
    for collector in (GCCollector, PlatformCollector, ProcessCollector):
        collector(registry=registry)
    metrics = Metrics(registry)
    try:
        channels = channels_of(settings, time)
    except BadSettings as wrong:
        sys.exit(str(wrong))
    engine = connect(settings.database.get_secret_value(), pool=POOL)
    options = connection(settings, settings.kafka)
    ledger = PostgresLedger(engine)
    pepper = load_pepper(settings)
    authenticator = Authenticator(PostgresCredentials(engine), pepper, settings.environment, time)
    dispatcher = Dispatcher(
        channels,
        ledger,
        time,
        metrics,
        public_url=settings.public_url.rstrip("/") or f"http://{settings.bind}:{settings.notifier_port}",
        jitter=random.random,
        on_delivery=lambda *about: publish_delivery(hub, *about),
    )

    def make_reader(on_assigned: RebalanceHandler, on_revoked: RebalanceHandler) -> GroupReader:
        group = f"{settings.group}-notifier"
        return KafkaGroupReader(
            options,
            [settings.topic_breaches],
            group,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
            instance=f"{group}-{platform.node()}-{settings.notifier_port}",
        )

    try:
        async with KafkaWriter(options, timeout=WRITE_TIMEOUT_S) as writer:
            pipeline = Pipeline(make_reader, writer, ledger, dispatcher, hub, metrics, time, quarantine=settings.topic_quarantine)
            actions = Actions(ledger, hub, time)
            console = pages.Console(ledger, actions, authenticator, Sessions(pepper), time, environment=settings.environment)

            async def work() -> None:
                await prepare(settings, engine, time)
                structlog.get_logger().info("ready", port=settings.notifier_port, channels=dispatcher.names)
                await pipeline.run()

            app = api.build(ledger, ledger, actions, hub, authenticator, registry, lambda: pipeline.missing, dispatcher.states)
            pages.install(app, console, hub)
            await serve(app, settings.bind, settings.notifier_port, work, hub.close)
    finally:
        await engine.dispose()


def run() -> None:
    """`slawatch serve notifier`."""
    run_program("notifier", main)


if __name__ == "__main__":
    run()
