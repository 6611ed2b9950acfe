"""`python -m tests.chaos`: every fault, many times, and the table; `--fault WORDS --seed N`: one of them again; `--part 1/4`: a quarter."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.chaos.campaign import Tally, befall, table
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.judging import Judge
from tests.chaos.rig import Ground, ground, rigged
from tests.chaos.worlds import WORLDS, judged

ROUND_S_MAX = 420  # the judge alone may wait four minutes for what blind time held


async def run(faults: list[Fault], seeds: list[int], home: Path) -> list[Tally]:
    """Each fault on an installation of its own, the table so far after each. What breaks a round costs that round only."""
    tallies: list[Tally] = []
    async with ground(home / "stack") as under:
        for number, fault in enumerate(faults):
            tally = Tally(fault.row, fault.name, skipped=fault.missing())
            tallies.append(tally)
            left = [] if tally.skipped else list(seeds)
            while left:
                await _rounds(home / f"{number}-{len(left)}", under, fault, left, tally)
            sys.stdout.write("\n".join([table([tally]).splitlines()[-1], *tally.problems[:5], ""]))
            sys.stdout.flush()
    return tallies


async def _rounds(home: Path, under: Ground, fault: Fault, left: list[int], tally: Tally) -> None:
    """Rounds on one installation, taken from `left` as they end, until there are no more or one left it wrong."""
    try:
        await under.heal()
        async with rigged(home, under) as rig:
            judge, wrong_before = Judge(rig), len(tally.problems)
            while left and len(tally.problems) == wrong_before:
                begun = time.monotonic()
                async with asyncio.timeout(ROUND_S_MAX):
                    await befall(rig, judge, fault, left[0], tally)
                round_of = f"{fault.name}, seed {left.pop(0)}: {time.monotonic() - begun:.0f} s"
                sys.stderr.write(f"{round_of}, recovered in {tally.recovery_s[-1]:.1f} s, {len(tally.problems)} problems so far\n")
    except Exception as wrong:  # noqa: BLE001 - whatever it is stands in the table, and the other rounds are worth having
        where = f"seed {left.pop(0)}" if left else "at the end"
        tally.problems.append(f"{where}: the round broke: {wrong!r}")
        sys.stderr.write(f"{fault.name}, {tally.problems[-1]}\n")


def in_virtual_time(name: str, seeds: list[int]) -> Tally:
    """The same of a fault that only a simulated world can hold."""
    row, make = WORLDS[name]
    tally = Tally(row, f"{name} (virtual time)")
    for seed in seeds:
        outcome = judged(make, seed)
        tally.runs += 1
        tally.repeats += outcome.repeats
        tally.false += len(outcome.problems)
        tally.problems += [f"seed {seed}: {problem}" for problem in outcome.problems]
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="faults on the real stack, judged")
    parser.add_argument("--fault", default="", help="only those whose name holds these words")
    parser.add_argument("--runs", type=int, default=20, help="of each fault")
    parser.add_argument("--seed", type=int, help="one run, of this seed")
    parser.add_argument("--part", default="1/1", help="such as 2/4: the second quarter of the faults")
    parser.add_argument("--home", type=Path, help="where stack and logs go, and stay")
    words = parser.parse_args()
    part, parts = map(int, words.part.split("/"))
    chosen = [fault for fault in FAULTS if words.fault in fault.name][part - 1 :: parts]
    seeds = list(range(words.runs)) if words.seed is None else [words.seed]
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory(prefix="slawatch-chaos-") as scratch:
        if chosen:
            tallies = asyncio.run(run(chosen, seeds, words.home or Path(scratch)))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # a world's log lines are thousands
    tallies += [in_virtual_time(name, seeds) for name in WORLDS if words.fault in name and part == parts]
    sys.stdout.write(table(tallies) + "\n")
    return 1 if any(tally.problems for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
