"""`make bench`: measure on this machine, and print figures, as ratios to a baseline of the same run where there is one.

Examples: python -m tests.bench throughput --cases 500000
          python -m tests.bench latency --long
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console

from shared.local.stack import start_stack
from tests.acceptance.alarms import CLOCKS, delays
from tests.bench import alerting, calendars, folding, latency, leaving, modes, moving, profiling, recovery, replaying, throughput

out = Console(highlight=False, soft_wrap=True)


def alarms() -> None:
    """Clocks that fall due with no further event: due + grace until the webhook is received."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stack = start_stack(directory / "stack")
        try:
            found = asyncio.run(delays(directory, stack.kafka, stack.database))
        finally:
            stack.stop()
    out.print(f"{CLOCKS} clocks due with no further event, due + grace to webhook received:")
    out.print(f"  median {median(found):.0f} ms, worst {found[-1]:.0f} ms   (goals: under 100 ms, under 500 ms)")


def benches(cases: int | None, rounds: int, is_long: bool) -> dict[str, Callable[[], None]]:
    """All, in the order in which they run. `cases`: of the jobs, where a size is asked for; `is_long`: the issue's sizes."""

    def sized(usual: int, large: int) -> int:
        return cases or (large if is_long else usual)

    return {
        "throughput": lambda: throughput.report(out, sized(100_000, 500_000), rounds),
        "modes": lambda: modes.report(out, sized(30_000, 500_000), rounds),
        "moving": lambda: moving.report(out, 500_000, rounds),
        "fold": lambda: folding.report(out, sized(50_000, 500_000), rounds),
        "calendars": lambda: calendars.report(out),
        "memory": lambda: folding.report_memory(out, [1_000_000, 10_000_000] if is_long else [300_000]),
        "growth": lambda: folding.report_growth(out, [10_000, 100_000, *([1_000_000, 10_000_000] if is_long else [])], [1, 10, 100, 1_000]),
        "leaving": lambda: leaving.report(out, 200_000 if is_long else 20_000),
        "replay": lambda: replaying.report(out, 1_000_000 if is_long else 200_000),
        "latency": lambda: latency.report(out, [1_000_000] if is_long else [100_000]),
        "recovery": lambda: recovery.report(out, [1_000_000] if is_long else [100_000, 300_000]),
        "profile": lambda: profiling.report(out, sized(30_000, 100_000)),
        "alarms": alarms,
        "alerting": lambda: alerting.report(out),
    }


def main() -> None:
    """All, or those named."""
    names = list(benches(None, 1, False))
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", nargs="*", help=f"of {', '.join(names)}; none: all")
    parser.add_argument("--cases", type=int, help="of the jobs of throughput, modes, fold and profile")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput, modes, moving and fold, whose medians count (3)")
    parser.add_argument("--long", action="store_true", help="the sizes of the goals: 500,000 cases, 1,000,000 clocks, half an hour in all")
    asked = parser.parse_args()
    for name in asked.which:
        if name not in names:
            parser.error(f"no benchmark {name!r}: there is {', '.join(names)}")
    chosen = benches(asked.cases, asked.rounds, asked.long)
    for name in asked.which or names:
        out.rule(name)
        out.print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        chosen[name]()


if __name__ == "__main__":
    main()
