"""The Mapping document: how the rows of a foreign table become CloudEvents. `shared.language.rows` runs it.

A value of an event is a template (`"INC-{number}"`, where `{number}` stands for the row's cell; `{{` is a brace) or a table
`{column: …}` with a conversion. A cell that is missing or one of `empty` has no value, and neither has a template that names it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from shared.language import values
from shared.language.calendars import header
from shared.language.cells import EPOCHS, Kind, converted
from shared.language.nodes import Node, Table
from shared.language.problems import Report, Wrong
from shared.language.readers import ByShape, Fields, Key, Leaf, Many, OneOf, Pairs, Record, Whole
from shared.language.zones import zone_name
from shared.sla.conditions import Condition, ConditionError, compile_condition, fields_read

ROW_VARIABLES: Final = ("file", "row")  # what conditions over a row see: file.name, file.line, and the row's cells as texts
DEFAULT_EMPTY: Final = ("",)
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_DIRECTIVES: Final = frozenset("YymdHMSfzbBpIjaA%")
_DAY_PARTS: Final = ((set("Yy"), set("mbB"), set("d")), (set("Yy"), set("j")))  # one of each group tells the day


class Template(msgspec.Struct, frozen=True):
    """Constant texts and columns in turn, such as ("INC-", "number", ""): odd places are columns."""

    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.parts[1::2]


class RowValue(msgspec.Struct, frozen=True):
    """Where a value comes from and what it is turned into. `dates`: formats for instants; `words`: cell -> value, others are skipped."""

    template: Template
    kind: Kind = "text"
    dates: tuple[str, ...] = ()
    zone: str = "UTC"
    words: Mapping[str, str] | None = None
    default: str | None = None

    @property
    def is_constant(self) -> bool:
        """Whether it is the same text for every row."""
        return self.kind == "text" and not self.template.columns


class RowEvent(msgspec.Struct, frozen=True):
    """One event that a row may give. Attributes by their CloudEvents names; `time` is an instant."""

    attributes: Mapping[str, RowValue]
    data: Mapping[str, RowValue]
    when: str | None = None


class RowMapping(msgspec.Struct, frozen=True):
    name: str
    events: tuple[RowEvent, ...]
    empty: tuple[str, ...] = DEFAULT_EMPTY
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    skip_lines: int = 0

    @property
    def columns(self) -> frozenset[str]:
        """Every column that a value or a condition names."""
        every = (value for event in self.events for value in (*event.attributes.values(), *event.data.values()))
        named = [fields_read(event.when, ROW_VARIABLES) for event in self.events if event.when]
        return frozenset(column for value in every for column in value.template.columns).union(*(one | two for one, two in named))


def template(text: str) -> Template:
    """`"INC-{number}"`; raises Wrong for braces without a partner."""
    parts, constant, at = [], "", 0
    for found in _PART.finditer(text):
        constant += text[at : found.start()]
        at = found.end()
        if found[0] in ("{{", "}}"):
            constant += found[0][0]
        elif found[1]:
            parts += [constant, found[1]]
            constant = ""
        else:
            raise Wrong(f"{text!r} has a brace that names no column", "write {column}, or {{ for a brace itself", found.start())
    return Template((*parts, constant + text[at:]))


def date_format(text: str) -> str:
    """A strptime format, `rfc3339`, or a count from 1970 on: `epoch_s`, `epoch_ms`."""
    if text == "rfc3339" or text in EPOCHS:
        return text
    written = re.findall(r"%(.)", text)
    if not written:
        raise Wrong(
            f"{text!r} is not a date format", 'write strptime directives, such as "%Y-%m-%d %H:%M:%S", or rfc3339, epoch_s, epoch_ms'
        )
    unknown = [directive for directive in written if directive not in _DIRECTIVES]
    if unknown:
        raise Wrong(f"%{unknown[0]} is not a date directive", "known are %Y %y %m %d %H %M %S %f %z and the names of months")
    if not any(all(part & set(written) for part in parts) for parts in _DAY_PARTS):
        raise Wrong(f"{text!r} names no day of a year", 'write year, month and day, such as "%d/%m/%Y %H:%M"')
    twice = next((directive for directive in written if written.count(directive) > 1 and directive != "%"), None)
    if twice is not None:
        raise Wrong(f"%{twice} stands twice in {text!r}", "%m is the month, %M the minute")
    return text


def row_condition(text: str) -> str:
    """A CEL condition over `row` (cells as texts, empty ones missing) and `file` (name, line)."""
    try:
        condition_of(text)
    except ConditionError as wrong:
        raise Wrong(f"condition: {wrong.message}", wrong.hint, wrong.offset or 0) from None
    return text


def condition_of(text: str) -> Condition:
    """The compiled condition, over (file, row)."""
    return compile_condition(text, ROW_VARIABLES)


def _one_character(text: str) -> str:
    named = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(named) != 1 or named in '"\r\n':
        raise Wrong(f"{text!r} is not one character", 'write "," or ";" or tab')
    return named


def _encoding(text: str) -> str:
    try:
        "".encode(text)
    except LookupError:
        raise Wrong(f"the encoding {text!r} is not known", "write utf-8, latin-1, gb18030 …") from None
    return text


# --- keys

_DATES = Many(Leaf(date_format, {"examples": ["%Y-%m-%dT%H:%M:%S", "rfc3339", "epoch_s", "epoch_ms"]}), single=True)
_ZONE = Leaf(zone_name, {"examples": ["America/New_York"]})
_TEMPLATE = Leaf(template, {"examples": ["{number}", "INC-{number}", "a constant"]})


class _Anything(Leaf):
    """A text that may be empty."""

    def __init__(self) -> None:
        super().__init__(str)

    def read(self, node: Any, report: Report) -> Any:
        return node.text if getattr(node, "text", None) == "" else super().read(node, report)


def _check_value(fields: Fields, report: Report) -> None:
    for key in ("dates", "timezone"):
        if fields.has_key(key) and fields.get("as", "instant") != "instant":
            report.at(fields.key_place(key), f"{key!r} goes with 'as: instant' only", "add as: instant")


_CONVERTED = Record(
    "Value of a row",
    (
        Key("column", Leaf(values.any_text), "the column it is in", required=True),
        Key("as", OneOf("text", "number", "boolean", "instant"), "what it is turned into (default text)"),
        Key("dates", _DATES, "formats of an instant (default: those of the mapping)"),
        Key("timezone", _ZONE, "zone of an instant without offset (default: that of the mapping)"),
        Key("values", Pairs(str, Leaf(values.any_text)), "cell -> value; other cells have no value"),
        Key("default", Leaf(values.any_text), "the value where the cell has none"),
    ),
    check=_check_value,
)
_VALUE = ByShape(text=_TEMPLATE, table=_CONVERTED)
_OPTIONAL: Final = ("id", "source", "vendor", "service", "sequence", "replaces")


def _check_event(fields: Fields, report: Report) -> None:
    """A time is in a column, and what an event must have is not empty."""
    for key in ("type", "time", "subject"):
        value = fields.get(key)
        if not isinstance(value, Template) or value.columns:
            continue
        if key == "time":
            report.at(fields.place(key), f"the time {value.parts[0]!r} names no column", f'write "{{{value.parts[0]}}}"')
        elif not value.parts[0].strip():
            report.at(fields.place(key), f"the {key} is empty", 'write a column, such as "{number}", or a constant')


_EVENT = Record(
    "Event of a row",
    (
        Key("type", _VALUE, "the event's type", required=True),
        Key("time", _VALUE, "when it happened", required=True),
        Key("subject", _VALUE, "the case", required=True),
        Key(
            "when",
            Leaf(row_condition, {"examples": ['row.status == "Closed"', "has(row.closed_at)"]}),
            "rows that give this event; cells are texts, and a row of which it cannot tell is rejected",
        ),
        Key("id", _VALUE, "its identity (default: a hash of the event, so that the same row twice is the same event)"),
        Key("source", _VALUE, "the system it comes from (default: the mapping's)"),
        Key("vendor", _VALUE, "the vendor (default: the mapping's)"),
        Key("service", _VALUE, "the service (default: the mapping's)"),
        Key("sequence", _VALUE, "orders events of one instant"),
        Key("replaces", _VALUE, "the id of the event that this one corrects"),
        Key("data", Pairs(values.any_text, _VALUE), "fields of the event's data; those without a value are left out"),
    ),
    check=_check_event,
)


def _check(fields: Fields, report: Report) -> None:
    for event in fields.get("events", ()):
        for key in ("vendor", "service"):
            if not event.has_key(key) and not fields.has_key(key):
                report.at(event.node, f"the event has no {key!r}", f"add {key}: to it, or to the mapping")
    for place, attribute, value in _written(fields):
        if attribute == "type":
            _check_type(place, value, report)
        if isinstance(value, Fields):
            _check_kind(attribute, value, report)
            _check_constants(_row_value(value, fields, "instant" if attribute == "time" else None), value, fields, report)


def _written(fields: Fields) -> Iterator[tuple[Node, str, Template | Fields]]:
    """Each value of a mapping: where it stands, the attribute that it is for (empty: a field of the data), and itself."""
    for holder in (fields, *fields.get("events", ())):
        yield from ((holder.place(key), key, holder[key]) for key in ("type", "time", "subject", *_OPTIONAL) if key in holder)
        yield from ((holder.place("data"), "", value) for _, value in holder.get("data", ()))


def _check_type(place: Node, value: Template | Fields, report: Report) -> None:
    """No row may give a type that is slawatch's own."""
    constants = [(place, value.parts[0])] if isinstance(value, Template) else list(_constants(value))
    for node, text in constants:
        try:
            values.event_type(text or "any")
        except Wrong as wrong:
            report.at(node, wrong.message, wrong.hint)


def _check_kind(attribute: str, value: Fields, report: Report) -> None:
    kind = value.get("as")
    if attribute == "time" and kind not in (None, "instant"):
        report.at(value.place("as"), "the time is an instant", "leave out 'as'; for a count from 1970 on, write dates: epoch_s or epoch_ms")
    elif attribute and kind in ("number", "boolean"):
        report.at(value.place("as"), f"the {attribute} is a text, not a {kind}", "leave out 'as'")


def _check_constants(value: RowValue, fields: Fields, mapping: Fields, report: Report) -> None:
    """What stands for a cell is converted as the cell would be."""
    if value.kind == "instant" and any(holder.has_key("dates") and "dates" not in holder for holder in (fields, mapping)):
        return  # the dates have a problem of their own
    for node, text in _constants(fields):
        try:
            converted(text, value.kind, value.dates, value.zone)
        except ValueError as wrong:
            report.at(node, str(wrong), f"what stands for a cell becomes a{'n' * (value.kind == 'instant')} {value.kind} as the cell does")


def _constants(fields: Fields) -> Iterator[tuple[Node, str]]:
    """What a value is where its cell is of certain words, or is empty; with where it stands."""
    if "default" in fields:
        yield fields.place("default"), fields["default"]
    words = fields.place("values")
    for cell, text in fields.get("values", ()):
        yield (words.get(cell) if isinstance(words, Table) else None) or words, text


MAPPING = Record(
    "Mapping",
    (
        *header("Mapping"),
        Key("timezone", _ZONE, "zone of wall times without offset (default UTC)"),
        Key("dates", _DATES, "formats of dates, tried in order (default rfc3339); epoch_s and epoch_ms count from 1970 on"),
        Key("empty", Many(_Anything(), single=True), 'cells that count as no value (default [""])'),
        Key("delimiter", Leaf(_one_character), 'between columns (default ",")'),
        Key("encoding", Leaf(_encoding), "of the file (default UTF-8)"),
        Key("skip_lines", Whole(0), "lines before the line of column names (default 0)"),
        Key("vendor", _VALUE, "default for all events"),
        Key("service", _VALUE, "default for all events"),
        Key("source", _VALUE, "default for all events (itself by default /import/NAME)"),
        Key("events", Many(_EVENT), "the events that each row gives", required=True),
    ),
    check=_check,
    extras=True,
)


def _row_value(written: Template | Fields, mapping: Fields, kind: Kind | None = None) -> RowValue:
    """A value of a mapping, which has the dates and the zone where it has none of its own. `kind`: what it is in any case."""
    zone, dates = mapping.get("timezone", "UTC"), tuple(mapping.get("dates", ("rfc3339",)))
    if isinstance(written, Template):
        return RowValue(written, kind or "text", dates, zone)
    return RowValue(
        Template(("", written["column"], "")),
        kind or written.get("as", "text"),
        tuple(written.get("dates", dates)),
        written.get("timezone", zone),
        dict(written["values"]) if "values" in written else None,
        written.get("default"),
    )


def compile_mapping(fields: Fields) -> RowMapping:
    """The mapping of a document that was read without a problem."""
    defaults = {key: _row_value(fields[key], fields) for key in ("vendor", "service") if key in fields}
    defaults["source"] = _row_value(fields["source"], fields) if "source" in fields else RowValue(Template((f"/import/{fields['name']}",)))

    def event(written: Fields) -> RowEvent:
        own = {key: _row_value(written[key], fields) for key in ("type", "subject", *_OPTIONAL) if key in written}
        attributes = {**defaults, **own, "time": _row_value(written["time"], fields, "instant")}
        return RowEvent(attributes, {name: _row_value(one, fields) for name, one in written.get("data", ())}, written.get("when"))

    return RowMapping(
        fields["name"],
        tuple(map(event, fields["events"])),
        tuple(fields.get("empty", DEFAULT_EMPTY)),
        fields.get("delimiter", ","),
        fields.get("encoding", "utf-8-sig"),
        fields.get("skip_lines", 0),
    )
