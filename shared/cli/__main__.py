"""The command `slawatch`."""

import typer

from shared.cli import access, agreements, calendar, check, checkpoints, diff, explain, log, notify, quarantine, replay, stack

app = typer.Typer(
    name="slawatch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Watches vendors' service events and knows, within a moment, that a service level agreement is broken.",
)
app.command()(check.check)
app.command()(replay.replay)
app.command()(explain.explain)
app.command()(diff.diff)
app.add_typer(calendar.app, name="calendar")
app.command()(log.export)
app.command()(log.advance)
app.command()(log.repartition)
app.add_typer(access.keys, name="keys")
app.add_typer(access.tokens, name="tokens")
app.add_typer(access.accounts, name="accounts")
app.add_typer(agreements.app, name="agreements")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(notify.app, name="notify")
app.command()(stack.up)
app.command()(stack.serve)


def main() -> None:
    """Entry point of `.venv/bin/slawatch`."""
    app()


if __name__ == "__main__":
    main()
