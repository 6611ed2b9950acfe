"""YAML 1.2 as plain nodes that remember where they stand: texts, lists and tables, nothing interpreted.

Whether `on`, `2026-01-01` or `4h` means something is for the reader of that key to say, so a scalar stays its text.
Aliases and merge keys are followed; both are bounded, so that a small file cannot unfold into a large one.
"""

from collections.abc import Iterator
from io import StringIO
from itertools import islice
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from shared.language.problems import Report

TEXT_LENGTH_MAX: Final = 2_000_000  # characters of one file
NODES_MAX: Final = 100_000  # of one document, each alias counted in full
DEPTH_MAX: Final = 50
_NULLS: Final = {"", "~", "null", "Null", "NULL"}


class Node:
    """Where something stands; line and column count from 1."""

    __slots__ = ("column", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


class Text(Node):
    """A scalar. `plain`: written without quotes, so that `true` and `~` may mean what YAML means."""

    __slots__ = ("plain", "single_line", "text")

    def __init__(self, line: int, column: int, text: str, style: str | None) -> None:
        super().__init__(line, column)
        self.text = text
        self.plain = not style
        self.single_line = style not in ("|", ">")

    @property
    def empty(self) -> bool:
        """Nothing was written, or null."""
        return self.plain and self.text in _NULLS

    def offset_of(self, offset: int) -> int:
        """The distance in columns of a character of the text from the node's own place; good for texts on one line."""
        return (offset if self.plain else offset + 1) if self.single_line and "\n" not in self.text else 0


class Listing(Node):
    __slots__ = ("items",)

    def __init__(self, line: int, column: int, items: tuple[Node, ...]) -> None:
        super().__init__(line, column)
        self.items = items


class Table(Node):
    """Keys and values in the order written."""

    __slots__ = ("entries",)

    def __init__(self, line: int, column: int, entries: dict[str, tuple[Text, Node]]) -> None:
        super().__init__(line, column)
        self.entries = entries

    def get(self, key: str) -> Node | None:
        return self.entries[key][1] if key in self.entries else None


def documents(text: str, report: Report) -> Iterator[Node]:
    """The documents of a YAML text, those with no content left out. What is wrong goes to the report."""
    start = Node(1, 1)
    if len(text) > TEXT_LENGTH_MAX:
        report.at(start, f"the file has {len(text)} characters, {TEXT_LENGTH_MAX} are allowed", "split it")
        return
    try:
        for composed in YAML(typ="safe", pure=True).compose_all(StringIO(text)):
            node = _Converter(report).convert(composed)
            if not (isinstance(node, Text) and node.empty):
                yield node
    except MarkedYAMLError as wrong:
        _report_syntax(wrong, text, report)
    except ReaderError as wrong:
        before = text[: wrong.position].split("\n")
        report.at(
            Node(len(before), len(before[-1]) + 1), f"the character U+{ord(text[wrong.position]):04X} is not allowed in YAML", "remove it"
        )
    except RecursionError:
        report.at(start, "the document is nested too deeply", f"at most {DEPTH_MAX} levels")


def _report_syntax(wrong: MarkedYAMLError, text: str, report: Report) -> None:
    mark = wrong.problem_mark or wrong.context_mark
    place = Node(mark.line + 1, mark.column + 1) if mark else Node(1, 1)
    line = next(islice(text.split("\n"), place.line - 1, None), "") if mark else ""  # YAML knows more line ends than "\n"
    message = str(wrong.problem or wrong.context)
    hint = ""
    opened = wrong.context_mark
    if opened is not None and "quoted scalar" in str(wrong.context):
        report.at(
            Node(opened.line + 1, opened.column + 1), "not YAML: this quote is not closed", "write the same quote where the text ends"
        )
        return
    if opened is not None and "flow" in str(wrong.context) and "stream end" in message:
        report.at(Node(opened.line + 1, opened.column + 1), "not YAML: this bracket is not closed", "write ] or } where it ends")
        return
    if "block scalar" in str(wrong.context) or "cannot start any token" in message:
        hint = "put the value in quotes" if "\t" not in line else "use spaces, not tabs"
    elif "mapping values are not allowed" in message:
        hint = "check the indentation; a text that contains ': ' stands in quotes"
    elif "alphabetic or numeric" in message or "undefined alias" in message:
        hint = 'a text that begins with * or & stands in quotes: "*"'
    if any("\u00a0" in written for written in islice(text.split("\n"), max(place.line - 2, 0), place.line)):
        hint = "there is a no-break space hereabouts, which is no blank: write an ordinary one"
    report.at(place, f"not YAML: {message}", hint)


class _TooLarge(Exception):
    """The document unfolds into too many nodes, or into itself."""


class _Converter:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._nodes = 0

    def convert(self, composed: Any) -> Node:
        try:
            return self._node(composed, 0)
        except _TooLarge as wrong:
            self._report.at(_place(composed), str(wrong), "use fewer or smaller aliases")
            return Text(*_marks(composed), "", None)

    def _node(self, composed: Any, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise _TooLarge(f"the document has more than {NODES_MAX} parts, aliases unfolded")
        if depth > DEPTH_MAX:
            raise _TooLarge(f"the document is nested more than {DEPTH_MAX} levels deep")
        match composed:
            case ScalarNode(value=value, style=style):
                return Text(*_marks(composed), str(value), style)
            case SequenceNode(value=items):
                return Listing(*_marks(composed), tuple(self._node(item, depth + 1) for item in items))
            case _:
                return self._table(composed, depth)

    def _table(self, composed: MappingNode, depth: int) -> Table:
        own: dict[str, tuple[Text, Node]] = {}
        merged: list[Node] = []
        for key_node, value_node in composed.value:
            key, value = self._node(key_node, depth + 1), self._node(value_node, depth + 1)
            if not isinstance(key, Text):
                self._report.at(key, "a key must be a text")
            elif key.plain and key.text == "<<":
                merged += value.items if isinstance(value, Listing) else [value]
            elif key.text in own:
                self._report.at(key, f"the key {key.text} stands here twice", f"the first is on line {own[key.text][0].line}; keep one")
            else:
                own[key.text] = (key, _beside(key, value))
        for table in merged:
            if isinstance(table, Table):
                own = {**table.entries, **own}
            else:
                self._report.at(table, "<< takes a table, or a list of tables")
        return Table(*_marks(composed), own)


def _beside(key: Text, value: Node) -> Node:
    """A value of which nothing is written stands, for the parser, on a later line; for people it stands at its key."""
    if isinstance(value, Text) and value.plain and not value.text:
        return Text(key.line, key.column, "", None)
    return value


def _marks(composed: Any) -> tuple[int, int]:
    return composed.start_mark.line + 1, composed.start_mark.column + 1


def _place(composed: Any) -> Node:
    return Node(*_marks(composed))
