"""`slawatch up` and `slawatch serve`: the whole on one machine, and one service in the foreground."""

import os
import runpy
import sys
from typing import Annotated, Final, Literal

import typer

from shared.cli.console import fail
from shared.runtime.settings import BadSettings, load

# For a state of gigabytes: huge pages, and memory that was used once is kept. A third more events a second, and snapshots in less time.
HUGE_PAGES: Final = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {"hugetlb": 1, "mmap_threshold": 1 << 25, "trim_threshold": 1 << 31, "top_pad": 1 << 26}.items()
)


def up(
    demo: Annotated[bool, typer.Option(help="also run the vendor simulator, and tell what happens")] = True,
) -> None:
    """Start Kafka, PostgreSQL and the three services on this machine, until Ctrl-C.

    Example: slawatch up --no-demo
    """
    from shared.local.supervisor import run_everything  # noqa: PLC0415 - only here are the stack's parts needed

    try:
        settings = load()
    except BadSettings as wrong:
        fail(str(wrong), 2)
    raise typer.Exit(run_everything(settings, demo=demo))


def serve(service: Annotated[Literal["ingest", "evaluator", "notifier"], typer.Argument(help="which one")]) -> None:
    """Run one service in the foreground: JSON lines to stderr, stops on SIGTERM.

    Example: SLAWATCH_KAFKA=broker:9092 SLAWATCH_DATABASE=postgresql://user@host/slawatch slawatch serve ingest
    """
    if service == "evaluator" and sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        environment = os.environ | {"GLIBC_TUNABLES": HUGE_PAGES}  # is read at a program's start only
        os.execve(sys.executable, [sys.executable, "-P", "-m", "services.evaluator"], environment)  # noqa: S606 - this very program
    runpy.run_module(f"services.{service}.__main__", run_name="__main__")
