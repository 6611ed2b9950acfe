"""Faults, one round after the other, and the table of what came of them."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.chaos.faults import Fault, Scene
from tests.chaos.judging import Judge
from tests.chaos.rig import Rig
from tests.chaos.traffic import Traffic


@dataclass
class Tally:
    """What came of the rounds of one fault. `problems`: with the seed that shows them again."""

    row: str
    fault: str
    runs: int = 0
    lost: int = 0
    false: int = 0
    repeats: int = 0
    recovery_s: list[float] = field(default_factory=list)
    late_ms: list[int] = field(default_factory=list)  # of each round the deadline called latest, from its due + grace
    problems: list[str] = field(default_factory=list)
    skipped: str = ""


async def befall(rig: Rig, judge: Judge, fault: Fault, seed: int, tally: Tally) -> None:
    """One round: traffic, the fault at a random instant, recovery, the end of traffic, judgement. What is wrong goes into the tally."""
    random = Random(f"{fault.name}/{seed}")
    wrong: list[str] = []
    begun = time.time()
    async with Traffic(rig, random) as traffic:
        scene = Scene(rig, random, traffic)
        await scene.wait(0.5, 2.5)
        try:
            await fault.inject(scene)
        except AssertionError as failed:
            wrong.append(str(failed))
        try:
            tally.recovery_s.append(await rig.recovered())
        except (AssertionError, TimeoutError) as failed:
            wrong.append(f"it does not recover: {failed!r}")
    findings = await judge.settled(traffic.acknowledged)
    late = max((ms for decided, ms in findings.delays_ms if decided >= begun * 1000), default=0)
    if fault.late_ms_max is not None and late > fault.late_ms_max:
        wrong.append(f"a deadline was called {late} ms after due and grace")
    tally.runs += 1
    tally.lost += len(findings.lost)
    tally.false += len(findings.false)
    tally.repeats += findings.repeats
    tally.late_ms.append(late)
    tally.problems += [f"seed {seed}: {problem}" for problem in wrong + findings.problems]


def table(tallies: Iterable[Tally]) -> str:
    """For the terminal. Repeats: ids that stand in the output again, with the same content. Recovery: until a probe is in the ledger."""
    head = ("row", "fault", "runs", "lost", "false", "repeats", "recovery s, median", "most", "latest verdict s", "")
    rows: list[Sequence[str]] = [head]
    for tally in tallies:
        if tally.skipped:
            rows.append((tally.row, tally.fault, "0", *("",) * 6, f"skipped: {tally.skipped}"))
            continue
        recovery, late = tally.recovery_s or [0.0], max(tally.late_ms, default=0) / 1000
        figures = (tally.runs, tally.lost, tally.false, tally.repeats, f"{statistics.median(recovery):.1f}", f"{max(recovery):.1f}", late)
        rows.append((tally.row, tally.fault, *map(str, figures), f"{len(tally.problems)} PROBLEMS" if tally.problems else "right"))
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
