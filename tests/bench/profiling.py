"""Where the microseconds of an event go: cProfile over the fold in process, and over the evaluator's event loop while it does the job.

cProfile adds a microsecond or so to every call, so the shares of small functions look larger than they are; the order is what to read.
"""

import asyncio
import cProfile
import gc
import pstats
from pathlib import Path

from rich.console import Console

from shared.runtime.settings import PROJECT
from tests.bench import folding, job, rig
from tests.bench.apart import apart
from tests.bench.rig import Place

SHOWN = 15
Row = tuple[float, float, int, str]  # seconds in it, with what it calls, calls, its name


def rows_of(profile: cProfile.Profile | str) -> list[Row]:
    """The functions in which most time is spent, first."""
    found = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]  # not in its types
    rows = []
    for (file, line, name), (_, calls, own, whole, _) in found:
        place = (
            f"{Path(file).relative_to(PROJECT)}:{line} "
            if file.startswith(f"{PROJECT}/s")
            else ""
            if file == "~"
            else f"{Path(file).name}:{line} "
        )
        rows.append((own, whole, calls, f"{place}{name}".replace(f" at {name.rpartition(' at ')[2]}", "")))
    return sorted(rows, reverse=True)


def fold(cases: int) -> tuple[int, list[Row]]:
    """How many events, and where their time goes: decode and fold."""
    records, _ = folding.history(cases)
    engine, profile = folding.engine_of(), cProfile.Profile()
    gc.disable()
    profile.enable()
    folding.fold(engine, records)
    profile.disable()
    return len(records), rows_of(profile)


async def evaluator(at: Place, cases: int) -> tuple[int, list[Row]]:
    """The same of the evaluator's main thread over the job."""
    directory, file = at.directory / "profiled", at.directory / "evaluator.profile"
    job.generate(cases, directory)
    records = list(job.records(directory))
    async with at.bench(job.AGREEMENT, job.PARTITIONS, CLOCK="event") as bench:
        await asyncio.to_thread(rig.load, bench.kafka, bench.events, records)
        bench.begin(profile=file)
        await bench.job(len(records))
    return len(records), rows_of(str(file))


def show(out: Console, title: str, events: int, rows: list[Row]) -> None:
    """µs an event."""
    out.print(f"  {title}: µs an event in it, with what it calls, calls an event")
    for own, whole, calls, name in rows[:SHOWN]:
        out.print(f"    {own / events * 1e6:6.2f} {whole / events * 1e6:7.2f} {calls / events:6.2f}  {name}", markup=False)


def report(out: Console, cases: int) -> None:
    """Both."""
    show(out, "decode and fold", *apart(fold, cases))
    if not job.is_there():
        out.print(f"the evaluator: {job.ABSENT}")
        return
    with rig.place() as at:
        show(out, "the evaluator's event loop, start included", *asyncio.run(evaluator(at, cases)))
