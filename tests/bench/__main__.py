"""`make bench`: measure on this machine, and print a table.

Example: python -m tests.bench alarms
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console

from shared.local.stack import start_stack
from tests.acceptance.alarms import CLOCKS, delays
from tests.bench import alerting, calendars, folding

out = Console(highlight=False)


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


BENCHES: dict[str, Callable[[], None]] = {
    "alarms": alarms,
    "fold": lambda: folding.report(out),
    "calendars": lambda: calendars.report(out),
    "alerting": lambda: alerting.report(out),
}


def main() -> None:
    """All, or those named."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", nargs="*", help=f"of {', '.join(BENCHES)}; none: all")
    named = parser.parse_args().which or list(BENCHES)
    for name in named:
        if name not in BENCHES:
            parser.error(f"no benchmark {name!r}: there is {', '.join(BENCHES)}")
    for name in named:
        out.rule(name)
        BENCHES[name]()


if __name__ == "__main__":
    main()
