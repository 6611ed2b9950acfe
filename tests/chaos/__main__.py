"""`python -m tests.chaos`: every fault, many times, and the table; `--fault WORDS --seed N`: one of them again."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.chaos.campaign import Tally, befall, table
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.judging import Judge
from tests.chaos.rig import ground, rigged
from tests.chaos.worlds import WORLDS, judged


async def run(faults: list[Fault], seeds: list[int], home: Path) -> list[Tally]:
    """Each fault on an installation of its own, the table so far after each."""
    tallies: list[Tally] = []
    async with ground(home / "stack") as under:
        for number, fault in enumerate(faults):
            tally = Tally(fault.row, fault.name, skipped=fault.missing())
            tallies.append(tally)
            if not tally.skipped:
                async with rigged(home / f"{number}", under) as rig:
                    judge = Judge(rig)
                    for seed in seeds:
                        await befall(rig, judge, fault, seed, tally)
                        sys.stderr.write(
                            f"{fault.name}, seed {seed}: {tally.recovery_s[-1]:.1f} s, {len(tally.problems)} problems so far\n"
                        )
            sys.stdout.write("\n".join([*tally.problems[:5], ""]))
    return tallies


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
    parser.add_argument("--home", type=Path, help="where stack and logs go, and stay")
    words = parser.parse_args()
    chosen = [fault for fault in FAULTS if words.fault in fault.name]
    seeds = list(range(words.runs)) if words.seed is None else [words.seed]
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory(prefix="slawatch-chaos-") as scratch:
        if chosen:
            tallies = asyncio.run(run(chosen, seeds, words.home or Path(scratch)))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # a world's log lines are thousands
    tallies += [in_virtual_time(name, seeds) for name in WORLDS if words.fault in name]
    sys.stdout.write(table(tallies) + "\n")
    return 1 if any(tally.problems for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
