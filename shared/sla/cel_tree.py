"""The syntax tree of a CEL expression, as CEL's own parser sees it.

`cel-expr-python` shows no tree, but serialises its checked expressions as the published `cel.expr.CheckedExpr` message.
Reading those few fields here means that nothing in slawatch parses CEL a second time.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import msgspec

Scalar = bool | int | float | str | bytes | None
ConstKind = Literal["null", "bool", "int", "uint", "double", "string", "bytes"]


class Const(msgspec.Struct, frozen=True):
    kind: ConstKind
    value: Scalar


class Name(msgspec.Struct, frozen=True):
    """A variable; `offset` is where it stands in the text, in characters."""

    name: str
    offset: int


class Select(msgspec.Struct, frozen=True):
    """`operand.field`, or with `test` the macro `has(operand.field)`."""

    operand: "Tree"
    field: str
    test: bool


class Call(msgspec.Struct, frozen=True):
    """Operators are calls as well: `_==_`, `_&&_`, `@in`, `_[_]`. The receiver of `a.f(b)` is the first of `args`."""

    function: str
    args: tuple["Tree", ...]


class Items(msgspec.Struct, frozen=True):
    elements: tuple["Tree", ...]


class Other(msgspec.Struct, frozen=True):
    """A map or message literal, or (`loop`) a comprehension such as `all` and `exists`; only its parts matter here."""

    parts: tuple["Tree", ...]
    loop: bool


Tree = Const | Name | Select | Call | Items | Other

Field = tuple[int, int | bytes]


def decode(serialized: bytes, *, placed: bool = True) -> Tree:
    """The tree of `Expression.serialize()`: an `Any` that holds a `CheckedExpr`. Not `placed`: blanks make no difference."""
    checked = _message(serialized, _ANY_VALUE)
    return _Decoder(_offsets(checked) if placed else {}).tree(_message(checked, _CHECKED_EXPR))


def constant_parts(serialized: bytes) -> list[tuple[int, bytes]]:
    """(offset, serialized anew) of each part that computes something and reads no variable, inner ones first."""
    checked = _message(serialized, _ANY_VALUE)
    decoder = _Decoder(_offsets(checked))
    decoder.tree(_message(checked, _CHECKED_EXPR))
    around = b"".join(_packed(number, value) for number, value in _fields(checked) if number != _CHECKED_EXPR and isinstance(value, bytes))
    kind = _packed(_ANY_TYPE, _message(serialized, _ANY_TYPE))
    return [(offset, kind + _packed(_ANY_VALUE, around + _packed(_CHECKED_EXPR, blob))) for offset, blob in decoder.constant]


def walk(tree: Tree) -> Iterator[Tree]:
    """The tree and all that is in it, from the outside in."""
    yield tree
    for part in parts(tree):
        yield from walk(part)


def parts(tree: Tree) -> tuple[Tree, ...]:
    """What a tree is directly made of."""
    match tree:
        case Select(operand=operand):
            return (operand,)
        case Call(args=args):
            return args
        case Items(elements=elements):
            return elements
        case Other(parts=inner):
            return inner
        case _:
            return ()


def _varint(blob: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = blob[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(blob: bytes) -> Iterator[Field]:
    """Field numbers and raw values of one protobuf message: an int for a varint, bytes for everything else."""
    at = 0
    while at < len(blob):
        tag, at = _varint(blob, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = _varint(blob, at)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire_type)
        if length is None:
            length, at = _varint(blob, at)
        yield number, blob[at : at + length]
        at += length


def _bytes_of(blob: bytes, *wanted: int) -> tuple[bytes, ...]:
    return tuple(value for number, value in _fields(blob) if number in wanted and isinstance(value, bytes))


def _message(blob: bytes, number: int) -> bytes:
    found = _bytes_of(blob, number)
    return found[-1] if found else b""


def _packed(number: int, blob: bytes) -> bytes:
    """A field of bytes as protobuf writes it."""
    return b"".join((_as_varint(number << 3 | 2), _as_varint(len(blob)), blob))


def _as_varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))


def _offsets(checked: bytes) -> dict[int, int]:
    return dict(map(_position, _bytes_of(_message(checked, _SOURCE_INFO), _POSITIONS)))


def _position(entry: bytes) -> tuple[int, int]:
    """One entry of the map from a node's id to its offset."""
    numbers = {number: value for number, value in _fields(entry) if isinstance(value, int)}
    return numbers.get(1, 0), numbers.get(2, 0)


class _Decoder:
    """Builds trees from `Expr` messages; `offsets` tells where in the text each node's id stands."""

    def __init__(self, offsets: dict[int, int]) -> None:
        self._offsets = offsets
        self.constant: list[tuple[int, bytes]] = []  # (offset, message) of what computes something without a variable
        self._builders: dict[int, Callable[[bytes, int], Tree]] = {
            3: self._const,
            4: lambda blob, offset: Name(_message(blob, 1).decode(), offset),
            5: lambda blob, _: Select(self.tree(_message(blob, 1)), _message(blob, 2).decode(), (3, 1) in _fields(blob)),
            6: lambda blob, _: Call(_message(blob, 2).decode(), self._trees(_bytes_of(blob, 1) + _bytes_of(blob, 3))),
            7: lambda blob, _: Items(self._trees(_bytes_of(blob, 1))),
            8: self._struct,
            9: lambda blob, _: Other(self._trees(_bytes_of(blob, 2, 4, 5, 6, 7)), loop=True),
        }

    def tree(self, blob: bytes) -> Tree:
        offset = -1
        for number, value in _fields(blob):
            if isinstance(value, int):
                offset = self._offsets.get(value, -1)  # the node's id comes first
            elif number in self._builders:
                built = self._builders[number](value, offset)
                if isinstance(built, Call | Select) and not any(isinstance(node, Name) for node in walk(built)):
                    self.constant.append((offset, blob))
                return built
        return Other((), loop=False)

    def _trees(self, blobs: tuple[bytes, ...]) -> tuple[Tree, ...]:
        return tuple(map(self.tree, blobs))

    def _struct(self, blob: bytes, _: int) -> Tree:
        return Other(tuple(part for entry in _bytes_of(blob, 2) for part in self._trees(_bytes_of(entry, 3, 4))), loop=False)

    @staticmethod
    def _const(blob: bytes, _: int) -> Tree:
        for number, raw in _fields(blob):
            if number in _CONSTANTS:
                kind, read = _CONSTANTS[number]
                return Const(kind, read(raw))
        return Const("null", None)


# Field numbers of google/api/expr (cel-spec: proto/cel/expr/syntax.proto, checked.proto); those of Expr stand in _Decoder.
_ANY_TYPE, _ANY_VALUE, _CHECKED_EXPR, _SOURCE_INFO, _POSITIONS = 1, 2, 4, 5, 4
_SIGN_BIT, _WRAP = 1 << 63, 1 << 64
_CONSTANTS: Final[dict[int, tuple[ConstKind, Callable[[Any], Scalar]]]] = {
    1: ("null", lambda raw: None),
    2: ("bool", bool),
    3: ("int", lambda raw: raw - _WRAP if raw & _SIGN_BIT else raw),
    4: ("uint", int),
    5: ("double", lambda raw: float(struct.unpack("<d", raw)[0])),
    6: ("string", lambda raw: str(raw, "utf-8")),
    7: ("bytes", bytes),
}
