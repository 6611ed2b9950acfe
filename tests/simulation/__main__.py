"""`python -m tests.simulation --seed N`: one world again, with its chronicle; `--seeds A-B`: many."""

import argparse
import logging
import sys
import time

import structlog

from tests.simulation.judging import Judge
from tests.simulation.world import run_world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="worlds from seeds, judged")
    parser.add_argument("--seed", type=int, help="one world, told in detail")
    parser.add_argument("--seeds", default="0-49", help="many, such as 0-999")
    parser.add_argument("--logs", action="store_true", help="with the evaluators' log lines")
    words = parser.parse_args()
    if not words.logs:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    first, _, last = words.seeds.partition("-")
    seeds = [words.seed] if words.seed is not None else range(int(first), int(last or first) + 1)
    failed = 0
    for seed in seeds:
        begun = time.perf_counter()
        judge = Judge(run_world(seed))
        problems = judge.problems()
        failed += bool(problems)
        if words.seed is not None:
            sys.stdout.write("\n".join(judge.history.chronicle) + "\n")
        records, said = sum(map(len, judge.logs)), len(judge.expected.verdicts)
        took = time.perf_counter() - begun
        sizes = f"{records} records, {said} verdicts, {len(judge.output)} appended, {took:.2f} s"
        sys.stdout.write(f"seed {seed}: {sizes}: {problems or 'right'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
