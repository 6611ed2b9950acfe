"""The Mapping document: how the rows of a foreign table become CloudEvents. `shared.language.rows` runs it.

A value of an event is a template (`"INC-{number}"`, where `{number}` stands for the row's cell; `{{` is a brace) or a table
`{column: …}` with a conversion. A cell that is missing or one of `empty` has no value, and neither has a template that names it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from shared.language import values
from shared.language.calendars import header
from shared.language.problems import Report, Wrong
from shared.language.readers import ByShape, Fields, Key, Leaf, Many, OneOf, Pairs, Record, Whole
from shared.language.zones import zone_name
from shared.sla.conditions import Condition, ConditionError, compile_condition

ROW_VARIABLES: Final = ("file", "row")  # what conditions over a row see: file.name, file.line, and the row's cells as texts
DEFAULT_EMPTY: Final = ("",)
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_DIRECTIVES: Final = frozenset("YymdHMSfzbBpIjaA%")
_DAY_PARTS: Final = ((set("Yy"), set("mbB"), set("d")), (set("Yy"), set("j")))  # one of each group tells the day

ValueKind = Literal["text", "number", "boolean", "instant"]


class Template(msgspec.Struct, frozen=True):
    """Constant texts and columns in turn, such as ("INC-", "number", ""): odd places are columns."""

    parts: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.parts[1::2]


class RowValue(msgspec.Struct, frozen=True):
    """Where a value comes from and what it is turned into. `dates`: formats for instants; `words`: cell -> value, others are skipped."""

    template: Template
    kind: ValueKind = "text"
    dates: tuple[str, ...] = ()
    zone: str | None = None
    words: Mapping[str, str] | None = None
    default: str | None = None


class RowEvent(msgspec.Struct, frozen=True):
    """One event that a row may give. Attributes by their CloudEvents names; `time` is an instant."""

    attributes: Mapping[str, RowValue]
    data: Mapping[str, RowValue]
    when: str | None = None


class RowMapping(msgspec.Struct, frozen=True):
    name: str
    events: tuple[RowEvent, ...]
    zone: str = "UTC"
    dates: tuple[str, ...] = ()
    empty: tuple[str, ...] = DEFAULT_EMPTY
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    skip_lines: int = 0

    @property
    def columns(self) -> frozenset[str]:
        """Every column that a value needs."""
        every = (value for event in self.events for value in (*event.attributes.values(), *event.data.values()))
        return frozenset(column for value in every for column in value.template.columns)


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
    """A strptime format, or `rfc3339`."""
    if text == "rfc3339":
        return text
    written = re.findall(r"%(.)", text)
    if not written:
        raise Wrong(f"{text!r} is not a date format", 'write strptime directives, such as "%Y-%m-%d %H:%M:%S", or rfc3339')
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

_DATES = Many(Leaf(date_format, {"examples": ["%Y-%m-%dT%H:%M:%S", "rfc3339"]}), single=True)
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
        Key("when", Leaf(row_condition, {"examples": ['row.status == "Closed"', "has(row.closed_at)"]}), "rows that give this event"),
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


MAPPING = Record(
    "Mapping",
    (
        *header("Mapping"),
        Key("timezone", _ZONE, "zone of wall times without offset (default UTC)"),
        Key("dates", _DATES, "formats of dates, tried in order (default rfc3339)"),
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


def compile_mapping(fields: Fields) -> RowMapping:
    """The mapping of a document that was read without a problem."""
    zone, dates = fields.get("timezone", "UTC"), tuple(fields.get("dates", ("rfc3339",)))

    def value(written: Template | Fields, kind: ValueKind | None = None) -> RowValue:
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

    defaults = {key: value(fields[key]) for key in ("vendor", "service") if key in fields}
    defaults["source"] = value(fields["source"]) if "source" in fields else RowValue(Template((f"/import/{fields['name']}",)))

    def event(written: Fields) -> RowEvent:
        own = {key: value(written[key]) for key in ("type", "subject", *_OPTIONAL) if key in written}
        attributes = {**defaults, **own, "time": value(written["time"], "instant")}
        return RowEvent(attributes, {name: value(one) for name, one in written.get("data", ())}, written.get("when"))

    return RowMapping(
        fields["name"],
        tuple(map(event, fields["events"])),
        zone,
        dates,
        tuple(fields.get("empty", DEFAULT_EMPTY)),
        fields.get("delimiter", ","),
        fields.get("encoding", "utf-8-sig"),
        fields.get("skip_lines", 0),
    )
