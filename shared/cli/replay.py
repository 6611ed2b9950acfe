"""`slawatch replay`: history through the engine."""

import gc
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shared.cli.console import directory as make_directory
from shared.cli.console import err, fail, load_documents, out
from shared.cli.history import Order, Rejects, Replay, Source, Unusable, open_history
from shared.cli.spilling import AnyLine, Spill
from shared.language.mapping import RowMapping
from shared.sla.engine import Case, Engine
from shared.sla.instants import BadInstant, parse_instant
from shared.sla.statements import Said, WrittenLine
from shared.sla.terms import Agreement
from shared.wire import verdicts
from shared.wire.history import BadLine
from shared.wire.reports import CLOCK_STATES, LEVEL_STATES, Summary, case_line, level_line

REPORT_EVERY = 5_000


class Files:
    """The output directory's files, or nothing where none is wanted."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        if directory is not None:
            make_directory(directory)
        self._verdicts, self._rejects = self._open("verdicts.ndjson"), self._open("rejects.ndjson")
        self.verdicts = 0
        self._spill = Spill()
        self.rejects = Rejects()

    def _open(self, name: str) -> IO[bytes] | None:
        return None if self._directory is None else (self._directory / name).open("wb")

    def said(self, statements: Sequence[Said]) -> None:
        """Write verdicts."""
        self.verdicts += len(statements)
        if self._verdicts is not None:
            self._verdicts.writelines(verdicts.encode_statement(statement) + b"\n" for statement in statements)

    def rejected(self, line: BadLine) -> None:
        """Write a line that could not be used."""
        self.rejects.add(line)
        if self._rejects is not None:
            self._rejects.write(msgspec.json.encode({"line": line.number, "why": line.why, "text": line.text}) + b"\n")

    def left(self, case: Case) -> None:
        """Keep the lines of a case that leaves memory."""
        self._spill.left(case)

    def all_lines(self, engines: Sequence[Engine]) -> Iterator[AnyLine]:
        """Those of all cases, ordered by agreement, objective, vendor, service, case, cycle."""
        there = [line for engine in engines for line in engine.case_lines(swiftly=False)]  # first: the last ones may leave by it
        written = [engine.swift.lines() for engine in engines if engine.swift is not None]
        return self._spill.merged_with(written, there)

    def lines(self, name: str, lines: Iterator[Any]) -> None:
        """Write a file of JSON lines."""
        file = self._open(name)
        if file is None:
            deque(lines, 0)  # they are counted on their way
            return
        with file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)

    def document(self, name: str, document: Any) -> None:
        """Write a JSON document, indented."""
        if self._directory is not None:
            (self._directory / name).write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")

    def close(self) -> None:
        self._spill.close()
        for file in (self._verdicts, self._rejects):
            if file is not None:
                file.close()


@contextmanager
def _progress(source: Source) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[events]} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("replaying", total=source.size, events=0)
        yield lambda count: bar.update(task, completed=source.done, events=count)


@contextmanager
def _no_collector() -> Iterator[None]:
    """State only grows until the end, and holds no cycles: looking for any costs a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def find_mapping(file: Path | None) -> RowMapping | None:
    """The one mapping that a file holds; None without a file."""
    if file is None:
        return None
    mappings = load_documents([file]).mappings
    if len(mappings) != 1:
        fail(f"{file}: expected one document of kind Mapping, found {len(mappings)}")
    return mappings[0]


def replay(
    agreements: Annotated[list[Path], typer.Option("--agreements", "-a", help="YAML of agreements and calendars: one file or several")],
    events: Annotated[
        Path, typer.Option("--events", "-e", help="history: NDJSON of CloudEvents, an export, or CSV with --mapping; .gz too")
    ],
    more: Annotated[list[Path] | None, typer.Argument(help="further files of --agreements")] = None,
    mapping: Annotated[Path | None, typer.Option(help="YAML of kind Mapping, for CSV")] = None,
    order: Annotated[Order | None, typer.Option(help="as the file stands, or sorted by time (CSV's default)")] = None,
    until: Annotated[str | None, typer.Option(help="log time at the end, RFC 3339; without it, that of the last event")] = None,
    by: Annotated[Literal["vendor"] | None, typer.Option(help="`vendor`: the summary also by vendor")] = None,
    clock: Annotated[
        Literal["log", "event"] | None, typer.Option(help="log: use the lines' arrivals (default where they carry any)")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--out", "-o", help="directory for the results; without it only the summary is shown")
    ] = None,
) -> None:
    """Run a history through the engine: verdicts, cases, summary.

    Example: slawatch replay --agreements examples/helpdesk/agreement.yaml --events examples/helpdesk/events.ndjson --out out
    """
    loaded, files = load_documents([*agreements, *(more or ())]), Files(directory)
    run = Replay(loaded, files, clock, swiftly=True)
    try:
        end = None if until is None else parse_instant(until)
        with open_history(events, find_mapping(mapping)) as source, _progress(source) as tell, _no_collector():
            for count, line in enumerate(source.ordered(order), 1):
                run.feed(line)
                if count % REPORT_EVERY == 0:
                    tell(count)
    except (BadInstant, Unusable) as wrong:
        fail(str(wrong), 2)
    engines = run.finish(end)
    unknown = sum((engine.unknown for engine in engines), Counter[tuple[str, str]]())
    document = _write(files, engines, loaded.agreements, run.poisoned, by_vendor=by == "vendor")
    files.close()
    _show(document, files, unknown)


def _write(files: Files, engines: list[Engine], agreements: Sequence[Agreement], poisoned: int, *, by_vendor: bool) -> dict[str, Any]:
    names = [name for engine in engines for name in engine.objectives] + [(a.name, o.name) for a in agreements for o in a.objectives]
    summary = Summary(names)

    def counted() -> Iterator[Any]:
        for line in files.all_lines(engines):
            if isinstance(line, WrittenLine):
                agreement, objective, vendor = line.place[:3]
                summary.count(vendor, agreement, objective, line.state)
                yield msgspec.Raw(line.value)
            else:
                summary.add(line)
                yield case_line(line)

    def levels() -> Iterator[dict[str, Any]]:
        for engine in engines:
            for line in engine.level_lines():
                summary.add_level(line)
                yield level_line(line)

    files.lines("cases.ndjson", counted())
    files.lines("levels.ndjson", levels())
    files.document("statements.json", [])
    counts: Counter[str] = sum((engine.counts for engine in engines), Counter(quarantined=poisoned))
    document = summary.document(counts, by_vendor=by_vendor)
    files.document("summary.json", document)
    return document


def _show_levels(document: dict[str, Any]) -> None:
    table = Table("agreement", "objective", *(f"levels {state.replace('_', ' ')}" for state in LEVEL_STATES))
    for agreement, objectives in document["agreements"].items():
        for objective, entry in objectives.items():
            if any(entry["levels"].values()):
                table.add_row(agreement, objective, *(str(entry["levels"][state]) for state in LEVEL_STATES))
    if table.row_count:
        out.print(table)


def _show(document: dict[str, Any], files: Files, unknown: Counter[tuple[str, str]]) -> None:
    counts = ", ".join(f"{document[name]} {name.replace('_', ' ')}" for name in ("events_read", "duplicates", "quarantined", "late"))
    out.print(f"{counts}; {files.verdicts} verdicts")
    table = Table("agreement", "objective", *(state.replace("_", " ") for state in CLOCK_STATES))
    for agreement, objectives in document["agreements"].items():
        for objective, entry in objectives.items():
            table.add_row(agreement, objective, *(str(entry["clocks"][state]) for state in CLOCK_STATES))
    out.print(table)
    _show_levels(document)
    for (agreement, objective), count in sorted(unknown.items()):
        text = f"{agreement}, {objective}: {count} events of which a condition could not tell (a field is missing, null or of another kind)"
        err.print(text, style="yellow", markup=False)
    files.rejects.show()
