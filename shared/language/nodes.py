"""YAML 1.2 as plain nodes that remember where they stand: texts, lists and tables, nothing interpreted.

Whether `on`, `2026-01-01` or `4h` means something is for the reader of that key to say, so a scalar stays its text.
Aliases and merge keys are followed; both are bounded, so that a small file cannot unfold into a large one.
"""

import re
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from shared.language.problems import Report

TEXT_LENGTH_MAX: Final = 2_000_000  # characters of one file
NODES_MAX: Final = 100_000  # of one document, each alias counted in full
DEPTH_MAX: Final = 50
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML's parser counts them
_WIDE_COLON: Final = "\N{FULLWIDTH COLON}"
_KEY_WITH_WIDE_COLON = re.compile(rf"[\s-]*[A-Za-z][\w-]*{_WIDE_COLON}", re.ASCII)  # keys are ASCII, unlike what texts may say
_NULLS: Final = {"", "~", "null", "Null", "NULL"}


class Node:
    """Where something stands; line and column count from 1."""

    __slots__ = ("column", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column


class Text(Node):
    """A scalar. `plain`: written without quotes, so that `true` and `~` may mean what YAML means. `lines`: those of its file."""

    __slots__ = ("_block", "_lines", "plain", "text")

    def __init__(self, line: int, column: int, text: str, style: str | None, lines: Sequence[str] = ()) -> None:
        super().__init__(line, column)
        self.text = text
        self.plain = not style
        self._block = style in ("|", ">")
        self._lines = lines

    @property
    def empty(self) -> bool:
        """Nothing was written, or null."""
        return self.plain and self.text in _NULLS

    def place_of(self, offset: int) -> Node:
        """Where a character of the text stands in the file."""
        if not self._block and not offset:
            return self
        number, column = (self.line, 0) if self._block else (self.line - 1, self.column - self.plain)
        if not self._block and self._lines[number].startswith(self.text, column):
            return Node(self.line, column + offset + 1)
        behind = not self.text[offset:].strip()  # after all that is written
        passed = sum(not letter.isspace() for letter in self.text[:offset]) - behind
        for line in self._lines[number:]:  # YAML folds lines and cuts indentation, but keeps what is not blank
            for at in range(column, len(line)):
                passed -= not line[at].isspace()
                if passed < 0:
                    return Node(number + 1, at + 1 + behind)
            number, column = number + 1, 0
        return self


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
    start, lines = Node(1, 1), _LINE_END.split(text)
    if len(text) > TEXT_LENGTH_MAX:
        report.at(start, f"the file has {len(text)} characters, {TEXT_LENGTH_MAX} are allowed", "split it")
        return
    try:
        for composed in YAML(typ="safe", pure=True).compose_all(StringIO(text)):
            node = _Converter(report, lines).convert(composed)
            if not (isinstance(node, Text) and node.empty):
                yield node
    except MarkedYAMLError as wrong:
        _report_syntax(wrong, lines, report)
    except ReaderError as wrong:
        before = text[: wrong.position].split("\n")
        report.at(
            Node(len(before), len(before[-1]) + 1), f"the character U+{ord(text[wrong.position]):04X} is not allowed in YAML", "remove it"
        )
    except RecursionError:
        report.at(start, "the document is nested too deeply", f"at most {DEPTH_MAX} levels")


def _report_syntax(wrong: MarkedYAMLError, lines: Sequence[str], report: Report) -> None:
    opened, mark = wrong.context_mark, wrong.problem_mark or wrong.context_mark
    place = Node(mark.line + 1, mark.column + 1) if mark else Node(1, 1)
    begun = Node(opened.line + 1, opened.column + 1) if opened else place
    context, said = str(wrong.context), str(wrong.problem or wrong.context)
    first = max((begun if "simple key" in context else place).line - 2, 0)
    for number, line in enumerate(lines[first : place.line], first + 1):
        if wide := _KEY_WITH_WIDE_COLON.match(line):
            report.at(Node(number, wide.end()), "not YAML: a full-width colon", "write ': ', an ordinary colon and a blank")
            return
    message, hint, at_begin = next(
        (said_here, hint, at_begin)
        for in_context, in_said, said_here, hint, at_begin in _SYNTAX
        if in_context in context and in_said in said
    )
    if hint == _IN_QUOTES and place.line <= len(lines) and "\t" in lines[place.line - 1]:
        hint = "use spaces, not tabs"
    if any("\u00a0" in line for line in lines[max(place.line - 2, 0) : place.line]):
        hint = "there is a no-break space hereabouts, which is no blank: write an ordinary one"
    report.at(begun if at_begin else place, f"not YAML: {message or said}", hint)


_IN_QUOTES: Final = "put the value in quotes"
_MORE: Final = "there is more text behind the end of this value"
_WHOLE: Final = "put the whole value in quotes, or a list in brackets"
_SYNTAX: Final = (  # what YAML's parser says, of what, and what is said here (nothing: the same), with what hint, where it began or not
    ("quoted scalar", "", "this quote is not closed", "write the same quote where the text ends", True),
    ("flow", "stream end", "this bracket is not closed", "write ] or } where it ends", True),
    (
        "simple key",
        "expected ':'",
        "there is no ': ' after this key",
        "write a colon and a blank after a key, and a text below it further in",
        True,
    ),
    ("", "but found '<scalar>'", _MORE, _WHOLE, False),
    ("", "but found ','", _MORE, _WHOLE, False),
    ("", "expected <block end>", "this line does not stand in the column of those it belongs to", "check the indentation", False),
    (
        "",
        "expected ','",
        "there is neither a comma here nor the closing bracket",
        "write one, or put a text with such signs in quotes",
        False,
    ),
    ("block scalar", "", "", _IN_QUOTES, False),
    ("", "cannot start any token", "", _IN_QUOTES, False),
    ("", "mapping values are not allowed", "", "check the indentation; a text that contains ': ' stands in quotes", False),
    (
        "",
        "sequence entries are not allowed",
        "a list with dashes cannot begin here",
        "begin it on the next line, or put the text in quotes",
        False,
    ),
    ("", "alphabetic or numeric", "", 'a text that begins with * or & stands in quotes: "*"', False),
    ("", "undefined alias", "", 'a text that begins with * or & stands in quotes: "*"', False),
    ("", "", "", "", False),
)


class _TooLarge(Exception):
    """The document has too many nodes, or unfolds into too many, or into itself."""


class _Converter:
    def __init__(self, report: Report, lines: Sequence[str]) -> None:
        self._report, self._lines = report, lines
        self._nodes, self._anchors = 0, False

    def convert(self, composed: Any) -> Node:
        try:
            return self._node(composed, 0)
        except _TooLarge as wrong:
            self._report.at(_place(composed), *wrong.args)
            return Text(*_marks(composed), "", None)

    def _node(self, composed: Any, depth: int) -> Node:
        self._nodes += 1
        self._anchors |= composed.anchor is not None
        if self._nodes > NODES_MAX:
            how, hint = (", aliases unfolded", "use fewer or smaller aliases") if self._anchors else ("", "split it into several documents")
            raise _TooLarge(f"the document has more than {NODES_MAX} parts{how}", hint)
        if depth > DEPTH_MAX:
            raise _TooLarge(
                f"the document is nested more than {DEPTH_MAX} levels deep", "use fewer levels, or aliases that do not hold themselves"
            )
        match composed:
            case ScalarNode(value=value, style=style):
                return Text(*_marks(composed), str(value), style, self._lines)
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
