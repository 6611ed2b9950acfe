"""What is wrong with a document, where, and what to write instead."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, Protocol

import msgspec

QUOTES: Final = ("'", '"')
_LONG = re.compile(r"""'[^']{200,}'|"[^"]{200,}"|\S{200,}""")


class Problem(msgspec.Struct, frozen=True, order=True):
    """One problem of one file. `line` and `column` count from 1; `hint` says what to write instead (it may be empty)."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" (hint: {self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: error: {self.message}{hint}"


class LanguageError(ValueError):
    """Documents that cannot be used; `problems` says why, the message is all of them, one a line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Wrong(ValueError):
    """A value that does not parse. `offset`: how many characters into the value, if known."""

    def __init__(self, message: str, hint: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset


class Place(Protocol):
    """Anything that knows where it stands in a file."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Report:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[Problem, None] = {}  # a dict for its order: an aliased node is read more than once

    def at(self, place: Place, message: str, hint: str = "") -> None:
        self._found[Problem(self.file, place.line, place.column, _shortened(message), _shortened(hint))] = None

    def or_else(self, place: Place, hint: str) -> None:
        """Adds a way out to the hint of the problem just reported at a place."""
        last = next(reversed(self._found))
        if (last.line, last.column) == (place.line, place.column):
            del self._found[last]
            self._found[msgspec.structs.replace(last, hint=f"{last.hint}, {hint}" if last.hint else hint)] = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._found))

    def __len__(self) -> int:
        return len(self._found)


def _shortened(text: str) -> str:
    """Without the greater part of what was written and is longer than anybody reads."""
    return _LONG.sub(lambda long: f"{long[0][:60]}…{long[0][0] if long[0][0] in QUOTES else ''}", text)


_DASHES: Final = dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE58), "-")


def with_hyphens(text: str) -> str:
    """With hyphens for printers' dashes."""
    return text.translate(_DASHES)


def in_plain_characters(text: str) -> str:
    """What was meant by full-width letters, digits and signs, and by printers' dashes."""
    return unicodedata.normalize("NFKC", with_hyphens(text))


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or the known words where none is near and they are few."""
    names = sorted(known)
    close = get_close_matches(word.lower(), [name.lower() for name in names], n=1, cutoff=0.6)
    if close:
        return f"did you mean {next(name for name in names if name.lower() == close[0])}?"
    return f"known here: {', '.join(names)}" if 0 < len(names) <= 30 else ""


def format_problems(problems: Iterable[Problem]) -> str:
    """One problem a line, as compilers write them: `file:line:column: error: message (hint: …)`."""
    return "\n".join(map(str, problems))
