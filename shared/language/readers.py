"""A small table-driven reader: what keys a document has, what each means, and how it is read, said once.

A reader turns a node into a value and reports what is wrong with it; the same description yields the JSON Schema for editors.
Readers give plain values (the JSON form of `shared.sla.terms`), and `BAD` where a problem was reported.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from shared.language.nodes import Listing, Node, Table, Text
from shared.language.problems import Report, Wrong, in_plain_characters, nearest, with_hyphens

Json = dict[str, Any]


class _Bad:
    def __repr__(self) -> str:
        return "BAD"


BAD: Final = _Bad()


class Reader(Protocol):
    """Reads one value and describes it. `defs` collects the named parts of the schema."""

    def read(self, node: Node, report: Report) -> Any: ...
    def schema(self, defs: Json) -> Json: ...


class Leaf:
    """A scalar, read by a parser that raises Wrong."""

    def __init__(self, parse: Callable[[str], Any], schema: Json | None = None) -> None:
        self._parse = parse
        self._schema = schema or {}

    def read(self, node: Node, report: Report) -> Any:
        text = _text_of(node, report)
        if text is None:
            return BAD
        try:
            return self._parse(text.text)
        except Wrong as wrong:
            report.at(text.place_of(wrong.offset), wrong.message, _hint(wrong, text.text, self._parse))
            return BAD

    def schema(self, defs: Json) -> Json:
        return {"type": "string", **self._schema}


def _hint(wrong: Wrong, text: str, parse: Callable[[str], Any]) -> str:
    """What to write instead: where ordinary characters are all that is missing, the same in these."""
    plain = in_plain_characters(text)
    if plain == text:
        return wrong.hint
    try:
        parse(plain)
    except Wrong as still:
        return still.hint
    how = "with a hyphen" if plain == with_hyphens(text) else "in ordinary characters"
    return f"write {plain if len(plain) < 100 else 'it'} {how}"


def _text_of(node: Node, report: Report) -> Text | None:
    if not isinstance(node, Text):
        report.at(node, f"a single value is wanted here, not a {_called(node)}")
    elif node.empty:
        report.at(node, "a value is missing", "write one")
    else:
        return node
    return None


def _called(node: Node) -> str:
    return "list" if isinstance(node, Listing) else "table of keys" if isinstance(node, Table) else "single value"


class OneOf(Leaf):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        super().__init__(self._word, {"enum": list(words)})
        self._words = words

    def _word(self, text: str) -> str:
        if text not in self._words:
            raise Wrong(f"{text!r} is not possible here", nearest(text, self._words))
        return text


class Whole(Leaf):
    """A whole number of at least `least`."""

    def __init__(self, least: int, most: int = 1_000_000_000) -> None:
        super().__init__(self._number)
        self._least, self._most = least, most

    def _number(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 15 and self._least <= int(text) <= self._most):
            raise Wrong(f"{text!r} is not a whole number of at least {self._least}", f"such as {max(self._least, 1)}")
        return int(text)

    def schema(self, defs: Json) -> Json:
        return {"type": "integer", "minimum": self._least}


class Flag(Leaf):
    """true or false."""

    def __init__(self) -> None:
        super().__init__(self._flag)

    @staticmethod
    def _flag(text: str) -> bool:
        if text not in ("true", "false"):
            raise Wrong(f"{text!r} is neither true nor false", "write true or false")
        return text == "true"

    def schema(self, defs: Json) -> Json:
        return {"type": "boolean"}


class Many:
    """A list; where `single`, one item may stand without brackets. Gives a list of what was read, bad items left out."""

    def __init__(self, item: Reader, least: int = 1, single: bool = False, unique: bool = False) -> None:
        self._item, self._least, self._single, self._unique = item, least, single, unique

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Listing):
            if self._single:
                value = self._item.read(node, report)
                return BAD if value is BAD else [value]
            if isinstance(node, Text) and node.empty:
                report.at(node, "a value is missing", "write one item a line, each after a dash")
                return BAD
            report.at(node, f"a list is wanted here, not a {_called(node)}", "write [ … ], or one item a line, each after a dash")
            return BAD
        if len(node.items) < self._least:
            report.at(node, "the list is empty", "write at least one item")
            return BAD
        values = []
        for item in node.items:
            value = self._item.read(item, report)
            if self._unique and value in values:
                report.at(item, f"{getattr(item, 'text', value)} stands here twice", "write it once")
            elif value is not BAD:
                values.append(value)
        return values if len(values) >= self._least else BAD

    def schema(self, defs: Json) -> Json:
        item = self._item.schema(defs)
        listing = {"type": "array", "items": item, "minItems": self._least}
        return {"anyOf": [item, listing]} if self._single else listing


class Pairs:
    """A table whose keys are data: gives a list of (key as read, value as read), bad ones left out."""

    def __init__(self, key: Callable[[str], Any], value: Reader, pattern: str = "") -> None:
        self._key, self._value, self._pattern = key, value, pattern

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Table):
            report.at(node, f"a table of keys and values is wanted here, not a {_called(node)}", "write {key: value, …}")
            return BAD
        pairs = []
        for key_node, value_node in node.entries.values():
            value = self._value.read(value_node, report)
            try:
                key = self._key(key_node.text)
            except Wrong as wrong:
                report.at(key_node, wrong.message, _hint(wrong, key_node.text, self._key))
                continue
            if value is not BAD:
                pairs.append((key, value))
        return pairs

    def schema(self, defs: Json) -> Json:
        value = self._value.schema(defs)
        if self._pattern:
            return {"type": "object", "patternProperties": {self._pattern: value}, "additionalProperties": False}
        return {"type": "object", "additionalProperties": value}


class ByShape:
    """One reader for a scalar, another for a list, another for a table; those not given are refused by the first that is."""

    def __init__(self, text: Reader | None = None, listing: Reader | None = None, table: Reader | None = None) -> None:
        self._readers = {Text: text, Listing: listing, Table: table}

    def read(self, node: Node, report: Report) -> Any:
        reader = self._readers[type(node)] or next(reader for reader in self._readers.values() if reader)
        return reader.read(node, report)

    def schema(self, defs: Json) -> Json:
        return {"anyOf": [reader.schema(defs) for reader in self._readers.values() if reader]}


class Key:
    """One key of a record. `doc` is what editors show."""

    def __init__(self, name: str, reader: Reader, doc: str, *, required: bool = False) -> None:
        self.name, self.reader, self.doc, self.required = name, reader, doc, required


class Fields(dict[str, Any]):
    """What was read of a record, with the way back to where it stands."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def place(self, key: str) -> Node:
        """Where the value of `key` stands; the record itself where there is none."""
        return self.node.get(key) or self.node if isinstance(self.node, Table) else self.node

    def key_place(self, key: str) -> Node:
        """Where the key itself stands."""
        if isinstance(self.node, Table) and key in self.node.entries:
            return self.node.entries[key][0]
        return self.node

    def has_key(self, key: str) -> bool:
        """Whether it was written at all, well or badly."""
        return key in self or (isinstance(self.node, Table) and key in self.node.entries)


Check = Callable[[Fields, Report], None]


def _says_nothing(node: Node) -> bool:
    return node.empty if isinstance(node, Text) else isinstance(node, Listing) and not node.items


def _meant(name: str, keys: Iterable[str]) -> str:
    """The hint for a key that there is not."""
    key, colon, _ = in_plain_characters(name).partition(":")
    return f"write {key}: with an ordinary colon and a blank" if colon and key in keys else nearest(key, keys)


class Record:
    """A table with known keys. `short`: the key that a lone value or list stands for. `check` sees the fields that could be read.

    A record is BAD when a required key is missing or bad; a bad optional key is reported and left out, so that more can be found.
    """

    def __init__(self, title: str, keys: Iterable[Key], *, short: str = "", check: Check | None = None, extras: bool = False) -> None:
        self.title, self.keys = title, {key.name: key for key in keys}
        self._short, self._check, self._extras = short, check, extras

    def read(self, node: Node, report: Report) -> Any:
        fields = Fields(node)
        if not isinstance(node, Table):
            return self._read_short(fields, node, report)
        for name, (key_node, value_node) in node.entries.items():
            if key := self.keys.get(name):
                value = key.reader.read(value_node, report)
                if value is not BAD:
                    fields[name] = value
                elif not key.required and _says_nothing(value_node):
                    report.or_else(value_node, "or leave out the key")
            elif not (self._extras and name.startswith("x-")):
                report.at(key_node, f"{self.title} has no key {name!r}", _meant(name, self.keys))
        return self._completed(fields, report)

    def _read_short(self, fields: Fields, node: Node, report: Report) -> Any:
        if not self._short and isinstance(node, Text) and node.empty:
            report.at(node, "a value is missing", "write its keys below it, further in")
            return BAD
        if not self._short:
            example = next((key.name for key in self.keys.values() if key.required), next(iter(self.keys)))
            report.at(node, f"{self.title} is a table of keys, not a {_called(node)}", f"write {{{example}: …}}")
            return BAD
        value = self.keys[self._short].reader.read(node, report)
        if value is BAD:
            return BAD
        fields[self._short] = value
        return self._completed(fields, report)

    def _completed(self, fields: Fields, report: Report) -> Any:
        whole = True
        for key in self.keys.values():
            if key.required and key.name not in fields:
                whole = False
                if not fields.has_key(key.name):
                    report.at(fields.node, f"{self.title} needs the key {key.name!r}", key.doc)
        if self._check:
            self._check(fields, report)
        return fields if whole else BAD

    def schema(self, defs: Json) -> Json:
        if self.title not in defs:
            defs[self.title] = {}  # stands for itself while its parts are described
            defs[self.title] = self._described(defs)
        return {"$ref": f"#/$defs/{self.title.replace(' ', '%20')}"}

    def _described(self, defs: Json) -> Json:
        properties = {key.name: {**key.reader.schema(defs), "description": key.doc} for key in self.keys.values()}
        table: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if required := [key.name for key in self.keys.values() if key.required]:
            table["required"] = required
        if self._extras:
            table["patternProperties"] = {"^x-": {}}
        if not self._short:
            return table
        return {"anyOf": [self.keys[self._short].reader.schema(defs), table]}


class Tagged:
    """A record of one of several shapes, told apart by the word at `key`."""

    def __init__(self, key: str, records: Sequence[tuple[str, Record]], title: str) -> None:
        self._key, self._records, self._title = key, dict(records), title

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Table):
            report.at(node, f"{self._title} is a table of keys, not a {_called(node)}", f"write {{{self._key}: …}}")
            return BAD
        tag = node.get(self._key)
        if tag is None:
            report.at(node, f"{self._title} needs the key {self._key!r}", nearest("", self._records))
            return BAD
        word = OneOf(*self._records).read(tag, report)
        return BAD if word is BAD else self._records[word].read(node, report)

    def schema(self, defs: Json) -> Json:
        choices = []
        for word, record in self._records.items():
            record.schema(defs)
            condition = {"properties": {self._key: {"const": word}}}
            choices.append({"if": condition, "then": {"$ref": f"#/$defs/{record.title.replace(' ', '%20')}"}})
        return {"type": "object", "required": [self._key], "properties": {self._key: {"enum": list(self._records)}}, "allOf": choices}
