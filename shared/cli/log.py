"""`slawatch export`, `advance` and `repartition`: the log as NDJSON, its time in event-time mode, and more partitions for it."""

import sys
from functools import partial
from typing import Annotated

import typer

from shared.adapters.kafka.connection import connection, librdkafka
from shared.adapters.kafka.copying import NotCopied, copy_log
from shared.adapters.kafka.reader import KafkaScanner
from shared.adapters.kafka.topics import events_topic
from shared.adapters.kafka.writer import KafkaWriter
from shared.cli.console import err, fail, run, settings_of_stack
from shared.ports.log import Entry, Record
from shared.sla.instants import BadInstant, parse_instant
from shared.wire import controls
from shared.wire.history import Exporter
from shared.wire.topics import CONTROL_HEADER, partition_of


def export(
    vendor: Annotated[str | None, typer.Option(help="only this vendor's events (and the control records of its partition)")] = None,
    since: Annotated[str | None, typer.Option("--from", help="only records that arrived then or later, RFC 3339")] = None,
) -> None:
    """Write the log to stdout as NDJSON, each line with its arrival; replayed, it gives every statement again.

    Example: slawatch export --vendor acme > acme.ndjson
    """
    settings = settings_of_stack()
    try:
        first = None if since is None else parse_instant(since)
    except BadInstant as wrong:
        fail(str(wrong), 2)

    def write(exporter: Exporter, records: list[Record]) -> None:
        for record in records:
            control = record.header(CONTROL_HEADER)
            line = exporter.line((record.timestamp, record.partition, record.offset), control, record.value)
            wanted = vendor is None or control is not None or record.key == vendor.encode()
            if wanted and (first is None or record.timestamp >= first):
                sys.stdout.buffer.write(line + b"\n")

    async def work() -> None:
        scanner = KafkaScanner(connection(settings, settings.kafka))
        bounds = await scanner.bounds(settings.topic_events)
        mine = set(bounds) if vendor is None else {partition_of(vendor.encode(), len(bounds))}
        for number in sorted(mine):
            await scanner.scan(settings.topic_events, number, *bounds[number], partial(write, Exporter(settings.clock)))
        sys.stdout.buffer.flush()

    run(work)


def advance(
    to: Annotated[str, typer.Option(help="RFC 3339 instant")],
    vendor: Annotated[str | None, typer.Option(help="only this vendor's log time")] = None,
) -> None:
    """Event-time mode: move log time, so that what is due by then is called.

    Example: SLAWATCH_CLOCK=event slawatch advance --to 2026-04-01T00:00:00Z
    """
    settings = settings_of_stack()
    if settings.clock != "event":
        fail("log time is the broker's unless SLAWATCH_CLOCK=event: set it, as for the running services")
    try:
        record = controls.Advance(to=parse_instant(to), vendor=vendor)
    except BadInstant as wrong:
        fail(str(wrong), 2)

    async def work() -> int:
        async with KafkaWriter(connection(settings, settings.kafka), timeout=30) as writer:
            count = await writer.partitions(settings.topic_events)
            mine = range(count) if vendor is None else [partition_of(vendor.encode(), count)]
            value, headers = controls.encode(record), controls.headers_of(record)
            await writer.append(settings.topic_events, [Entry(None, value, headers, partition=number) for number in mine])
            return len(mine)

    err.print(f"log time moves to {to} in {run(work)} partitions")


def repartition(
    partitions: Annotated[int, typer.Option(min=1, help="of the new topic: a multiple of the present number")],
    into: Annotated[str, typer.Option(help="name of the new topic, which does not exist yet")],
    had: Annotated[int | None, typer.Option(min=1, help="how many the present topic had at first, if it was given more since")] = None,
) -> None:
    """Copy the events topic, with all arrivals, into a new one of more partitions. Stop all services first.

    Example: slawatch repartition --partitions 128 --into slawatch.events.2
    """
    settings = settings_of_stack()
    target = events_topic(settings)._replace(name=into, partitions=partitions)

    async def work() -> int:
        options, fast = connection(settings, settings.kafka), librdkafka(settings, settings.kafka)
        try:
            return await copy_log(options, fast, settings.topic_events, target, had)
        except NotCopied as wrong:
            fail(str(wrong))

    err.print(
        f"{run(work)} records stand in {into}: start the services with SLAWATCH_TOPIC_EVENTS={into} and new names for "
        "SLAWATCH_TOPIC_BREACHES and SLAWATCH_TOPIC_QUARANTINE (docs/guide/operator.md, 'More partitions')"
    )
