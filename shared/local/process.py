"""Child processes whose life is ours: started with a log, found again after a crash, ended for certain."""

import ctypes
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
import psutil

POLL_S = 0.02
LOG_BYTES_MAX = 20_000_000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class StackError(Exception):
    """The embedded stack cannot do what was asked; the message says why and what to do."""


class Identity(msgspec.Struct, frozen=True):
    """A process for certain: numbers are given again, but not within the same moment. `created`: seconds since 1970, as psutil tells."""

    pid: int
    created: float

    @classmethod
    def of(cls, process: psutil.Process) -> "Identity":
        return cls(process.pid, process.create_time())

    def process(self) -> psutil.Process | None:
        """The process, if it lives."""
        try:
            found = psutil.Process(self.pid)
            # Not equality: the reading moves a little when the machine's clock is set.
            return found if alive(found) and abs(found.create_time() - self.created) < 2 else None
        except psutil.NoSuchProcess:
            return None


def alive(process: psutil.Process) -> bool:
    """Whether it still runs (stopped by a signal counts as running, a zombie does not). Reaps an own child."""
    if isinstance(process, psutil.Popen):
        return process.poll() is None
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(process: psutil.Process, first: signal.Signals = signal.SIGTERM, grace_s: float = 15) -> None:
    """End it for certain: politely, and after `grace_s` seconds with all its children by force."""
    if not alive(process):
        return
    try:
        process.send_signal(first)
        process.send_signal(signal.SIGCONT)  # one that was stopped by SIGSTOP could not even die
        if not wait_until(lambda: not alive(process), grace_s):
            for one in [process, *process.children(recursive=True)]:
                one.kill()
            wait_until(lambda: not alive(process), 5)
    except psutil.NoSuchProcess:
        return  # it went by itself meanwhile


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Look every few milliseconds, for about `limit_s` seconds at most; what was seen last."""
    for _ in range(int(limit_s / POLL_S)):
        if condition():
            return True
        time.sleep(POLL_S)
    return condition()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(home: Path, count: int) -> list[int]:
    """Free ports of the loopback, the same ones at each start of the same `home` unless somebody took them.

    Below the range that the kernel hands out to outgoing connections: a client that keeps knocking at a dead server's port
    from within that range can end up connected to itself, and the server could not come back.
    """
    first = zlib.crc32(str(home).encode()) % 12_000
    found: list[int] = []
    for step in range(12_000):
        port = 20_000 + (first + step) % 12_000
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise StackError("no free port between 20000 and 32000 on 127.0.0.1")


@dataclass
class Child:
    """One program under our care. `log` None: its output goes where ours goes."""

    name: str
    command: Sequence[str]
    log: Path | None = None
    env: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    process: psutil.Popen | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)

    def launch(self) -> psutil.Popen:
        """Start it, in a session of its own (Ctrl-C reaches only us, so that we choose the order of the end).

        As a belt the kernel is told to end it when we die, even by kill -9 (Linux). The kernel means the *thread* that
        started it, so the belt is worn only by what the main thread starts.
        """
        belt = _LIBC is not None and threading.current_thread() is threading.main_thread()
        with self._open_log() as log:
            self.process = psutil.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self.env is None else dict(self.env),
                start_new_session=True,
                preexec_fn=self._wear_belt if belt else None,
            )
        return self.process

    def alive(self) -> bool:
        return self.process is not None and alive(self.process)

    def stop(self, grace_s: float = 15) -> None:
        if self.process is not None:
            end(self.process, self.stop_signal, grace_s)

    def ask_to_stop(self) -> None:
        """Only ask, so that several can end at the same time; `stop` follows."""
        if self.process is not None and self.alive():
            self.process.send_signal(self.stop_signal)

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode if self.process is not None else None
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def output(self) -> str:
        """What it wrote to its log since it was last started."""
        if self.log is None:
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def failure(self, doing: str) -> StackError:
        """An error that shows the end of the log."""
        lines = "\n".join(self.output().splitlines()[-15:])
        return StackError(f"{self.name} {doing}. Its log, {self.log}, ends:\n{lines}")

    def _open_log(self) -> AbstractContextManager[BinaryIO | None]:
        if self.log is None:
            return nullcontext()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        log = self.log.open("ab")
        self._log_start = log.tell()
        return log

    def _wear_belt(self) -> None:
        """Runs in the child, between fork and exec: one system call and nothing else."""
        assert _LIBC is not None
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(self.stop_signal))
