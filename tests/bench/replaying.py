"""`slawatch replay` of large histories: seconds, and the largest memory beside the file's size."""

import os
import subprocess
import sys
import tempfile
import time
from itertools import count, islice
from pathlib import Path

from rich.console import Console

from tests.bench import job
from tests.bench.apart import apart
from tests.bench.folding import event_of

OPEN_AT_ONCE = 10_000  # cases: what memory should depend on


def write(path: Path, events: int) -> int:
    """A history in which few cases are open at a time; bytes written."""
    with path.open("wb") as file:
        for case in islice(count(), events // 2 + OPEN_AT_ONCE):
            if case < events // 2:
                file.write(event_of(case, "opened", case) + b"\n")
            if case >= OPEN_AT_ONCE:
                file.write(event_of(case, "resolved", case - OPEN_AT_ONCE) + b"\n")
    return path.stat().st_size


def run(directory: Path, history: Path) -> tuple[float, int]:
    """Seconds and the largest resident bytes of one replay."""
    terms = directory / "terms.yaml"
    terms.write_text(job.AGREEMENT, "utf-8")
    started = time.perf_counter()
    words = ["replay", "--agreements", str(terms), "--events", str(history), "--out", str(directory / "out")]
    process = subprocess.Popen([sys.executable, "-m", "shared.cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def report(out: Console, events: int) -> None:
    """A quarter of the events, and all."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for number in (events // 4, events):
            history = directory / "history.ndjson"
            size = write(history, number)
            seconds, peak = apart(run, directory, history)  # a child begins with its parent's largest memory
            out.print(
                f"  replay of {number:,} events, {size / 1e6:,.0f} MB: {seconds:.1f} s ({number / seconds:,.0f} events/s), "
                f"largest memory {peak / 1e6:,.0f} MB   (goal: 1,000,000 within 10 s)"
            )
