"""Loading documents: files or texts in; agreements, calendars, mappings, routings and all the problems out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from shared.alerting.terms import Routing
from shared.language.agreements import AGREEMENT
from shared.language.calendars import ALWAYS, API_VERSION, CALENDAR, always, compile_calendar, unknown_calendar
from shared.language.compiling import compile_agreement
from shared.language.mapping import MAPPING, RowMapping, compile_mapping
from shared.language.nodes import TEXT_LENGTH_MAX, Node, Table, Text, documents
from shared.language.problems import LanguageError, Problem, Report, nearest
from shared.language.readers import BAD, Fields, Record
from shared.language.routing import ROUTING, calendar_places, compile_routing
from shared.sla.terms import Agreement, Bundle, CalendarTable

KINDS: Final[dict[str, Record]] = {"Agreement": AGREEMENT, "Calendar": CALENDAR, "Mapping": MAPPING, "Routing": ROUTING}
_NO_CALENDARS: Final[Mapping[str, CalendarTable]] = {}


class Loaded(msgspec.Struct, frozen=True):
    """What the documents say. With problems, only the parts without any are here."""

    agreements: tuple[Agreement, ...] = ()
    calendars: dict[str, CalendarTable] = {}
    mappings: tuple[RowMapping, ...] = ()
    routings: tuple[Routing, ...] = ()
    problems: tuple[Problem, ...] = ()

    def or_raise(self) -> "Loaded":
        """Itself; raises LanguageError where there is a problem."""
        if self.problems:
            raise LanguageError(self.problems)
        return self


class _Document(msgspec.Struct):
    """One document that was read (`fields`), or could not be (None)."""

    kind: str
    name: str | None
    node: Table
    fields: Fields | None
    report: Report
    problems_before: int
    problems_after: int

    @property
    def sound(self) -> bool:
        return self.fields is not None and self.problems_before == self.problems_after


def load(files: Sequence[Path], known: Mapping[str, CalendarTable] = _NO_CALENDARS) -> Loaded:
    """Reads files of YAML documents. A file that cannot be read is a problem like others."""
    reports, read = [], []
    for file in files:
        report = Report(str(file))
        reports.append(report)
        try:
            if file.stat().st_size > 4 * TEXT_LENGTH_MAX:  # not even to be read; 4 bytes a character at most
                report.at(Node(1, 1), f"the file is larger than {TEXT_LENGTH_MAX} characters can be", "split it")
                continue
            text = file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as wrong:
            if isinstance(wrong, UnicodeDecodeError):
                reason, hint = "it is not UTF-8 text", "save it as UTF-8"
            else:
                reason, hint = wrong.strerror or str(wrong), ""
            report.at(Node(1, 1), f"the file cannot be read: {reason}", hint)
            continue
        read += _read(text, report)
    return _assembled(read, reports, known)


def load_text(name: str, text: str, known: Mapping[str, CalendarTable] = _NO_CALENDARS) -> Loaded:
    """Reads one text of YAML documents, called `name` in problems; `known` are calendars that exist beside it."""
    report = Report(name)
    return _assembled(_read(text.removeprefix("\ufeff"), report), [report], known)


def load_or_raise(files: Sequence[Path], known: Mapping[str, CalendarTable] = _NO_CALENDARS) -> Loaded:
    """As `load`; raises LanguageError with all the problems."""
    return load(files, known).or_raise()


def bundles(loaded: Loaded, known: Mapping[str, CalendarTable] = _NO_CALENDARS) -> tuple[Bundle, ...]:
    """Each agreement with the calendars it names, and always with the `24x7` of its own zone."""
    calendars = {**known, **loaded.calendars}
    return tuple(_bundle(agreement, calendars) for agreement in loaded.agreements)


def _bundle(agreement: Agreement, calendars: Mapping[str, CalendarTable]) -> Bundle:
    named = {agreement.calendar}
    for objective in agreement.objectives:
        named |= {objective.calendar, *(target.calendar for target in getattr(objective, "targets", ()))}
    table = {name: calendars[name] for name in sorted(named - {ALWAYS})}
    return Bundle(agreement=agreement, calendars={**table, ALWAYS: always(agreement.timezone)})


def _read(text: str, report: Report) -> list[_Document]:
    found = []
    count, before_all = 0, len(report)
    for count, node in enumerate(documents(text, report), 1):  # noqa: B007 - how many there were
        if not isinstance(node, Table):
            report.at(node, "a document is a table of keys", f"begin with apiVersion: {API_VERSION}")
            continue
        kind, name = node.get("kind"), node.get("name")
        if not isinstance(kind, Text) or kind.text not in KINDS:
            written = kind.text if isinstance(kind, Text) else ""
            message = f"the kind {written!r} is not known" if kind else "the document does not say its kind"
            report.at(kind or node, message, nearest(written, KINDS))
            continue
        before = len(report)
        value = KINDS[kind.text].read(node, report)
        fields = None if value is BAD else value
        found.append(_Document(kind.text, name.text if isinstance(name, Text) else None, node, fields, report, before, len(report)))
    if not count and len(report) == before_all:
        report.at(Node(1, 1), "there is no document in it", f"begin with apiVersion: {API_VERSION}")
    return found


def _assembled(read: Sequence[_Document], reports: Iterable[Report], known: Mapping[str, CalendarTable]) -> Loaded:
    _refuse_twins(read)
    declared = {document.name for document in read if document.kind == "Calendar" and document.name} | known.keys()
    for document in read:
        if document.kind == "Agreement":
            _refuse_unknown_calendars(document, _calendar_places(document.node), declared)
        elif document.kind == "Routing":
            _refuse_unknown_calendars(document, calendar_places(document.node), declared)
    agreements: tuple[Agreement, ...] = _compiled(read, "Agreement", compile_agreement)
    calendars: tuple[CalendarTable, ...] = _compiled(read, "Calendar", compile_calendar)
    mappings: tuple[RowMapping, ...] = _compiled(read, "Mapping", compile_mapping)
    named = {calendar.name: calendar for calendar in calendars}
    routings = tuple(
        compile_routing(document.fields, {**known, **named}, document.report.file)
        for document in read
        if document.kind == "Routing" and document.fields and document.sound
    )
    problems = tuple(problem for report in reports for problem in report.problems)
    return Loaded(agreements, named, mappings, () if problems else routings, problems)


def _compiled(read: Sequence[_Document], kind: str, compile_fields: Callable[[Fields], Any]) -> tuple[Any, ...]:
    return tuple(compile_fields(document.fields) for document in read if document.kind == kind and document.fields and document.sound)


def _complain(document: _Document, place: Node, message: str, hint: str) -> None:
    document.report.at(place, message, hint)
    document.problems_after += 1


def _refuse_twins(read: Sequence[_Document]) -> None:
    seen: dict[tuple[str, Any, Any], _Document] = {}
    for document in read:
        if document.fields is None:
            continue
        version = document.fields.get("version", 1) if document.kind == "Agreement" else None
        first = seen.setdefault((document.kind, document.name, version), document)
        if first is not document:
            what = f"{document.kind.lower()} {document.name!r}" + (f" version {version}" if version else "")
            hint = f"the first is at {first.report.file}:{first.node.line}; " + ("raise the version" if version else "choose another name")
            _complain(
                document,
                document.fields.place("version" if document.fields.has_key("version") else "name"),
                f"{what} stands here twice",
                hint,
            )


def _refuse_unknown_calendars(document: _Document, places: list[Text], declared: set[str]) -> None:
    for node in places:
        if node.text != ALWAYS and node.text not in declared and not node.empty:
            _complain(document, node, *unknown_calendar(node.text, sorted(declared)))


def _calendar_places(node: Table) -> list[Text]:
    """Where an agreement names calendars: itself, its objectives, their targets."""
    places = [node.get("calendar")]
    for objective in getattr(node.get("objectives"), "items", ()):
        if isinstance(objective, Table):
            places.append(objective.get("calendar"))
            targets = getattr(objective.get("targets"), "items", ())
            places += [target.get("calendar") for target in targets if isinstance(target, Table)]
    return [place for place in places if isinstance(place, Text)]
