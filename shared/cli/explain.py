"""`slawatch explain`: the timeline of one case, window or slot, and why the verdict is what it is."""

import re
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import typer

from shared.cli.console import fail, load_documents, out
from shared.cli.history import Rejects, Replay, Unusable, open_history
from shared.cli.replay import find_mapping
from shared.language.problems import nearest
from shared.sla.books import ClockBook, OverBook
from shared.sla.calendars import Zone
from shared.sla.engine import Case, Desk, Engine, books_of
from shared.sla.evidence import Evidence
from shared.sla.explaining import explain_case
from shared.sla.explaining_levels import Counted, counted_of, explain_level, explain_part, explain_slot, explain_violations
from shared.sla.heartbeats import Beat, HeartbeatBook
from shared.sla.instants import BadInstant, parse_instant
from shared.sla.levels import LevelBook
from shared.sla.statements import Said, Statement
from shared.sla.violations import ViolationBook
from shared.wire.history import BadLine

Told = dict[str, Any]
Place = tuple[str, str, str, str]  # agreement, objective, vendor, service
_SLOT: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z\Z", re.ASCII)  # how slots are called
_DAY: Final = re.compile(r"\d{4}-\d\d(-\d\d)?\Z", re.ASCII)  # a month or a day, in the agreement's zone


class _Asked:
    """What is to be explained: a subject; or an instant, at which a window begins or a slot is due."""

    def __init__(self, text: str) -> None:
        self.case = text
        self._day = (f"{text}-01"[:10] + "T00:00:00Z") if _DAY.match(text) else None
        try:
            self._instant: int | None = parse_instant(self._day or text)
        except BadInstant:
            self._instant = None

    @property
    def is_time(self) -> bool:
        """Whether it can be of a window or a slot."""
        return self._instant is not None

    def instant(self, zone: Zone) -> int | None:
        """The instant, for an agreement of a zone; None where it is none."""
        return self._instant if self._day is None or self._instant is None else zone.to_instant(self._instant)


class Kept(NamedTuple):
    """A book of the case, with all evidence of that, and log time as they were seen last."""

    book: ClockBook | ViolationBook
    events: list[Evidence]
    log_time: int


class _CaseSink:
    """Keeps what is said of what is asked, and what cases count for as they leave memory."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self.rejects = Rejects()
        self.statements: list[Statement] = []
        self.kept: list[Kept] = []  # of the case where it has left
        self.late: dict[Place, list[str]] = {}  # what came for clocks that had left
        self.counted: dict[LevelBook, list[Counted]] = {}
        self.beats: dict[HeartbeatBook, set[Beat]] = {}

    def said(self, statements: Sequence[Said]) -> None:
        """Of the case; or any of levels and slots, which are few beside clocks."""
        told = [s for s in statements if isinstance(s, Statement)]  # what explains keeps nothing on the swift path: all are
        self.statements += [s for s in told if s.case == self._asked.case or s.case is None or _SLOT.match(s.case)]

    def left(self, case: Case) -> None:
        """Keep what leaves memory: copies, as what is left of it is emptied."""
        if case.name == self._asked.case:
            self.kept += [Kept(copy(book), case.events, case.desk.lane.log_time or 0) for book in _case_books(case)]
            self.keep_late(case)
            for heartbeat in _heartbeats(case.desk):
                self.beats.setdefault(heartbeat, set()).update(heartbeat.beats_of(case.name))
        if self._asked.is_time or case.name == self._asked.case:
            for level in _levels(case.desk):
                self.counted.setdefault(level, []).append(counted_of(level, case.name))

    def keep_late(self, case: Case) -> None:
        """Keep what came for clocks of a case that had left before."""
        for book in case.books:
            if isinstance(book, OverBook):
                place = (book.agreement, book.objective, case.desk.vendor, case.desk.service)
                self.late.setdefault(place, []).extend(event_id for _, event_id in sorted(book.excluded))

    def rejected(self, line: BadLine) -> None:
        """A line that could not be used: perhaps the case's."""
        self.rejects.add(line)


def _case_books(case: Case) -> list[ClockBook | ViolationBook]:
    return [*books_of(case), *(book for book in case.books if isinstance(book, ViolationBook))]


def _levels(desk: Desk) -> Iterator[LevelBook]:
    return (book for book in desk.books.values() if isinstance(book, LevelBook))


def _heartbeats(desk: Desk) -> Iterator[HeartbeatBook]:
    return (book for book in desk.books.values() if isinstance(book, HeartbeatBook))


class _Explainer:
    """Tells, once a history has been read, what is asked."""

    def __init__(self, asked: _Asked, sink: _CaseSink, engines: list[Engine]) -> None:
        self._asked, self._sink, self._engines = asked, sink, engines

    def told(self) -> Iterator[Told]:
        """Clocks and violations of the case, slots, windows: one entry each."""
        kept = self._sink.kept
        for engine in self._engines:
            for desk in engine.desks():
                case = desk.cases.get(self._asked.case)
                if case is not None:
                    kept += [Kept(book, case.events, engine.log_time_of(desk.vendor)) for book in _case_books(case)]
                    self._sink.keep_late(case)
        for book, events, log_time in kept:
            if isinstance(book, ClockBook):
                place = (book.agreement, book.objective, book.vendor, book.service)
                said = [s for s in self._said(*place) if s.case == self._asked.case]
                yield from explain_case(book, events, log_time, said, self._sink.late.get(place, ()))
            else:
                yield from explain_violations(book, self._said(*book.place))
        for engine in self._engines:
            for desk in engine.desks():
                log_time = engine.log_time_of(desk.vendor)
                for heartbeat in _heartbeats(desk):
                    yield from self._slots(heartbeat, log_time)
                for level in _levels(desk):
                    yield from self._windows(level, log_time)

    def _said(self, agreement: str, objective: str, vendor: str, service: str) -> list[Statement]:
        place = (agreement, objective, vendor, service)
        return [s for s in self._sink.statements if (s.agreement, s.objective, s.vendor, s.service) == place]

    def _slots(self, book: HeartbeatBook, log_time: int) -> Iterator[Told]:
        """The slots that are due when asked, and those that an event of the case met or closed."""
        beats = self._sink.beats.get(book, set()) | book.beats_of(self._asked.case)
        for line in book.lines(log_time):
            due = line.view.due
            found = None if due is None else book.slot(due)
            if found is None:
                continue
            span, beat = found
            if due == self._asked.instant(span.rules.zone) or beat in beats:
                yield explain_slot(book, line, span, beat, self._said(*book.place))

    def _windows(self, book: LevelBook, log_time: int) -> Iterator[Told]:
        """What the case counts for, or the windows that begin when asked."""
        left = self._sink.counted.get(book, [])
        for counted in (*left, counted_of(book, self._asked.case)):
            if counted.case == self._asked.case:
                yield from explain_part(book, counted)
        edition = next(iter(book.timetable.editions), None)
        start = None if edition is None else self._asked.instant(edition.rules.zone)
        if start is not None:
            every = left + [counted_of(book, case) for case in sorted(book.cases())]
            yield from explain_level(book, start, log_time, every, self._said(*book.place))


def explain(
    agreements: Annotated[list[Path], typer.Option("--agreements", "-a", help="YAML of agreements and calendars: one file or several")],
    events: Annotated[Path, typer.Option("--events", "-e", help="history: NDJSON, an export, or CSV with --mapping; .gz too")],
    case: Annotated[
        str, typer.Option(help="the events' subject; or a window's start (2026-02, 2026-02-01, RFC 3339), or a slot's due instant")
    ],
    more: Annotated[list[Path] | None, typer.Argument(help="further files of --agreements")] = None,
    objective: Annotated[str | None, typer.Option(help="only this objective")] = None,
    mapping: Annotated[Path | None, typer.Option(help="YAML of kind Mapping, for CSV")] = None,
    until: Annotated[str | None, typer.Option(help="log time at the end, RFC 3339")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Why the verdict on one case, window or slot is what it is: each interval or event counted or not, each statement.

    Example: slawatch explain -a examples/helpdesk/agreement.yaml -e examples/helpdesk/events.ndjson --case INC-1001
    """
    loaded, asked = load_documents([*agreements, *(more or ())]), _Asked(case)
    known = {promised.name for agreement in loaded.agreements for promised in agreement.objectives}
    if objective is not None and objective not in known:
        fail(f"there is no objective {objective!r}: {nearest(objective, known)}".removesuffix(": "), 2)
    sink = _CaseSink(asked)
    run = Replay(loaded, sink, None)
    try:
        end = None if until is None else parse_instant(until)
        with open_history(events, find_mapping(mapping)) as source:
            run.feed_all(source)
    except (BadInstant, Unusable) as wrong:
        fail(str(wrong), 2)
    told = [one for one in _Explainer(asked, sink, run.finish(end)).told() if objective in (None, one["objective"])]
    sink.rejects.show()
    if not told:
        fail(
            f"nothing is counted for {case!r} in {events}: is it the subject of an event that an objective speaks of,"
            " the start of a window (2026-02, 2026-02-01) or the due of a slot (as in cases.ndjson)?"
        )
    if as_json:
        out.print_json(msgspec.json.encode(told).decode())
        return
    for one in told:
        for text in one["text"]:
            out.print(text, markup=False)
        out.print()
