"""The embedded stack as its owner sees it: data survives, starts are quick, nothing stays behind, crashes are mended."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiokafka
import asyncpg
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy.engine import make_url

from shared.local.jars import LOCK, Jar, Lock, fetch, locked
from shared.local.process import Child, StackError, free_ports, is_free, wait_until
from shared.local.stack import Stack, running_stack, start_stack


def plain(url: str) -> str:
    """The URL as asyncpg itself wants it."""
    return url.replace("+asyncpg", "")


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    if topic not in await admin.list_topics():
        await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    await producer.send_and_wait(topic, value)
    await producer.stop()


async def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    values = [(await consumer.getone()).value for _ in range(count)]
    await consumer.stop()
    return values


async def remember(url: str, word: str) -> None:
    connection = await asyncpg.connect(plain(url))
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
    await connection.execute("INSERT INTO kept VALUES ($1)", word)
    await connection.close()


async def remembered(url: str) -> list[str]:
    connection = await asyncpg.connect(plain(url))
    rows = await connection.fetch("SELECT word FROM kept")
    await connection.close()
    return [row["word"] for row in rows]


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_data_survives_a_stop_and_the_second_start_is_quick(tmp_path: Path) -> None:
    before = set(descendants())
    first = start_stack(tmp_path)
    ports = first.kafka, first.database
    await produce(first.kafka, "kept", b"event")
    await remember(first.database, "breach")
    first.stop()

    began = time.perf_counter()
    second = start_stack(tmp_path)
    took_s = time.perf_counter() - began
    try:
        assert took_s < 15
        assert (second.kafka, second.database) == ports
        assert await consume(second.kafka, "kept", 1) == [b"event"]
        assert await remembered(second.database) == ["breach"]
    finally:
        second.stop()
    assert set(descendants()) <= before
    assert running_stack(tmp_path) is None


def test_another_process_finds_a_running_stack_and_cannot_start_a_second(stack: Stack) -> None:
    home = stack.home
    found = running_stack(home)
    assert found is not None
    assert (found.kafka, found.database) == (stack.kafka, stack.database)
    with pytest.raises(StackError, match=r"runs in .* already"):
        start_stack(home)
    assert running_stack(home) is not None


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_broker_that_was_hit_comes_back_at_its_address_with_its_data(stack: Stack, blow: signal.Signals) -> None:
    address, pid, topic = stack.kafka, stack.kafka_pid, f"hit-by-{blow.name}"
    await produce(address, topic, b"before")
    os.kill(pid, blow)
    stack.restart_kafka()
    assert stack.kafka == address
    assert stack.kafka_pid != pid
    await produce(address, topic, b"after")
    assert await consume(address, topic, 2) == [b"before", b"after"]


async def test_postgres_comes_back_after_kill_with_a_session_open(stack: Stack) -> None:
    await remember(stack.database, "kill")
    session = await asyncpg.connect(plain(stack.database))
    os.kill(stack.postgres_pid, signal.SIGKILL)
    stack.restart_postgres()
    session.terminate()
    assert "kill" in await remembered(stack.database)


OWNER = """
import sys, time
from pathlib import Path
from shared.local.stack import start_stack
start_stack(Path(sys.argv[1]))
print("up", flush=True)
time.sleep(600)
"""


async def test_the_next_start_mends_what_a_killed_owner_left(tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, str(tmp_path), stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"up\n"
    found = running_stack(tmp_path)
    assert found is not None
    await remember(found.database, "before")
    owner.kill()
    await owner.wait()
    with_new_owner = start_stack(tmp_path)
    try:
        assert [one for one in found.processes.values() if one.process()] == []
        assert await remembered(with_new_owner.database) == ["before"]
    finally:
        with_new_owner.stop()


def test_the_servers_listen_on_the_loopback_only(stack: Stack) -> None:
    for pid in (stack.kafka_pid, stack.postgres_pid):
        listening = [one.laddr.ip for one in psutil.Process(pid).net_connections("inet") if one.status == psutil.CONN_LISTEN]
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


async def test_the_database_wants_its_password(stack: Stack) -> None:
    wrong = make_url(stack.database).set(drivername="postgresql", password="guessed")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong.render_as_string(hide_password=False))


def test_a_jar_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    smallest = min(locked().jars, key=lambda jar: jar.size)
    forged = Jar(smallest.coordinates, "0" * 64, smallest.size)
    with pytest.raises(StackError, match="is not the locked file"):
        fetch(tmp_path, Lock("x", [forged]))
    assert list(tmp_path.iterdir()) == []


def test_the_lock_names_no_registry_and_sums_every_jar() -> None:
    assert "//" not in LOCK.read_text()
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked().jars)
    assert [jar.coordinates for jar in locked().jars if jar.coordinates.startswith("org.apache.kafka:kafka_")]


def test_ports_stay_the_same_while_free_and_move_when_taken(tmp_path: Path) -> None:
    first = free_ports(tmp_path, 3)
    assert free_ports(tmp_path, 3) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first[0]))
        assert not is_free(first[0])
        assert free_ports(tmp_path, 3)[:2] == first[1:]


def test_a_child_that_will_not_go_is_made_to_go(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = Child("deaf", [sys.executable, "-c", deaf], tmp_path / "deaf.log")
    child.launch()
    assert wait_until(lambda: "deaf" in child.output(), 10)
    child.stop(grace_s=0.2)
    assert not child.alive()
