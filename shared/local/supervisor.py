"""`make run`: the embedded stack, the three services as processes of their own, and in the demo a vendor simulator; until Ctrl-C.

One loop looks after everything: what must run and ended is started again, later each time. The end goes the other way round:
players first, then services, then Kafka and PostgreSQL. Every child lives in a session of its own, so Ctrl-C reaches us alone.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from shared.adapters.system_time import SystemTime
from shared.local.demo import AGREEMENTS, SIMULATOR, access
from shared.local.process import Child, StackError, free_ports, is_free
from shared.local.stack import Say, Stack, start_stack
from shared.ports.time import TimeSource
from shared.runtime.settings import Settings

SERVICES = ("ingest", "evaluator", "notifier")
READY_S = 60
STARTS_MAX = 3  # before it was ever ready; afterwards it is started again for ever
BACKOFF_S = 0.5
BACKOFF_MAX_S = 30.0
STEADY_S = 60.0  # having run this long, a crash counts as the first again
LOOK_S = 0.1

Extras = Callable[[Mapping[str, str]], Sequence[Sequence[str]]]
"""Given the services' environment, further commands to run beside them; what they print goes to the terminal."""


@dataclass
class Kept:
    """A child that must run, and when it is started again."""

    child: Child
    url: str = ""  # of a service; empty: a server of the stack
    ready: bool = False
    failures: int = 0
    started: float = 0.0
    due: float | None = None

    def look(self, now: float, say: Say, launched: Callable[[Child], None]) -> None:
        """Start it again if it ended and its pause is over; `now` in seconds. Raises StackError if it never got going."""
        if self.child.alive():
            if now - self.started > STEADY_S:
                self.failures = 0
        elif self.due is None:
            if self.url and not self.ready and self.failures + 1 >= STARTS_MAX:
                raise self.child.failure("does not start")
            pause = min(BACKOFF_MAX_S, BACKOFF_S * 2.0**self.failures)
            self.failures += 1
            self.due = now + pause
            say(f"{self.child.name} ended ({self.child.ending()}); it is started again in {pause:g} s; its log: {self.child.log}")
        elif now >= self.due:
            self.due, self.started = None, now
            self.child.launch()
            launched(self.child)
            say(f"{self.child.name} is started again")


def run_everything(
    settings: Settings,
    *,
    demo: bool,
    say: Say | None = None,
    extras: Extras = lambda _: (),
    time_source: TimeSource | None = None,
) -> int:
    """Run until Ctrl-C, SIGTERM or a closed terminal; the exit code. Only in the main thread (signals)."""
    say, clock = say or _tell, time_source or SystemTime()
    players: list[Child] = []
    kept: list[Kept] = []
    stack: Stack | None = None
    with _interruptible():
        try:
            ports = choose_ports(settings, say)
            given = settings.kafka, settings.database.get_secret_value()
            stack = start_stack(settings.home, kafka=not given[0], postgres=not given[1], say=say)
            env = environment(settings, given[0] or stack.kafka, given[1] or stack.database, ports)
            token, keys = access(settings, env, demo=demo)
            kept += [Kept(child, started=clock.monotonic()) for child in stack.children]
            for name, port in ports.items():
                child = Child(name, [sys.executable, "-m", "shared.cli", "serve", name], settings.home / "logs" / f"{name}.log", env)
                kept.append(Kept(child, f"http://{settings.bind}:{port}", started=clock.monotonic()))
                child.launch()
                stack.record(child)
            say("starting " + ", ".join(SERVICES))
            _until_ready(kept, clock, say, stack)
            _welcome(settings, kept, stack, token, say)
            commands = list(extras(env)) + ([[*SIMULATOR, "--url", f"http://{settings.bind}:{ports['ingest']}"]] if demo else [])
            for command in commands:
                players.append(Child(command[2] if len(command) > 2 else command[0], command, env={**env, **keys}))
                players[-1].launch()
                stack.record(players[-1])
            while True:
                _look(kept, clock, say, stack)
                for player in [one for one in players if not one.alive()]:
                    say(f"{player.name} ended ({player.ending()})")
                    players.remove(player)
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            say("stopping")
            return 0
        except StackError as wrong:
            say(f"slawatch cannot run: {wrong}")
            return 1
        finally:
            _deaf()
            services = [one.child for one in kept if one.url]
            for group in (players, services):
                stop_together(group)
            if stack is not None:
                stack.stop()
