"""Kafka's jars: which ones (the lock, committed), and bringing them here (checked against the lock)."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import truststore
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import Artifact, MavenContext
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from shared.local.process import StackError

LOCK = Path(__file__).with_name("kafka.lock.json")


class Jar(msgspec.Struct, frozen=True):
    """One file: `coordinates` are group:artifact:version, `sha256` in hexadecimal, `size` in bytes."""

    coordinates: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


class Lock(msgspec.Struct, frozen=True):
    """The jars in the order of the class path."""

    kafka: str
    jars: list[Jar]


def repository(cache: Path) -> MavenContext:
    """Maven's repository, read through jgo (pure Python); what it fetches is kept under `cache`."""
    return MavenContext(repo_cache=cache, local_repos=[], remote_repos={"central": MAVEN_CENTRAL_URL})


def artifact(maven: MavenContext, coordinates: str) -> Artifact:
    group, name, version = coordinates.split(":")
    return maven.project(group, name).at_version(version).artifact()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locked() -> Lock:
    return msgspec.json.decode(LOCK.read_bytes(), type=Lock)


def fetch(directory: Path, lock: Lock | None = None) -> list[Path]:
    """Every jar of the lock (the committed one), in class path order; missing ones are fetched first, under a progress bar, and checked.

    A jar that is there was checked when it was put there, in one step, so only its size is looked at again.
    Raises StackError when a file cannot be had or is not the locked one.
    """
    jars = (lock or locked()).jars
    directory.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not _present(jar, directory / jar.filename)]
    if missing:
        columns = (TextColumn("fetching Apache Kafka"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        bar = Progress(*columns, console=Console(stderr=True))
        with bar as progress, _system_trust(), tempfile.TemporaryDirectory(dir=directory) as scratch:
            task = progress.add_task("jars", total=sum(jar.size for jar in missing))
            maven = repository(Path(scratch))
            for jar in missing:
                _fetch(maven, jar, directory / jar.filename)
                progress.advance(task, jar.size)
    return [directory / jar.filename for jar in jars]


@contextmanager
def _system_trust() -> Iterator[None]:
    """Certificates as the system trusts them, as pip does: behind a company's proxy the list that comes with requests is not enough."""
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def _present(jar: Jar, path: Path) -> bool:
    return path.exists() and path.stat().st_size == jar.size


def _fetch(maven: MavenContext, jar: Jar, target: Path) -> None:
    fetched = _resolve(artifact(maven, jar.coordinates), jar.coordinates)
    found = sha256(fetched)
    if found != jar.sha256:
        raise StackError(f"{jar.coordinates} is not the locked file: SHA-256 {found}, the lock says {jar.sha256}")
    fetched.replace(target)  # one step: another process may be fetching the same


def _resolve(wanted: Artifact, coordinates: str) -> Path:
    for pause_s in (1, 3, 0):
        try:
            return wanted.resolve()
        except (OSError, RuntimeError) as error:  # the network, or the repository has no such file
            if wanted.cached_path is not None:
                wanted.cached_path.unlink(missing_ok=True)  # jgo would take a torn file for the whole one
            why = str(error)
            time.sleep(pause_s)
    raise StackError(f"cannot fetch {coordinates} from Maven Central: {why}")
