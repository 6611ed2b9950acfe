"""`python -m tests.chaos`: every fault, many times, and the table; `--fault WORDS --seed N`: one of them again."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Tally, befall, table
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.judging import Judge
from tests.chaos.rig import ground, rigged


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="faults on the real stack, judged")
    parser.add_argument("--fault", default="", help="only those whose name holds these words")
    parser.add_argument("--runs", type=int, default=20, help="of each fault")
    parser.add_argument("--seed", type=int, help="one run, of this seed")
    parser.add_argument("--home", type=Path, help="where stack and logs go, and stay")
    words = parser.parse_args()
    chosen = [fault for fault in FAULTS if words.fault in fault.name]
    seeds = list(range(words.runs)) if words.seed is None else [words.seed]
    with tempfile.TemporaryDirectory(prefix="slawatch-chaos-") as scratch:
        tallies = asyncio.run(run(chosen, seeds, words.home or Path(scratch)))
    sys.stdout.write(table(tallies) + "\n")
    return 1 if any(tally.problems for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
