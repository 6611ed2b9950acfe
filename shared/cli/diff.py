"""`slawatch diff`: what a draft agreement would change."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from shared.cli.console import directory as make_directory
from shared.cli.console import fail, load_documents, out
from shared.cli.history import Rejects, Replay, Unusable, open_history
from shared.cli.replay import find_mapping
from shared.sla.books import CaseLine
from shared.sla.engine import Case, Engine
from shared.sla.instants import BadInstant, parse_instant
from shared.sla.statements import Said
from shared.wire.history import BadLine
from shared.wire.reports import case_line, level_line

Outcome = dict[str, Any]
Place = tuple[str, ...]
COMPARED = ("state", "due", "stopped", "late_s", "value")  # what a verdict is; the version that gave it is not
SHOWN = 40


class _Left:
    """What is said on the way does not matter here; lines of cases that leave do."""

    def __init__(self) -> None:
        self.lines: list[CaseLine] = []
        self.rejects = Rejects()

    def left(self, case: Case) -> None:
        self.lines += Engine.lines_of(case)

    def said(self, statements: Sequence[Said]) -> None: ...

    def rejected(self, line: BadLine) -> None:
        self.rejects.add(line)


def outcomes(agreement: Path, events: Path, mapping: Path | None, until: int | None) -> dict[Place, Outcome]:
    """The final line of every clock and window, by objective, vendor, service, case and cycle or window, and agreement. Raises Unusable."""
    sink = _Left()
    run = Replay(load_documents([agreement]), sink, None)
    with open_history(events, find_mapping(mapping)) as source:
        run.feed_all(source)
    found: dict[Place, Outcome] = {}
    for engine in run.finish(until):
        for clock in map(case_line, [*sink.lines, *engine.case_lines()]):
            found[_place(clock, "case", "cycle", "event")] = clock
        for level in map(level_line, engine.level_lines()):
            found[_place(level, "window_start", "window_end")] = level
    sink.rejects.show(f" under {agreement}")
    return found


def _place(line: Outcome, *names: str) -> Place:
    return tuple(str(line[name]) for name in ("objective", "vendor", "service", *names, "agreement"))


def _without_agreement(lines: dict[Place, Outcome]) -> dict[Place, Outcome]:
    return {place[:-1]: line for place, line in lines.items()}


def changes(old: dict[Place, Outcome], new: dict[Place, Outcome]) -> list[dict[str, Any]]:
    """Every place where the verdicts differ: `from` and `to`, null where there is none."""
    found = []
    for place in sorted(old.keys() | new.keys()):
        before, after = old.get(place), new.get(place)
        if [(before or {}).get(name) for name in COMPARED] != [(after or {}).get(name) for name in COMPARED]:
            found.append({"place": list(place), "from": before, "to": after})
    return found


def diff(
    old: Annotated[Path, typer.Argument(help="YAML of the agreement as it is, with its calendars")],
    new: Annotated[Path, typer.Argument(help="YAML of the draft, with its calendars")],
    events: Annotated[Path, typer.Option("--events", "-e", help="history: NDJSON, an export, or CSV with --mapping; .gz too")],
    mapping: Annotated[Path | None, typer.Option(help="YAML of kind Mapping, for CSV")] = None,
    until: Annotated[str | None, typer.Option(help="log time at the end, RFC 3339")] = None,
    directory: Annotated[Path | None, typer.Option("--out", "-o", help="directory for diff.ndjson, every change")] = None,
) -> None:
    """Which verdicts a draft agreement would change, on the events of the past.

    Example: slawatch diff examples/helpdesk/agreement.yaml draft.yaml --events examples/helpdesk/events.ndjson
    """
    try:
        end = None if until is None else parse_instant(until)
        before, after = (outcomes(file, events, mapping, end) for file in (old, new))
    except (BadInstant, Unusable) as wrong:
        fail(str(wrong), 2)
    if len({place[-1] for place in before}) < 2 and len({place[-1] for place in after}) < 2:
        before, after = _without_agreement(before), _without_agreement(after)  # so that a draft may have a name of its own
    found = changes(before, after)
    if directory is not None:
        (make_directory(directory) / "diff.ndjson").write_bytes(b"".join(msgspec.json.encode(change) + b"\n" for change in found))
    _show(found, len(before.keys() | after.keys()))


def _show(found: list[dict[str, Any]], total: int) -> None:
    out.print(f"{len(found)} of {total} verdicts change")
    if not found:
        return
    moves = Counter((change["place"][0], _state(change["from"]), _state(change["to"])) for change in found)
    summary = Table("objective", "from", "to", "verdicts")
    for (objective, was, becomes), count in sorted(moves.items()):
        summary.add_row(objective, was, becomes, str(count))
    out.print(summary)
    table = Table("objective", "vendor", "case or window", "from", "to", "due or level from", "due or level to")
    for change in found[:SHOWN]:
        place, was, becomes = change["place"], change["from"], change["to"]
        table.add_row(place[0], place[1], place[3], _state(was), _state(becomes), _measure(was), _measure(becomes))
    out.print(table)
    if len(found) > SHOWN:
        out.print(f"and {len(found) - SHOWN} more: --out DIR writes them all")


def _measure(line: Outcome | None) -> str:
    """When a clock is due, or what a level is."""
    of = {} if line is None else line
    return next((str(of[name]) for name in ("due", "value") if of.get(name) is not None), "")


def _state(line: Outcome | None) -> str:
    return "-" if line is None else str(line["state"])
