"""`make run`: the embedded stack, the three services as processes of their own, and in the demo a vendor simulator; until Ctrl-C.

One loop looks after everything: what must run and ended is started again, later each time. The end goes the other way round:
players first, then services, then Kafka and PostgreSQL. Every child lives in a session of its own, so Ctrl-C reaches us alone.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import FrameType

import psutil

from shared.adapters.system_time import SystemTime
from shared.local.demo import Issued, apply_agreements, feed, issue, receiver, simulator
from shared.local.grafana import Programs, find, watching
from shared.local.process import Child, StackError, is_free
from shared.local.stack import Say, Stack, start_stack
from shared.ports.time import TimeSource
from shared.runtime.settings import Settings

SERVICES = ("ingest", "evaluator", "notifier")
READY_S = 60
STARTS_MAX = 3  # of a service that was never ready; once it was, it is started again for ever
PAUSE_S = 0.5
PAUSE_S_MAX = 30.0
STEADY_S = 60.0  # having run this long, a crash counts as the first again
LOOK_S = 0.1


@dataclass
class Kept:
    """A child that must run, and when it is started again."""

    child: Child
    port: int | None = None  # of a service; None: a server of the stack, ready already
    ready: bool = False
    failures: int = 0
    started: float = 0.0
    due: float | None = None

    def look(self, now: float, say: Say) -> bool:
        """Start it again if it ended and its pause is over (then True); `now` in seconds. Raises StackError if it never got going."""
        if self.child.alive():
            if now - self.started > STEADY_S:
                self.failures = 0
            return False
        if self.due is None:
            self.failures += 1
            if self.port is not None and not self.ready and self.failures >= STARTS_MAX:
                raise self.child.failure("does not start")
            pause = min(PAUSE_S_MAX, PAUSE_S * 2.0 ** (self.failures - 1))
            self.due = now + pause
            say(f"{self.child.name} ended ({self.child.ending()}) and is started again in {pause:g} s; its log: {self.child.log}")
            return False
        if now < self.due:
            return False
        self.due, self.started = None, now
        self.child.launch()
        return True

    def answers(self, host: str) -> bool:
        """Whether `/readyz` says 200, and on a port that is really this child's."""
        if self.port is None:
            return True
        connection = HTTPConnection(host, self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200 and self._listens()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _listens(self) -> bool:
        assert self.child.process is not None
        try:
            mine = self.child.process.net_connections("inet")
        except psutil.Error:
            return False
        return any(one.laddr.port == self.port for one in mine if one.status == psutil.CONN_LISTEN)


class Supervisor:
    """Everything that `make run` starts, in the order of starting."""

    def __init__(self, settings: Settings, clock: TimeSource, say: Say) -> None:
        self._settings, self._clock, self._say = settings, clock, say
        self._stack: Stack | None = None
        self._kept: list[Kept] = []
        self._players: list[Child] = []
        self._env: dict[str, str] = {}

    def start(self, *, demo: bool) -> None:
        """All of it; returns when the services are ready. Raises StackError."""
        settings = self._settings
        given_kafka, given_database = settings.kafka, settings.database.get_secret_value()
        self._stack = stack = start_stack(settings.home, kafka=not given_kafka, postgres=not given_database, say=self._say)
        ports = choose_ports(settings, self._say)
        kafka, database = given_kafka or stack.kafka, given_database or stack.database
        self._env = {**os.environ, **_variables(HOME=str(settings.home), KAFKA=kafka, DATABASE=database)}
        self._env |= _variables(**{f"{name.upper()}_PORT": str(port) for name, port in ports.items()})
        self._kept = [Kept(child, started=self._clock.monotonic()) for child in stack.children]
        issued = issue(settings, database, self._clock, demo=demo)
        if not settings.evaluator_token.get_secret_value():
            self._env |= _variables(EVALUATOR_TOKEN=issued.token)  # the notifier asks for a clock's pauses
        if demo:
            apply_agreements(self._env)
            if not settings.webhooks:
                self._receive(set(ports.values()))
        self._say("starting " + ", ".join(ports))
        for name, port in ports.items():
            service = [sys.executable, "-m", "shared.cli", "serve", name]
            self._keep(Kept(Child(name, service, settings.home / "logs" / f"{name}.log", self._env), port))
        self._until_ready()
        for name, port in ports.items():
            stack.record_service(name, self._url(port))
        self._welcome(ports, issued)
        self._play("the feed", *feed(self._url(ports["notifier"]), issued.token))
        self._watch(ports)
        if demo:
            self._play("the simulator", *simulator(self._url(ports["ingest"]), issued.vendor_keys))

    def look(self) -> None:
        """Once round: start again what ended, say which player ended."""
        assert self._stack is not None
        for kept in self._kept:
            if kept.look(self._clock.monotonic(), self._say):
                self._stack.record(kept.child)
        for player in [one for one in self._players if not one.alive()]:
            self._say(f"{player.name} ended ({player.ending()})")
            self._players.remove(player)

    def stop(self) -> None:
        """End everything, in the right order, for certain."""
        for group in (self._players, [kept.child for kept in self._kept if kept.port is not None]):
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.stop()
        if self._stack is not None:
            self._stack.stop()

    def _keep(self, kept: Kept) -> None:
        assert self._stack is not None
        kept.started = self._clock.monotonic()
        kept.child.launch()
        self._stack.record(kept.child)
        self._kept.append(kept)

    def _watch(self, ports: Mapping[str, int]) -> None:
        """Dashboards, where a Grafana is on this machine; where none is, the console shows the key panels, and nothing is said."""
        found = find()
        if isinstance(found, Programs):
            services = {name: f"{self._settings.bind}:{port}" for name, port in ports.items()}
            set_up = watching(found, self._settings.home, services, self._env)
            for child in set_up.children:
                self._start_player(child)
            self._say(f"  Grafana   {set_up.url}   (in a few seconds)")
        elif found is not None:
            self._say(f"  {found}")

    def _play(self, name: str, command: Sequence[str], more: Mapping[str, str]) -> None:
        self._start_player(Child(name, command, env={**self._env, **more}))

    def _start_player(self, player: Child) -> None:
        assert self._stack is not None
        player.launch()
        self._stack.record(player)
        self._players.append(player)

    def _receive(self, taken: set[int]) -> None:
        """Someone to deliver to: an example receiver, where no webhook is set."""
        port = next(port for port in range(8009, 8109) if port not in taken and is_free(port, "127.0.0.1"))
        command, environment, settings = receiver(port)
        self._play("the webhooks' receiver", command, environment)
        self._env |= _variables(**settings)

    def _until_ready(self) -> None:
        begun = self._clock.monotonic()
        while waiting := [kept for kept in self._kept if not kept.ready]:
            self.look()
            for kept in waiting:
                kept.ready = kept.answers(self._settings.bind)
            if self._clock.monotonic() - begun > READY_S:
                late = next((kept for kept in self._kept if not kept.ready), None)
                if late is not None:
                    raise late.child.failure(f"was not ready within {READY_S} s")
            time.sleep(LOOK_S)

    def _url(self, port: int) -> str:
        return f"http://{self._settings.bind}:{port}"

    def _welcome(self, ports: Mapping[str, int], issued: Issued) -> None:
        ingest, evaluator, notifier = (self._url(ports[name]) for name in SERVICES)
        for line in (
            "slawatch is running.",
            f"  page      {notifier}/login#{issued.token}   (signs you in)",
            f"  token     {issued.token}   (of an operator, for the page and the APIs)",
            f"  key       {issued.key}   (posts events for any vendor)",
            f"  API docs  {ingest}/docs  {evaluator}/docs  {notifier}/docs",
            f"  metrics   {ingest}/metrics  {evaluator}/metrics  {notifier}/metrics",
            f"  logs      {self._settings.home / 'logs'}",
            "Token and key hold until the next start. Ctrl-C stops everything.",
        ):
            self._say(line)


def run_everything(settings: Settings, *, demo: bool, say: Say | None = None, clock: TimeSource | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or a closed terminal; the exit code. In the main thread only, for the signals' sake.

    `say` gets one line for the person at the terminal.
    """
    tell = say or _tell
    supervisor = Supervisor(settings, clock or SystemTime(), tell)
    with _ending_by_signal():
        try:
            supervisor.start(demo=demo)
            while True:
                supervisor.look()
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            tell("stopping …")
            return 0
        except StackError as wrong:
            tell(f"slawatch cannot run: {wrong}")
            return 1
        finally:
            for number in _ENDING:
                signal.signal(number, signal.SIG_IGN)  # the end is under way, and bounded
            supervisor.stop()


def choose_ports(settings: Settings, say: Say) -> dict[str, int]:
    """A port by service: the one that was set, or the usual one, or the next that is free. Raises StackError if a set one is taken."""
    ports: dict[str, int] = {}
    for name in SERVICES:
        field = f"{name}_port"
        wanted = int(getattr(settings, field))
        candidates = (port for port in range(wanted, min(wanted + 100, 65_536)) if port not in ports.values())
        port = next((one for one in candidates if is_free(one, settings.bind)), None)
        if port is None or (field in settings.model_fields_set and port != wanted):
            raise StackError(f"port {wanted} is taken{_owner(wanted)}: stop that, or set SLAWATCH_{field.upper()} to another")
        if port != wanted:
            say(f"port {wanted} is taken{_owner(wanted)}; {name} listens on {port}")
        ports[name] = port
    return ports


def _owner(port: int) -> str:
    """By whom a port is taken, where the system tells: ` by python (process 12)`."""
    try:
        for one in psutil.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid is not None:
                return f" by {psutil.Process(one.pid).name()} (process {one.pid})"
    except psutil.Error:
        return ""  # other users' processes are not shown to everybody
    return ""


def _variables(**values: str) -> dict[str, str]:
    return {f"SLAWATCH_{name}": value for name, value in values.items()}


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt in here."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(line: str) -> None:
    with suppress(OSError):  # the terminal was closed: its signal ends us, and in good order
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
