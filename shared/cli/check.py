"""`slawatch check`: are these agreements, calendars, mappings and routings right?"""

from pathlib import Path
from typing import Annotated

import typer

from shared.cli.console import err, out
from shared.language import load


def check(files: Annotated[list[Path], typer.Argument(help="YAML files; what one names may stand in another")]) -> None:
    """Validate agreements, calendars, mappings and routings: file, line, column and a hint for each problem; exit code 1 if there is any.

    Example: slawatch check examples/helpdesk/agreement.yaml
    """
    loaded = load(files)
    for problem in loaded.problems:
        err.print(str(problem), markup=False)
    if loaded.problems:
        err.print(f"{len(loaded.problems)} problem{'s' if len(loaded.problems) > 1 else ''}", style="red")
        raise typer.Exit(1)
    objectives = sum(len(agreement.objectives) for agreement in loaded.agreements)
    counts = (
        (len(loaded.agreements), "agreements"),
        (objectives, "objectives"),
        (len(loaded.calendars), "calendars"),
        (len(loaded.mappings), "mappings"),
        (len(loaded.routings), "routings"),
    )
    out.print("ok: " + ", ".join(f"{count} {what}" for count, what in counts))
