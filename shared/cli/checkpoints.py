"""`slawatch checkpoints`: where each partition's fold can go on from."""

from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from shared.adapters.postgres.checkpoints import PostgresCheckpoints, log_name
from shared.adapters.postgres.database import connect
from shared.cli.console import fail, out, run, settings_of_stack
from shared.ports.checkpoints import Checkpoint
from shared.runtime.settings import Settings
from shared.sla.instants import format_instant

app = typer.Typer(no_args_is_help=True, help="The evaluators' checkpoints: look at them, or fold the whole log anew.")


async def _all(settings: Settings, *, forget: bool) -> dict[int, Checkpoint | None]:
    engine = connect(settings.database.get_secret_value(), pool=1)
    try:
        store = PostgresCheckpoints(engine, log_name(settings.topic_events, settings.group))
        found = await store.all()
        if forget:
            await store.forget()
        return found
    except (SQLAlchemyError, OSError) as wrong:
        fail(f"the database does not answer: {wrong}. Start it, or say where it is with SLAWATCH_DATABASE")
    finally:
        await engine.dispose()


@app.command("list")
def show() -> None:
    """List the newest checkpoint of each partition.

    Example: slawatch checkpoints list
    """
    table = Table("partition", "goes on from offset", "saved", box=None)
    for number, checkpoint in sorted(run(lambda: _all(settings_of_stack(), forget=False)).items()):
        if checkpoint is not None:
            table.add_row(str(number), str(checkpoint.offset), format_instant(checkpoint.saved_at))
    out.print(table)


@app.command()
def forget(*, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False) -> None:
    """Remove all checkpoints, so that evaluators fold the whole log by the rules they have now. Stop them first.

    Example: slawatch checkpoints forget --yes
    """
    if not yes:
        typer.confirm("The evaluators will fold the whole log again, which takes its time. Go on?", abort=True)
    found = run(lambda: _all(settings_of_stack(), forget=True))
    out.print(f"forgot the checkpoints of {sum(checkpoint is not None for checkpoint in found.values())} partitions")
