"""evaluator: the log's events against the agreements' rules, verdicts out. The composition root."""

import asyncio
import gc
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import shared.sla
from services.evaluator import api
from services.evaluator.core import Partition, WouldFoldDifferently
from services.evaluator.counting import keep_counting
from services.evaluator.keeper import Keeper, fingerprint_of
from services.evaluator.metrics import Metrics
from services.evaluator.pipeline import Pipeline, Topics
from services.evaluator.showing import keep_showing
from shared.adapters.forked import ForkedSnapshots
from shared.adapters.kafka.administration import hand_over
from shared.adapters.kafka.connection import connection, librdkafka
from shared.adapters.kafka.fast_reader import FastGroupReader, owners
from shared.adapters.kafka.fast_writer import FastWriter
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.topics import OTHERS, Topic, ensure, events_topic, verify, verify_count
from shared.adapters.postgres.checkpoints import PostgresCheckpoints, log_name
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.postgres.topics import first_partitions
from shared.adapters.system_time import SystemTime
from shared.language import LanguageError, bundles, load_or_raise
from shared.local.program import run as run_program
from shared.ports.log import GroupReader, LogUnavailable, LogWriter
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, load_pepper
from shared.runtime.metrics import process_registry
from shared.runtime.serving import serve
from shared.runtime.settings import Settings
from shared.sla.instants import SECOND
from shared.sla.swift import is_built
from shared.sla.terms import Bundle

WRITE_TIMEOUT_S = 10
RETRY_S = 1


def standing_agreements(settings: Settings) -> list[tuple[str, Bundle]]:
    """(activation id, agreement) of the files that hold from the log's beginning. Raises what the loader raises."""
    if not settings.agreements:
        return []
    found = bundles(load_or_raise([Path(name) for name in settings.agreements]))
    return [(f"standing/{sha256(msgspec.json.encode(bundle)).hexdigest()}", bundle) for bundle in found]


def layout() -> str:
    """Names the code that a state is written by."""
    home = Path(shared.sla.__file__).parent
    sources = sorted([*home.glob("*.py"), *home.glob("native/src/*.rs")])
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


async def prepare(settings: Settings, engine: AsyncEngine, writer: LogWriter, time: TimeSource) -> None:
    """Topics and tables, made where they are missing; waits for the broker and the database. Raises WrongTopic."""
    options, events, breaches = connection(settings, settings.kafka), settings.topic_events, settings.topic_breaches
    while True:
        try:
            await ensure(options, [events_topic(settings)])
            count = await writer.partitions(events)
            names = (breaches, settings.topic_quarantine)
            await ensure(options, [Topic(name, count, settings.replication, OTHERS) for name in names])
            await migrate(engine)
            if settings.clock == "log":
                await verify(options, events=events, breaches=breaches)
                verify_count(events, count, await first_partitions(engine, events, count))
            return
        except (LogUnavailable, SQLAlchemyError, OSError) as wrong:
            structlog.get_logger().warning("waiting for the broker and the database", detail=str(wrong))
            await time.sleep(RETRY_S)


def address_of(settings: Settings) -> str:
    """Where this evaluator's API is reached from outside."""
    everywhere = settings.bind in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return settings.evaluator_url or f"http://{socket.gethostname() if everywhere else settings.bind}:{settings.evaluator_port}"


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
    log = structlog.get_logger()
    log.info("starting", swift_path=is_built())
    time, metrics = SystemTime(), Metrics(process_registry())
    engine = connect(settings.database.get_secret_value(), pool=4)
    options, fast = connection(settings, settings.kafka), librdkafka(settings, settings.kafka)
    authenticator = Authenticator(PostgresCredentials(engine), load_pepper(settings), settings.environment, time)
    try:
        async with FastWriter(fast, timeout=WRITE_TIMEOUT_S) as writer:
            clock, max_skew, standing = settings.clock, round(settings.max_skew_s * SECOND), standing_agreements(settings)
            group = f"{settings.group}-evaluator"
            keeper = Keeper(
                PostgresCheckpoints(engine, log_name(settings.topic_events, settings.group)),
                ForkedSnapshots(),
                time,
                metrics,
                fingerprint=fingerprint_of(clock, max_skew, standing),
                layout=layout(),
            )
            pipeline = Pipeline(
                topics=Topics(settings.topic_events, settings.topic_breaches, settings.topic_quarantine),
                clock=clock,
                max_skew=max_skew,
                bundles=standing,
                writer=writer,
                scanner=KafkaScanner(options),
                time=time,
                metrics=metrics,
                keeper=keeper,
            )
            # named after the topic, too: who comes back under its old name is given its old partitions, whatever it asks for
            member = f"{group}-{settings.topic_events}-{socket.gethostname()}-{settings.evaluator_port}"
            reader = FastGroupReader(
                fast,
                settings.topic_events,
                group,
                on_assigned=pipeline.on_assigned,
                on_revoked=pipeline.on_revoked,
                instance=member,
                address=address_of(settings),
                hand_over=partial(hand_over, options, group),
            )
            pipeline.reader = reader

            async def show(keep: Callable[[Callable[[], dict[int, Partition]], Metrics, TimeSource], Awaitable[None]]) -> None:
                try:
                    await keep(pipeline.partitions, metrics, time)
                except Exception:  # noqa: BLE001 - gauges only: detection goes on
                    structlog.get_logger().exception("gauges are no longer set", by=keep.__name__)

            async def work() -> None:
                await prepare(settings, engine, writer, time)
                log.info("topics and tables are there")
                await join(reader, time)
                showing = [asyncio.ensure_future(show(keep)) for keep in (keep_showing, keep_counting)]
                try:
                    await pipeline.run()
                finally:
                    for task in showing:
                        task.cancel()
                    await pipeline.stop()
                    await reader.stop()

            async def owned_by() -> dict[int, str]:
                return {number: address for (_, number), address in (await owners(fast, group)).items()}

            shares = api.Shares(pipeline.partitions, lambda: None if settings.clock == "event" else pipeline.count, owned_by)
            app = api.build(shares, authenticator, metrics.registry, pipeline.readiness)
            await serve(app, settings.bind, settings.evaluator_port, work)
    finally:
        await engine.dispose()


def run() -> None:
    """`slawatch serve evaluator`."""
    gc.disable()  # the pipeline collects what is young, once a second
    try:
        run_program("evaluator", main)
    except WouldFoldDifferently as wrong:
        sys.exit(str(wrong))
    except LanguageError as wrong:
        sys.exit(f"SLAWATCH_AGREEMENTS: {wrong}")


if __name__ == "__main__":
    run()
