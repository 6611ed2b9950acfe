"""The few shapes of CEL that histories are drawn with: paths, literals, == != < <= > >=, in, has(), !, &&, ||.

A missing or null field makes a condition unknown (None), as an error does in CEL: `false && unknown` is false, `true || unknown` is true.
"""

import json
import re
from functools import cache
from typing import Any

TOKEN = re.compile(r"""\s*(?:(\d+\.\d+|\d+)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][\w.]*)|(&&|\|\||==|!=|<=|>=|[!<>()\[\],-]))""")
Node = tuple[Any, ...]
MISSING = object()


def decide(text: str | None, data: dict[str, Any], event: dict[str, Any]) -> bool | None:
    """True, False, or None where it is unknown. No condition at all is true."""
    if text is None:
        return True
    value = _value(_parsed(text), {"data": data, "event": event})
    return value if isinstance(value, bool) else None


def lookup(path: str, data: dict[str, Any], event: dict[str, Any]) -> Any:
    """The value at a path such as data.promised_at; None where it is missing or null."""
    value = _path(path, {"data": data, "event": event})
    return None if value is MISSING else value


@cache
def _parsed(text: str) -> Node:
    tokens = [match for match in TOKEN.finditer(text) if match[0].strip()]
    assert "".join(m[0] for m in tokens).replace(" ", "") == text.replace(" ", ""), f"the oracle cannot read {text}"
    return _Parser([m[0].strip() for m in tokens]).whole()


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def whole(self) -> Node:
        node = self.either()
        assert not self.tokens, self.tokens
        return node

    def take(self, *wanted: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def either(self) -> Node:
        node = self.both()
        while self.take("||"):
            node = ("or", node, self.both())
        return node

    def both(self) -> Node:
        node = self.compared()
        while self.take("&&"):
            node = ("and", node, self.compared())
        return node

    def compared(self) -> Node:
        node = self.single()
        sign = self.take("==", "!=", "<", "<=", ">", ">=", "in")
        return (sign, node, self.single()) if sign else node

    def single(self) -> Node:
        if self.take("!"):
            return ("not", self.single())
        if self.take("("):
            node = self.either()
            assert self.take(")")
            return node
        if self.take("["):
            items = []
            while not self.take("]"):
                items.append(self.single())
                self.take(",")
            return ("list", *items)
        negative = self.take("-")
        token = self.tokens.pop(0)
        if token[0].isdigit():
            number = json.loads(token)
            return ("is", -number if negative else number)
        if token[0] in "\"'":
            return ("is", token[1:-1].replace('\\"', '"'))
        if token in {"true", "false"}:
            return ("is", token == "true")
        if token == "has":
            assert self.take("(")
            path = self.tokens.pop(0)
            assert self.take(")")
            return ("has", path)
        return ("path", token)


def _path(path: str, names: dict[str, Any]) -> Any:
    value: Any = names
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def _value(node: Node, names: dict[str, Any]) -> Any:
    """The value of a node; None is unknown."""
    kind, *parts = node
    if kind == "is":
        return parts[0]
    if kind == "list":
        return [_value(part, names) for part in parts]
    if kind == "has":
        return _path(parts[0], names) is not MISSING
    if kind == "path":
        found = _path(parts[0], names)
        return None if found is MISSING else found
    values = [_value(part, names) for part in parts]
    if kind == "not":
        return not values[0] if isinstance(values[0], bool) else None
    if kind in {"or", "and"}:
        decisive = kind == "or"
        if decisive in [v for v in values if isinstance(v, bool)]:
            return decisive
        return (not decisive) if all(isinstance(v, bool) for v in values) else None
    if any(v is None for v in values):
        return None
    return _compare(kind, *values)


def _compare(sign: str, left: Any, right: Any) -> bool | None:
    if sign == "in":
        return any(_compare("==", left, item) for item in right)
    alike = type(left) is type(right) or (_number(left) and _number(right))
    if sign in {"==", "!="}:
        return (alike and left == right) == (sign == "==")
    if not alike:
        return None
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
