"""`slawatch explain`: the timeline of one case, and why the verdict is what it is."""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from shared.cli.console import fail, load_documents, out
from shared.cli.history import Rejects, Replay, Unusable, open_history
from shared.cli.replay import find_mapping
from shared.sla.books import ClockBook
from shared.sla.engine import Case, books_of
from shared.sla.explaining import explain_case
from shared.sla.instants import BadInstant, parse_instant
from shared.sla.statements import Statement
from shared.wire.history import BadLine


class _CaseSink:
    """Keeps what is said of one case."""

    def __init__(self, case: str) -> None:
        self._case = case
        self.rejects = Rejects()
        self.statements: list[Statement] = []
        self.books: list[tuple[ClockBook, int]] = []  # with log time

    def said(self, statements: Sequence[Statement]) -> None:
        self.statements += [s for s in statements if s.case == self._case]

    def left(self, case: Case) -> None:
        """Of the case that is explained, keep what leaves memory: a copy, as what is left of it is emptied."""
        if case.name == self._case:
            self.books += [(copy(book), case.desk.lane.log_time or 0) for book in books_of(case)]

    def rejected(self, line: BadLine) -> None:
        """A line that could not be used: perhaps the case's."""
        self.rejects.add(line)


def explain(
    agreements: Annotated[list[Path], typer.Option("--agreements", "-a", help="YAML of agreements and calendars; may be repeated")],
    events: Annotated[Path, typer.Option("--events", "-e", help="history: NDJSON, an export, or CSV with --mapping; .gz too")],
    case: Annotated[str, typer.Option(help="the case: the events' subject")],
    mapping: Annotated[Path | None, typer.Option(help="YAML of kind Mapping, for CSV")] = None,
    until: Annotated[str | None, typer.Option(help="log time at the end, RFC 3339")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Why the verdict on one case is what it is: each interval counted or not, each event, each statement.

    Example: slawatch explain -a examples/helpdesk/agreement.yaml -e examples/helpdesk/events.ndjson --case INC-1001
    """
    loaded = load_documents(agreements)
    sink = _CaseSink(case)
    run = Replay(loaded, sink, None)
    try:
        end = None if until is None else parse_instant(until)
        with open_history(events, find_mapping(mapping)) as source:
            run.feed_all(source)
    except (BadInstant, Unusable) as wrong:
        fail(str(wrong), 2)
    told: list[dict[str, Any]] = []
    found = [(book, engine.log_time_of(book.vendor)) for engine in run.finish(end) for book in engine.books_of(case)]
    for book, log_time in [*sink.books, *found]:
        told += explain_case(book, log_time, [s for s in sink.statements if _same(s, book)])
    sink.rejects.show()
    if not told:
        fail(f"no clock ran for case {case!r} in {events}: is it the subject of an event that starts one?")
    if as_json:
        out.print_json(msgspec.json.encode(told).decode())
        return
    for cycle in told:
        for text in cycle["text"]:
            out.print(text, markup=False)
        out.print()


def _same(statement: Statement, book: ClockBook) -> bool:
    return (statement.agreement, statement.objective, statement.vendor, statement.service) == (
        book.agreement,
        book.objective,
        book.vendor,
        book.service,
    )
