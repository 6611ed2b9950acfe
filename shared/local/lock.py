"""Make the lock anew: `python -m shared.local.lock [VERSION]` resolves Kafka's jars, fetches them and writes down their sums."""

import sys
import tempfile
from pathlib import Path

import msgspec
from jgo.maven import Artifact

from shared.local.jars import LOCK, Jar, Lock, repository, sha256

KAFKA = "org.apache.kafka:kafka_2.13"
LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"  # Kafka names it in its distribution only, not in its POM


def resolve(version: str, scratch: Path) -> Lock:
    """The jars that a broker of `version` needs at run time. Reaches the repository."""
    maven = repository(scratch)
    roots, transitive = maven.resolver.resolve([maven.create_dependency(f"{KAFKA}:{version}")])
    running = [dependency for dependency in transitive if dependency.scope in ("compile", "runtime")]
    needed = [dependency.artifact for dependency in [*roots, *running]]
    log4j = next(one.version for one in needed if one.artifactId == "log4j-core")
    # Added by hand: resolved beside Kafka, its bill of materials would override Kafka's own versions.
    binding_group, binding_name = LOG_BINDING.split(":")
    needed.append(maven.project(binding_group, binding_name).at_version(log4j).artifact())
    return Lock(kafka=version, jars=[_jar(one) for one in needed])


def newest(scratch: Path) -> str:
    """The newest version in the repository."""
    project = repository(scratch).project(*KAFKA.split(":"))
    project.update()
    return project.metadata.versions[-1]


def _jar(found: Artifact) -> Jar:
    path = found.resolve()
    return Jar(f"{found.groupId}:{found.artifactId}:{found.version}", sha256(path), path.stat().st_size)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        lock = resolve(sys.argv[1] if len(sys.argv) > 1 else newest(Path(scratch)), Path(scratch))
    LOCK.write_bytes(msgspec.json.format(msgspec.json.encode(lock), indent=1) + b"\n")
    sys.stderr.write(f"Apache Kafka {lock.kafka}: {len(lock.jars)} jars, {sum(jar.size for jar in lock.jars) / 1e6:.0f} MB\n")


if __name__ == "__main__":
    main()
