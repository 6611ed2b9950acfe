"""The faults of reliability.md that befall a running installation, each as a function of the scene; and which rows they are."""

import asyncio
import json
import re
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from services import evaluator
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect
from shared.runtime.credentials import create_credential, load_pepper
from shared.wire.topics import CONTROL_HEADER
from tests.acceptance.installation import SERVICES
from tests.chaos.proxy import Proxy
from tests.chaos.rig import Ground, Rig, event_of
from tests.chaos.traffic import VENDORS, Traffic

SESSION_S = 10.0  # the group's session timeout
ANSWER_S_MAX = 8.0  # ingest waits 5 s for the broker
GROWTH_BYTES_MAX = 150_000_000
STOP_S_MAX = 5.0
DEATH_S_MAX = 90  # at a failpoint that is passed twice in twenty seconds, on a busy machine
FAILPOINTS = ("before-emit", "after-emit", "before-checkpoint", "after-checkpoint")


@dataclass
class Scene:
    """Where a fault is injected."""

    rig: Rig
    random: Random
    traffic: Traffic

    @property
    def ground(self) -> Ground:
        return self.rig.ground

    async def wait(self, least: float, most: float) -> None:
        await asyncio.sleep(self.random.uniform(least, most))


@dataclass(frozen=True)
class Fault:
    """`inject` returns when the fault is over and nothing more is done for recovery; AssertionError: already that went wrong."""

    name: str
    row: str  # of reliability.md
    inject: Callable[[Scene], Awaitable[None]]
    missing: Callable[[], str] = lambda: ""  # why it cannot be injected here
    late_ms_max: int | None = None  # deadlines are called within this, fault or not


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


# -- the broker --------------------------------------------------------------------------------------------------


async def kill_broker(scene: Scene) -> None:
    psutil.Process(scene.ground.stack.kafka_pid).kill()
    await scene.wait(0, 2)
    await scene.ground.restart_kafka()


async def hang_broker(scene: Scene) -> None:
    """Ingest answers 503 in bounded time; its memory stays flat under what is posted all the same."""
    ingest = psutil.Process(scene.rig.pid("ingest"))
    broker, before = psutil.Process(scene.ground.stack.kafka_pid), ingest.memory_info().rss
    broker.suspend()
    try:
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        answer = await scene.rig.http.post(
            scene.rig.url("ingest", "/v1/events"),
            content=json.dumps(event_of("vendor-0", f"hung-{scene.random.getrandbits(40)}", "noted", time.time())),
            headers={"authorization": f"Bearer {scene.rig.key}", "content-type": "application/cloudevents+json"},
        )
        assert answer.status_code == 503, f"the broker hangs, ingest answers {answer.status_code}"
        assert "retry-after" in answer.headers
        assert time.monotonic() - begun < ANSWER_S_MAX, f"the answer took {time.monotonic() - begun:.1f} s"
        await scene.wait(0, 2)
    finally:
        broker.resume()
    grown = ingest.memory_info().rss - before
    assert grown < GROWTH_BYTES_MAX, f"ingest grew by {grown} bytes while the broker hung"


# -- the network -------------------------------------------------------------------------------------------------


def _a_proxy(scene: Scene) -> Proxy:
    return scene.random.choice((scene.ground.kafka, scene.ground.kafka, scene.ground.postgres))


async def slow_network(scene: Scene) -> None:
    proxy = _a_proxy(scene)
    proxy.delay_s = scene.random.uniform(0.05, 0.6)
    await scene.wait(3, 6)
    proxy.delay_s = 0


async def half_open(scene: Scene) -> None:
    await _a_proxy(scene).half_open(scene.random.uniform(1, 7))


async def resets(scene: Scene) -> None:
    for _ in range(scene.random.randint(2, 6)):
        _a_proxy(scene).reset()
        await scene.wait(0.05, 1)


# -- evaluators --------------------------------------------------------------------------------------------------


async def kill_evaluator(scene: Scene) -> None:
    for _ in range(scene.random.choice((1, 1, 3))):
        await scene.wait(0, 3)
        scene.rig.kill("evaluator")
        scene.rig.launch("evaluator")


def at_failpoint(name: str) -> Callable[[Scene], Awaitable[None]]:
    """A successor is started that dies at that place, and then another."""
    most = 2 if name == "before-checkpoint" else 8  # it is passed once in ten seconds, the others all the time or once for each partition

    async def inject(scene: Scene) -> None:
        scene.rig.kill("evaluator")
        scene.rig.launch("evaluator", FAILPOINT=f"{name}:{scene.random.randint(1, most)}")
        code = await scene.rig.ended("evaluator", DEATH_S_MAX)
        assert code == -signal.SIGKILL, f"at {name} it did not die, but: {code}"
        scene.rig.launch("evaluator")

    return inject


def _no_such(name: str) -> Callable[[], str]:
    def missing() -> str:
        assert evaluator.__file__ is not None
        text = "".join(path.read_text("utf-8") for path in Path(evaluator.__file__).parent.glob("*.py"))
        return "" if re.search(rf'failpoint\("{name}"\)', text) else f"the evaluator has no failpoint {name}"

    return missing


async def zombie(scene: Scene) -> None:
    """The owner of half of the partitions is stopped until the group has given it up, and wakes."""
    rig = scene.rig
    if "evaluator-2" not in rig.running:
        rig.launch("evaluator-2")
        await rig.ready("evaluator-2")
    who = scene.random.choice(("evaluator", "evaluator-2"))
    rig.signal(who, signal.SIGSTOP)
    await asyncio.sleep(SESSION_S)
    await scene.wait(0.5, 4)
    rig.signal(who, signal.SIGCONT)


async def members_come_and_go(scene: Scene) -> None:
    rig, others = scene.rig, ("evaluator-2", "evaluator-3")
    for _ in range(scene.random.randint(3, 6)):
        who = scene.random.choice(others)
        if who not in rig.running:
            rig.launch(who)
        elif scene.random.random() < 0.4:
            rig.kill(who)
        else:
            await _leave(rig, who)
        await scene.wait(0.5, 3)
    for who in others:
        if who in rig.running:
            await _leave(rig, who)


async def _leave(rig: Rig, who: str) -> None:
    """SIGTERM; one that has hardly begun may just die of it."""
    rig.signal(who, signal.SIGTERM)
    code = await rig.ended(who, 20)
    assert code in (0, -signal.SIGTERM), f"{who} ended with {code} after SIGTERM"


async def end_in_order(scene: Scene) -> None:
    """SIGTERM under load: through within 5 s, and with exit code 0."""
    for name in scene.random.sample(SERVICES, 3):
        took = await scene.rig.terminate(name)
        scene.rig.launch(name)
        assert took < STOP_S_MAX, f"{name} took {took:.1f} s to end"
        await scene.wait(0, 1)


async def other_rules(scene: Scene) -> None:
    """A successor that knows other agreements refuses to go on from the checkpoint, and says what to do."""
    rig = scene.rig
    changed = rig.directory / "changed.yaml"
    changed.write_text(rig.agreements.read_text("utf-8").replace('"within": "2s"', '"within": "3s"'), "utf-8")
    await asyncio.sleep(2)  # so that there is a checkpoint
    await rig.terminate("evaluator")
    log = rig.directory / "evaluator.log"
    said_before = log.stat().st_size
    rig.launch("evaluator", AGREEMENTS=str(changed))
    code = await rig.ended("evaluator", 30)
    if code is None:
        rig.kill("evaluator")
    said = log.read_bytes()[said_before:].decode()
    rig.launch("evaluator")
    assert code == 1, f"under other agreements it ended with {code}"
    assert "slawatch checkpoints forget" in said, said[-1_000:]


# -- PostgreSQL --------------------------------------------------------------------------------------------------


async def kill_postgres(scene: Scene) -> None:
    psutil.Process(scene.ground.stack.postgres_pid).kill()
    await scene.wait(0, 5)
    await scene.ground.restart_postgres()


async def hang_postgres(scene: Scene) -> None:
    family = _family(scene.ground.stack.postgres_pid)
    for process in family:
        process.suspend()
    await scene.wait(3, 9)
    for process in reversed(family):
        process.resume()


async def fsync_fails(scene: Scene) -> None:
    """fsync and fdatasync give EIO: PostgreSQL panics and recovers from its write-ahead log, of unknown outcome to who committed."""
    pids = [word for process in _family(scene.ground.stack.postgres_pid) for word in ("-p", str(process.pid))]
    quiet = ("-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO")
    strace = await asyncio.create_subprocess_exec("strace", *quiet, *pids, stderr=asyncio.subprocess.PIPE)
    await scene.wait(1, 3)
    strace.terminate()
    said = (await strace.communicate())[1].decode()
    written = scene.ground.stack.children[1].output()
    assert re.search("sync.*Input/output error", written), f"no fsync failed: {said}"
    psutil.Process(scene.ground.stack.postgres_pid).kill()  # what strace let go of in the middle of its panic may never end by itself
    await scene.ground.restart_postgres()


def _no_strace() -> str:
    return "" if shutil.which("strace") else "strace is not installed"


# -- what is told ------------------------------------------------------------------------------------------------


async def silence(scene: Scene) -> None:
    """Cases begin, then nobody says a word: their deadlines fire on time."""
    for n in range(10):
        case = f"silent-{scene.random.getrandbits(40)}"
        await scene.traffic.tell(event_of(f"silent-{n}", case, "opened", time.time(), {"p": 2}))
    scene.traffic.hushed = True
    await asyncio.sleep(6)
    scene.traffic.hushed = False


async def disorder(scene: Scene) -> None:
    """Whole lives of cases, told in any order, some twice, some with another content, some long after."""
    told = []
    for _ in range(20):
        case, now, vendor = f"shuffled-{scene.random.getrandbits(40)}", time.time(), scene.random.choice(VENDORS)
        begun = now - scene.random.choice((0.5, 3, 60, 7_200))
        for number, kind in enumerate(("opened", "paused", "resumed", "changed", "done")):
            data = {"p": scene.random.choice((1, 2))} if kind in {"opened", "changed"} else {}
            event = event_of(vendor, case, kind, begun + number * scene.random.uniform(0, 0.8), data)
            told += [event] * scene.random.choice((0, 1, 1, 1, 2))
            if scene.random.random() < 0.1:
                told.append(event | {"data": {"p": 3}})
    scene.random.shuffle(told)
    for event in told:
        await scene.traffic.tell(event)


async def from_the_future(scene: Scene) -> None:
    """At the door: refused. Past the door: quarantined, which the judge looks for."""
    ahead = event_of("vendor-0", f"ahead-{scene.random.getrandbits(40)}", "opened", time.time() + 3_600)
    answer = await _post_one(scene, ahead, scene.rig.key)
    assert answer == (422, "future-time"), answer
    for vendor in VENDORS:
        await scene.rig.produce(vendor, json.dumps(ahead | {"vendor": vendor}).encode())


RUBBISH = (
    b"",
    b"\xff\xfe",
    b"[" * 5_000,
    b"{}",
    b"null",
    b'{"specversion":"1.0","id":"x"}',
    b'"\\ud800"',
    b'{"specversion":"1.0","id":"x","source":"/x","type":"opened","subject":"x","time":"yesterday","vendor":"x","service":"x"}',
)


async def poison(scene: Scene) -> None:
    for _ in range(12):
        headers = () if scene.random.random() < 0.7 else ((CONTROL_HEADER, scene.random.choice((b"tick", b"pulse", b"nothing", b"\xff"))),)
        await scene.rig.produce(scene.random.choice(VENDORS), scene.random.choice(RUBBISH), headers)
        await scene.wait(0, 0.2)


async def forgery(scene: Scene) -> None:
    """A type of slawatch's own, a role, another's vendor, a key that is none: all refused with their own reason."""
    rig, now, case = scene.rig, time.time(), f"forged-{scene.random.getrandbits(40)}"
    engine = connect(rig.variables["SLAWATCH_DATABASE"], pool=1)
    try:
        store, pepper = PostgresCredentials(engine), load_pepper(rig.settings)
        for before in [one for one in await store.all() if one.name == "forger"]:
            await store.revoke(before.id, round(now * 1000))  # a vendor has two keys at most
        _, key = await create_credential(store, pepper, "local", "key", "vendor", ["vendor-1"], "forger", round(now * 1000))
    finally:
        await engine.dispose()
    mine = event_of("vendor-1", case, "noted", now)
    for kind in ("slawatch.tick", "slawatch.breach.retracted", "slawatch.activation"):
        assert (await _post_one(scene, mine | {"type": kind}, key))[0] == 422
        assert (await _post_one(scene, mine | {"type": kind}, rig.key))[0] == 422
    assert (await _post_one(scene, mine | {"slwrole": "customer"}, key))[0] == 422
    assert (await _post_one(scene, mine | {"vendor": "vendor-2"}, key)) == (403, "foreign-vendor")
    assert (await _post_one(scene, mine, key[:-1] + ("a" if key[-1] != "a" else "b")))[0] == 401
    assert (await _post_one(scene, mine, key))[0] == 202


async def _post_one(scene: Scene, event: dict[str, object], key: str) -> tuple[int, str]:
    """Status, and the name at the end of the problem's type."""
    for _ in range(50):
        answer = await scene.rig.http.post(
            scene.rig.url("ingest", "/v1/events"),
            content=json.dumps(event),
            headers={"authorization": f"Bearer {key}", "content-type": "application/cloudevents+json"},
        )
        if answer.status_code not in (429, 503):
            break
        await asyncio.sleep(0.1)
    return answer.status_code, str(answer.json().get("type", "")).rpartition(":")[2]


PUNCTUAL_MS = 3_000  # on a busy machine of two cores; `make bench` measures how quick it really is

FAULTS = (
    Fault("broker killed", "1", kill_broker),
    Fault("broker hangs", "2", hang_broker),
    Fault("slow network", "4", slow_network),
    Fault("half-open connections", "4", half_open),
    Fault("connections reset", "4", resets),
    Fault("evaluator killed", "5", kill_evaluator),
    *(Fault(f"evaluator dies {name}", "6" if "checkpoint" in name else "5", at_failpoint(name), _no_such(name)) for name in FAILPOINTS),
    Fault("evaluator a zombie", "7", zombie),
    Fault("members come and go", "8", members_come_and_go),
    Fault("PostgreSQL killed", "9", kill_postgres, late_ms_max=PUNCTUAL_MS),
    Fault("PostgreSQL hangs", "9", hang_postgres, late_ms_max=PUNCTUAL_MS),
    Fault("fsync fails", "10", fsync_fails, _no_strace, late_ms_max=PUNCTUAL_MS),
    Fault("time from the future", "13", from_the_future, late_ms_max=PUNCTUAL_MS),
    Fault("late, out of order, twice, in conflict", "14", disorder, late_ms_max=PUNCTUAL_MS),
    Fault("silent vendor", "15", silence, late_ms_max=PUNCTUAL_MS),
    Fault("poison records", "17", poison, late_ms_max=PUNCTUAL_MS),
    Fault("SIGTERM under load", "25", end_in_order),
    Fault("forged events", "28", forgery),
    Fault("other rules than the checkpoint's", "30", other_rules),
)
