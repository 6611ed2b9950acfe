"""The embedded stack: real Kafka and real PostgreSQL for one home directory, started and stopped together.

Its state file, `stack.json` in the home directory, lets other processes of this machine find a running stack, and the next
start end what a killed owner left behind. An advisory lock, held for as long as the owner lives, keeps out a second owner.
"""

import fcntl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import msgspec

from shared.local.kafka import Kafka
from shared.local.postgres import Postgres
from shared.local.process import Child, Identity, StackError, end, free_ports
from shared.runtime.settings import PROJECT

HOME = PROJECT / ".slawatch"
CACHE = HOME / "cache"

Say = Callable[[str], None]
"""Gets one line for the person at the terminal."""


class State(msgspec.Struct):
    """What `stack.json` holds. `processes`: ours by name; `services`: base URLs by name, as the supervisor started them."""

    kafka: str = ""
    database: str = ""
    ready: bool = False
    processes: dict[str, Identity] = {}
    services: dict[str, str] = {}


class Stack:
    """A running stack, ours until `stop`. `kafka` (bootstrap servers) and `database` (URL) are empty for a part not asked for."""

    def __init__(self, home: Path, lock: IO[str], kafka: Kafka | None, postgres: Postgres | None) -> None:
        self.home = home
        self._lock = lock
        self._kafka = kafka
        self._postgres = postgres
        self._state = State()

    @property
    def kafka(self) -> str:
        return self._kafka.bootstrap if self._kafka else ""

    @property
    def database(self) -> str:
        return self._postgres.url if self._postgres else ""

    @property
    def kafka_pid(self) -> int:
        return _pid(self._kafka)

    @property
    def postgres_pid(self) -> int:
        return _pid(self._postgres)

    @property
    def children(self) -> list[Child]:
        """The servers, for a supervisor that restarts them when they die."""
        return [part.child for part in self._parts]

    @property
    def _parts(self) -> list[Kafka | Postgres]:
        return [part for part in (self._kafka, self._postgres) if part is not None]

    def start(self) -> None:
        """Both at once; on any failure nothing stays. Call it in the main thread: see `Child.launch`."""
        try:
            with ThreadPoolExecutor(2) as pool:
                for _ in pool.map(lambda part: part.prepare(), self._parts):
                    pass
            for part in self._parts:
                part.child.launch()
                self.record(part.child)
            for part in self._parts:
                part.wait_ready()
                self.record(part.child)
            self._state.kafka, self._state.database, self._state.ready = self.kafka, self.database, True
            self._write()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End both, wait until they are gone, and let the home directory go. May be called again."""
        for child in self.children:
            child.stop()
        self._state = State()
        self._write()
        self._lock.close()

    def restart_kafka(self) -> None:
        """Start the broker anew at the same address, whatever became of it (killed, stopped by a signal, running)."""
        self._restart(self._kafka)

    def restart_postgres(self) -> None:
        """Likewise for PostgreSQL."""
        self._restart(self._postgres)

    def record(self, child: Child) -> None:
        """Write down a process of ours, so that a later start can end it should we be killed."""
        if child.process is not None and child.alive():
            self._state.processes[child.name] = Identity.of(child.process)
            self._write()

    def record_service(self, name: str, url: str) -> None:
        """Write down where a service of ours listens."""
        self._state.services[name] = url
        self._write()

    def _restart(self, part: Kafka | Postgres | None) -> None:
        if part is None:
            raise StackError("this stack was started without that part")
        part.child.stop()
        part.child.launch()
        self.record(part.child)
        part.wait_ready()
        self.record(part.child)

    def _write(self) -> None:
        draft = self.home / "stack.json.draft"
        draft.touch(mode=0o600)  # the database's password is in it
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(self._state), indent=1))
        draft.replace(self.home / "stack.json")


def _silent(_: str) -> None:
    return None


def start_stack(
    home: Path = HOME, *, kafka: bool = True, postgres: bool = True, cache: Path = CACHE, say: Callable[[str], None] = lambda _: None
) -> Stack:
    """Start the parts asked for and return when they serve; data in `home` is kept from start to start.

    `cache` holds what was downloaded; `say` is told, in a line each, what goes on. Raises StackError, with nothing left
    running: another process owns the home directory, a download failed or was not the locked file, a server did not start.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    lock = _lock(home)
    try:
        for name, identity in _read(home).processes.items():
            if leftover := identity.process():
                say(f"ending {name} (process {identity.pid}), left over from a run that was killed")
                end(leftover)
        broker_port, controller_port, postgres_port = free_ports(home, 3)
        stack = Stack(
            home,
            lock,
            Kafka(home, cache, broker_port, controller_port) if kafka else None,
            Postgres(home, postgres_port) if postgres else None,
        )
    except BaseException:
        lock.close()
        raise
    say("starting " + " and ".join(child.name for child in stack.children))
    stack.start()
    return stack


def running_stack(home: Path = HOME) -> State | None:
    """The stack that another process runs in `home`, when it is ready and its servers really live."""
    state = _read(home)
    servers = [state.processes.get(name) for name, there in (("kafka", state.kafka), ("postgres", state.database)) if there]
    return state if state.ready and all(one is not None and one.process() for one in servers) else None


def _read(home: Path) -> State:
    try:
        return msgspec.json.decode((home / "stack.json").read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return State()  # never started, or by a version that wrote something else


def _lock(home: Path) -> IO[str]:
    """The kernel drops the lock when its holder dies, however."""
    try:
        lock = (home / "stack.lock").open("a")
    except PermissionError as error:
        raise StackError(f"{home} belongs to another user: remove it (`make clean` as that user), or set SLAWATCH_HOME") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        state = _read(home)
        raise StackError(f"a stack runs in {home} already (Kafka at {state.kafka or 'an address to come'}); stop it first") from None
    return lock


def _pid(part: Kafka | Postgres | None) -> int:
    if part is None or part.child.process is None:
        raise StackError("this stack was started without that part")
    return part.child.process.pid
