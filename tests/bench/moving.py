"""Records from and to Kafka through the evaluator's adapters, beside plain clients in the same run: µs a record.

`loop` is CPU of the event loop's thread, `process` that of all threads, librdkafka's included.
"""

import asyncio
import gc
import json
import os
import time
from array import array
from collections.abc import Awaitable, Callable

from rich.console import Console

from services.evaluator.outbox import APPEND_RECORDS
from services.evaluator.pipeline import FETCH_RECORDS
from shared.adapters.kafka.connection import librdkafka
from shared.adapters.kafka.fast_reader import FastGroupReader
from shared.adapters.kafka.fast_writer import FastWriter
from shared.adapters.kafka.topics import EVENTS, OTHERS, Topic, ensure
from shared.ports.log import Entry, Run
from shared.runtime.settings import Settings
from tests.bench import job, rig
from tests.bench.rig import Place

READ_BYTES = 340
WRITE_BYTES = 600
PARTITIONS = 8


async def _timed(work: Callable[[], Awaitable[int]]) -> str:
    wall, process, loop = time.perf_counter(), time.process_time(), time.thread_time()
    count = await work()
    spent = (time.perf_counter() - wall, time.process_time() - process, time.thread_time() - loop)
    return ", ".join(f"{name} {seconds / count * 1e6:.2f}" for name, seconds in zip(("wall", "process", "loop"), spent, strict=True))


async def _read(reader: FastGroupReader, count: int) -> str:
    """From the first batch on."""
    await reader.start()
    while not (read := sum(map(len, await reader.fetch(1, FETCH_RECORDS)))):
        pass

    async def rest() -> int:
        found = read
        while found < count:
            found += sum(map(len, await reader.fetch(1, FETCH_RECORDS)))
        return found - read

    said = await _timed(rest)
    await reader.stop()
    return said


async def _append(writer: FastWriter, topic: str, value: bytes, count: int) -> str:
    async def all_of_it() -> int:
        each = APPEND_RECORDS // PARTITIONS
        for _ in range(count // APPEND_RECORDS):
            runs = [Run([b"acme"] * each, array("I", [len(value)]) * each, value * each, n) for n in range(PARTITIONS)]
            await writer.append_all(topic, runs)
        return count // APPEND_RECORDS * APPEND_RECORDS

    async with writer:
        await writer.append_all(topic, [[Entry(b"acme", value)]])
        return await _timed(all_of_it)


async def _plain(kafka: str, topic: str, value: bytes, count: int) -> str:
    to = rig.producer(kafka)
    to.list_topics(topic, 20)

    async def all_of_it() -> int:
        for n in range(count):
            to.produce(topic, value, b"acme", n % PARTITIONS)
        to.flush()
        return count

    return await _timed(all_of_it)


def _bytes(count: int) -> bytes:
    return os.urandom(count // 2).hex().encode()


async def measure(out: Console, at: Place, count: int, rounds: int) -> None:
    """All rounds."""
    kafka, options, value = at.stack.kafka, librdkafka(Settings(), at.stack.kafka), _bytes(WRITE_BYTES)
    await ensure({"bootstrap_servers": kafka}, [Topic("in", PARTITIONS, 1, EVENTS), Topic("out", PARTITIONS, 1, OTHERS)])
    body = _bytes(READ_BYTES)
    rig.load(kafka, "in", ((b"vendor-%d" % (n % 1_000), body) for n in range(count)))
    (at.directory / "expected.json").write_text(json.dumps({"events": count}), "utf-8")
    for number in range(rounds):
        naive = 1e6 / job.baseline("read", at.directory, kafka, "in")["events_per_s"]
        ours = await _read(FastGroupReader(options, "in", f"g{number}"), count)
        out.print(f"read   {count:,} of {READ_BYTES} bytes: plain wall {naive:.2f}; ours {ours}")
        plain = await _plain(kafka, "out", value, count // 2)
        ours = await _append(FastWriter(options, timeout=5), "out", value, count // 2)
        out.print(f"append {count // 2:,} of {WRITE_BYTES} bytes: plain {plain}; ours {ours}")


def report(out: Console, count: int, rounds: int) -> None:
    """On a stack of its own."""
    if not job.is_there():
        out.print(job.ABSENT)
        return
    gc.disable()  # as the evaluator does
    try:
        with rig.place() as at:
            asyncio.run(measure(out, at, count, rounds))
    finally:
        gc.enable()
