"""`slawatch up` and `slawatch serve`: the whole on one machine, and one service in the foreground."""

import runpy
from typing import Annotated, Literal

import typer

from shared.cli.console import fail
from shared.runtime.settings import BadSettings, load


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
    runpy.run_module(f"services.{service}.__main__", run_name="__main__")
