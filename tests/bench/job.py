"""The job of `../shared/bench`, where that stands beside the project: its events, its known answer, its agreement, its baselines."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from shared.adapters.kafka.topics import Topic, ensure
from shared.runtime.settings import PROJECT
from shared.sla.instants import parse_instant
from shared.wire.verdicts import Verdict

HOME = PROJECT.parent / "shared" / "bench"
ABSENT = f"skipped: the job is not there ({HOME.relative_to(PROJECT.parent)} beside the project's folder)"
PARTITIONS = 8
AGREEMENT = """
apiVersion: slawatch/v1
kind: Agreement
name: bench
vendor: "*"
service: "*"
grace: 5s
objectives:
  - name: resolved
    kind: deadline
    start: case.opened
    pause: case.paused
    resume: case.resumed
    stop: case.resolved
    targets:
      - {when: 'data.priority == "P1"', within: 15m}
      - {when: 'data.priority == "P2"', within: 1h}
      - {when: 'data.priority == "P3"', within: 4h}
      - {when: 'data.priority == "P4"', within: 24h}
"""


def is_there() -> bool:
    """Whether the job can be run."""
    return (HOME / "workload.py").is_file()


def _python(*words: str | Path, **variables: str) -> str:
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False, env=os.environ | variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def generate(cases: int, directory: Path) -> dict[str, Any]:
    """Write the events; what is expected of them."""
    _python(HOME / "workload.py", "generate", "--cases", str(cases), "--out", directory)
    expected: dict[str, Any] = json.loads((directory / "expected.json").read_text("utf-8"))
    return expected


async def load(directory: Path, kafka: str, topic: str) -> None:
    """(Re)create the topic, with the events in it, and that of the baseline's output: it would wait long for one that is not there."""
    await ensure({"bootstrap_servers": kafka}, [Topic(_output(topic), PARTITIONS, 1, {})])
    _python(HOME / "workload.py", "load", "--dir", directory, "--topic", topic, "--bootstrap", kafka)


def _output(topic: str) -> str:
    return f"{topic}.out"


def baseline(which: str, directory: Path, kafka: str, topic: str) -> dict[str, Any]:
    """Run `read` or `loop`; what it says of itself."""
    result: dict[str, Any] = json.loads(
        _python(HOME / "naive.py", which, "--dir", directory, "--topic", topic, "--out", _output(topic), BENCH_BOOTSTRAP=kafka)
    )
    assert result.get("matches", True), result
    return result


def records(directory: Path) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of its events, in order of arrival; the heartbeats that are for the baseline only are left out."""
    with (directory / "events.tsv").open("rb") as file:
        for line in file:
            partition, _, vendor, value = line.rstrip(b"\n").split(b"\t")
            if partition == b"-":
                yield vendor, value


@cache
def _workload() -> Any:
    spec = importlib.util.spec_from_file_location("workload", HOME / "workload.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wrong(expected: dict[str, Any], statements: list[Verdict]) -> str:
    """What is wrong with what was said; empty: nothing."""
    breached: dict[str, str] = {}
    for said in statements:
        case, due = said.data.case, said.data.due
        if said.type == "slawatch.breach.opened":
            assert case is not None
            assert due is not None
            breached[case] = f"{case} {_workload().rfc3339(parse_instant(due))}"
        elif said.type == "slawatch.breach.retracted":
            assert case is not None
            del breached[case]
    if len({said.id for said in statements}) != len(statements):
        return "a statement was said twice"
    if _workload().digest(list(breached)) != expected["sha256_cases"]:
        return f"other cases are breached: {len(breached)}, expected {expected['breached']}"
    return "" if _workload().digest(list(breached.values())) == expected["sha256_case_deadlines"] else "other deadlines"


def far(directory: Path) -> str:
    """The instant of the baseline's heartbeats, when everything is due."""
    with (directory / "events.tsv").open("rb") as file:
        file.seek(-2_000, os.SEEK_END)
        last = file.read().splitlines()[-1].split(b"\t")[3]
    time: str = json.loads(last)["time"]
    return time
