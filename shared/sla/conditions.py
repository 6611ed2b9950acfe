"""Conditions: CEL over `event` and `data`, three-valued, bounded, and fast for the shapes that agreements use.

A condition is true, false or unknown (None). Unknown is what CEL calls an error: a field that is missing, values that cannot be
compared, a result that is not a boolean. As in CEL, `false && unknown` is false and `true || unknown` is true.

slawatch makes two readings of JSON definite, in both ways of evaluation:
- a field that is null cannot be read ("a missing or null field makes a condition unknown"); `has()` says, as CEL's, that it is there;
- an integer of more than 64 bits is read as a double.

The common shapes (a field compared with a constant or another field, `in` a list, `has`, and/or/not of them) become Python
closures, some ten times as fast as CEL. A closure that meets a value it was not made for raises `_Unusual` and CEL itself decides.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, Final

from cel_expr_python import cel  # type: ignore[import-untyped]  # it has a stub, but no py.typed

from shared.sla import cel_tree
from shared.sla.cel_tree import Call, Const, Items, Name, Other, Scalar, Select, Tree

Values = Mapping[str, Any]
Condition = Callable[[Values, Values], bool | None]
Path = Callable[[Values, Values], Any]

VARIABLES: Final = ("event", "data")
TEXTS: Final = "row"  # the variable whose fields are all texts, the cells of a table: what compares one with a number is refused
TEXT_LENGTH_MAX: Final = 2_000
NODES_MAX: Final = 500
LOOP_DEPTH_MAX: Final = 2  # CEL's own budget of 10,000 iterations an evaluation bounds what runs
PATTERN_LENGTH_MAX: Final = 200
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_EXACT_INT_MAX: Final = 1 << 53  # up to here an int and its double are the same number, so Python and CEL compare alike

_ALL_FIELDS: Final = "__all"
_CEL_PLACE = re.compile(r"<input>:(-?\d+):(-?\d+): (.*)")
_STEP = re.compile(r"""\.([A-Za-z_][A-Za-z0-9_]*)|\[(?:"([^"\\]+)"|'([^'\\]+)')\]""")


class ConditionError(ValueError):
    """A text that is no condition, or too expensive a one. `offset`: where in the text, in characters, if known."""

    def __init__(self, message: str, offset: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


class _Unusual(Exception):
    """A closure met a value that it leaves to CEL."""


@lru_cache(maxsize=4_096)
def compile_condition(text: str, variables: tuple[str, str] = VARIABLES) -> Condition:
    """The condition that `text` states over two mappings, named by `variables`. Raises ConditionError."""
    tree = _tree(text, variables)
    _refuse_costly(tree)
    _refuse_null(tree)
    slow, fast = _by_cel(text, tree, variables), _closure(tree, variables)
    return slow if fast is None else _with_fallback(fast, slow)


def fields_read(text: str, variables: tuple[str, str] = VARIABLES) -> tuple[frozenset[str], frozenset[str]]:
    """Fields of the second variable, as far as a text names them: those whose values it reads, and those it only looks for."""
    read, asked = set[str](), set[str]()
    for node in cel_tree.walk(_tree(text, variables)):
        match node:
            case Select(operand=Name(name=name), field=field, test=test) if name == variables[1]:
                (asked if test else read).add(field)
            case Call(function="_[_]", args=(Name(name=name), Const(kind="string", value=str(field)))) if name == variables[1]:
                read.add(field)
            case Call(function="@in", args=(Const(kind="string", value=str(field)), Name(name=name))) if name == variables[1]:
                asked.add(field)
            case _:
                pass
    return frozenset(read), frozenset(asked)


def evaluate_by_cel(text: str, variables: tuple[str, str] = VARIABLES) -> Condition:
    """The same condition without closures: the reference that the closures are proven against."""
    return _by_cel(text, _tree(text, variables), variables)


@lru_cache(maxsize=4_096)
def compile_path(text: str, variables: tuple[str, str] = VARIABLES) -> Path:
    """The value at a path such as `data.promised_at` or `data["due by"]`; None where it is absent. Raises ConditionError."""
    root = next((name for name in variables if text.startswith((f"{name}.", f"{name}["))), None)
    keys, at = [], len(root or "")
    while root and at < len(text) and (step := _STEP.match(text, at)):
        keys.append(next(filter(None, step.groups())))
        at = step.end()
    if root is None or at != len(text) or not keys:
        hint = _hyphened(text, at) or f"{variables[1]}.some_field or {variables[0]}.some_attribute"
        raise ConditionError(f"{text!r} is not the path of a field", at, f"write {hint}")
    return _getter(variables.index(root), tuple(keys))


def equality(text: str) -> tuple[str, str] | None:
    """(field, text) of a condition of the form `data.field == "text"`; None for any other. Raises ConditionError."""
    match _tree(text, VARIABLES):
        case Call(function="_==_", args=(left, right)):
            side, constant = (right, left) if isinstance(left, Const) else (left, right)
            found = _path_of(side, VARIABLES)
            if found is not None and found[0] == 1 and len(found[1]) == 1 and isinstance(constant, Const) and constant.kind == "string":
                return found[1][0], str(constant.value)
    return None


def meaning(text: str) -> Tree | bool | str:
    """Equal for conditions that say the same in other blanks or quotes; of a condition without a variable its answer.

    Raises ConditionError.
    """
    serialized = _checked(text, VARIABLES)
    tree = cel_tree.decode(serialized, placed=False)
    nodes = list(cel_tree.walk(tree))
    if not any(isinstance(node, Name) for node in nodes):
        answer = compile_condition(text)({}, {})
        return text if answer is None else answer
    others = [node for node in nodes if isinstance(node, Other)]
    tells_all = all(node.loop for node in others) and len(others) < 2  # not what is of other kinds, nor which loop a variable is of
    return tree if tells_all else text


def refuse_hopeless(text: str) -> None:
    """Raises ConditionError for what CEL takes and can never be answered: asked of new texts, not of agreements in force."""
    for offset, part in cel_tree.constant_parts(_checked(text, VARIABLES)):
        result = _environment(VARIABLES).deserialize(part).eval(data={})
        if result.type() == cel.Type.ERROR:
            why = str(result.value()).split(": ", 1)[-1]
            name = re.search(r"\w*\Z", text[:offset])
            begins = name.start() if name and text.startswith("(", offset) else max(offset, 0)
            hint = next((hint for kind, hint in _CONSTANT_HINTS.items() if kind in why), "write what can be computed, or leave it out")
            raise ConditionError(f"this can never be computed: {why[:1].lower()}{why[1:]}", begins, hint)
    for node in cel_tree.walk(_tree(text, VARIABLES)):
        if isinstance(node, Call) and (node.function in _COMPARISONS or node.function == "@in"):
            _refuse_unlike_text(*node.args)


_CONSTANT_HINTS: Final = {
    "Timestamp": 'write an instant such as timestamp("2026-01-31T00:00:00Z")',
    "Duration": 'write a duration such as duration("90m")',
}


def _refuse_unlike_text(*sides: Tree) -> None:
    """An attribute that is a text is never equal to anything else, and cannot be ordered beside it."""
    for one, other in (sides, sides[::-1]):
        found = _path_of(one, VARIABLES)
        constants = other.elements if isinstance(other, Items) else (other,)
        if found is None or found[0] != 0 or len(found[1]) != 1 or found[1][0] not in _TEXT_ATTRIBUTES or not constants:
            continue
        if all(isinstance(constant, Const) and constant.kind != "string" for constant in constants):
            root = next(node for node in cel_tree.walk(one) if isinstance(node, Name))
            sample = getattr(constants[0], "value", "") if getattr(constants[0], "kind", "") in ("int", "uint", "double") else "a"
            raise ConditionError(f"event.{found[1][0]} is a text", root.offset, f'compare it with a text in quotes, such as "{sample}"')


_TEXT_ATTRIBUTES: Final = frozenset(
    ("specversion", "id", "source", "type", "subject", "time", "vendor", "service", "datacontenttype", "sequence", "replaces")
)


# --- CEL itself


@cache
def _environment(variables: tuple[str, ...]) -> cel.Env:
    kinds = {name: cel.Type.STRING if name in (TEXTS, TEXTS + _ALL_FIELDS) else cel.Type.DYN for name in variables}
    return cel.NewEnv(variables={name: cel.Type.Map(cel.Type.STRING, kind) for name, kind in kinds.items()})


def _tree(text: str, variables: tuple[str, str]) -> Tree:
    return cel_tree.decode(_checked(text, variables))


@lru_cache(maxsize=4_096)
def _checked(text: str, variables: tuple[str, str]) -> bytes:
    """Parsed and type-checked, serialized."""
    if len(text) > TEXT_LENGTH_MAX:
        raise ConditionError(f"the condition has {len(text)} characters, {TEXT_LENGTH_MAX} are allowed")
    if not text.strip():
        raise ConditionError("the condition is empty", hint="such as data.priority == 1; or leave out the key")
    try:
        expression = _environment(variables).compile(text)
        kind = expression.return_type()
    except (RuntimeError, UnicodeError) as wrong:  # what the binding raises for every compile error
        raise _as_condition_error(str(wrong), text, variables) from None
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        raise ConditionError(f"a condition must be true or false, this is {kind.name().lower()}", 0, "compare it with something")
    return bytes(expression.serialize())


def _as_condition_error(report: str, text: str, variables: tuple[str, str]) -> ConditionError:
    place = _CEL_PLACE.search(report)
    if place is None:
        deep = "recursion" in report
        return ConditionError("the condition is nested too deeply" if deep else report.split("\n", 1)[0])
    line, column, message = int(place[1]), int(place[2]), place[3]
    if "recursion" in message:
        return ConditionError("the condition is nested too deeply")
    message = message.split(" expecting ", 1)[0].removesuffix(" [INVALID_ARGUMENT]").removesuffix(" (in container '')")
    offset = sum(len(earlier) + 1 for earlier in text.split("\n")[: max(line, 1) - 1]) + max(column, 1) - 1
    hint = ""
    if undeclared := re.search(r"undeclared reference to '([\w.]+)'", message):
        hint = f"fields are reached as {variables[1]}.{undeclared[1].split('.')[0]}, attributes of the event as {variables[0]}.…"
        root, dot, rest = undeclared[1].partition(".")
        meant = get_close_matches(root.lower(), variables, n=1)
        path = undeclared[1].rpartition(".")[0]
        offset -= len(path) if text[:offset].endswith(path) else 0  # CEL points at the last dot
        if text[offset:].removeprefix(undeclared[1]).startswith("("):
            hint = "CEL has no such function; it has startsWith, endsWith, contains, matches, size, has, all and exists"
        elif hyphened := _hyphened(text, offset):
            hint = f"write {hyphened}"
        elif variables != VARIABLES:
            hint = f"write {variables[1]}.{undeclared[1].split('.')[-1]}"
        elif meant and dot:
            hint = f"did you mean {meant[0]}.{rest}? {hint}"
    elif any(quote in text for quote in "\u201c\u201d\u2018\u2019"):
        hint = "write straight quotes"
    elif "no matching overload" in message:
        hint = "both sides must be of one kind: a text is compared with a text in quotes, a number with a number"
        if TEXTS in variables:
            hint = f'a cell is a text: write int({TEXTS}.n) > 5, double({TEXTS}.n) > 5.0, or {TEXTS}.n == "5"'
    elif "'='" in message or "token recognition" in message or re.search(r"'(and|or|not|AND|OR|NOT|is|IN|If)'", message):
        hint = "equality is ==, and is &&, or is ||, texts stand in quotes"
    elif "extraneous input" in message or "mismatched input" in message:
        hint = "something is missing before it, or it is too much: && and || join whole conditions such as data.a == 1"
    return ConditionError(message, offset, hint)


_HYPHENED = re.compile(r"((?:data|event)(?:\.\w+)*)\.(\w+(?:-[A-Za-z_]\w*)+)", re.ASCII)


def _hyphened(text: str, offset: int) -> str:
    """How the field is reached, in whose name the hyphen at an offset (or before it) stands; CEL takes that for a minus."""
    found = next((found for found in _HYPHENED.finditer(text) if found.start() <= offset <= found.end()), None)
    return f'{found[1]}["{found[2]}"]' if found else ""


def _by_cel(text: str, tree: Tree, variables: tuple[str, str]) -> Condition:
    """CEL over the mappings without their null fields, so that reading one is an error; only `has()` looks at all the fields."""
    first, second = variables
    holders = sorted({name.offset for name in _asked_by_has(tree, variables)}, reverse=True)
    for offset in holders:
        name = first if text.startswith(first, offset) else second
        text = f"{text[:offset]}{name}{_ALL_FIELDS}{text[offset + len(name) :]}"
    expression = _environment(_with_all_fields(variables) if holders else variables).compile(text)

    def ask(event: Values, data: Values) -> bool | None:
        try:
            values = {first: _as_cel(event, nulls=False), second: _as_cel(data, nulls=False)}
            if holders:
                values |= {first + _ALL_FIELDS: _as_cel(event, nulls=True), second + _ALL_FIELDS: _as_cel(data, nulls=True)}
            result = expression.eval(data=values)
        except (RuntimeError, RecursionError, UnicodeError):  # iteration budget, hopeless nesting, half a surrogate pair
            return None
        return bool(result.value()) if result.type() == cel.Type.BOOL else None

    return ask


def _with_all_fields(variables: tuple[str, str]) -> tuple[str, ...]:
    return (*variables, *(name + _ALL_FIELDS for name in variables))


def _asked_by_has(tree: Tree, variables: tuple[str, str]) -> Iterator[Name]:
    """The variables at the root of each `has(data.a.b)`."""
    for node in cel_tree.walk(tree):
        if isinstance(node, Select) and node.test:
            yield from (root for root in cel_tree.walk(node) if isinstance(root, Name) and root.offset >= 0 and root.name in variables)


def _as_cel(value: Any, nulls: bool) -> Any:
    """The value as CEL sees it: with or without null fields, integers of more than 64 bits as doubles."""
    if isinstance(value, Mapping):
        return {key: _as_cel(inner, nulls) for key, inner in value.items() if nulls or inner is not None}
    if isinstance(value, list | tuple):
        return [_as_cel(inner, nulls) for inner in value]
    if isinstance(value, int) and not _INT64_MIN <= value <= _INT64_MAX:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value


# --- what is refused at load


def _refuse_costly(tree: Tree) -> None:
    if sum(1 for _ in cel_tree.walk(tree)) > NODES_MAX:
        raise ConditionError(f"the condition has more than {NODES_MAX} parts", 0, "split it, or let the sender compute the field")
    if _loop_depth(tree) > LOOP_DEPTH_MAX:
        raise ConditionError(f"loops (all, exists, map, filter) may be nested {LOOP_DEPTH_MAX} deep", 0, "let the sender compute the field")
    for node in cel_tree.walk(tree):
        if isinstance(node, Call) and node.function == "matches":
            _refuse_pattern(node.args[-1])


def _loop_depth(tree: Tree) -> int:
    own = isinstance(tree, Other) and tree.loop
    return own + max(map(_loop_depth, cel_tree.parts(tree)), default=0)


def _refuse_pattern(pattern: Tree) -> None:
    if not (isinstance(pattern, Const) and isinstance(pattern.value, str)):
        raise ConditionError("the pattern of matches() must be a text, not computed", None, 'write it in quotes: data.x.matches("^P[12]$")')
    if len(pattern.value) > PATTERN_LENGTH_MAX:
        raise ConditionError(f"the pattern of matches() is longer than {PATTERN_LENGTH_MAX} characters")
    result = _environment(("pattern", "text")).compile('"".matches(pattern.it)').eval(data={"pattern": {"it": pattern.value}, "text": {}})
    if result.type() == cel.Type.ERROR:
        raise ConditionError(f"matches(): {str(result.value()).split(': ', 1)[-1]}")


_NULL_HINT: Final = "has(data.field) tells whether a field is there"


def _refuse_null(tree: Tree) -> None:
    for node in cel_tree.walk(tree):
        if isinstance(node, Call) and node.function in ("_==_", "_!=_") and Const("null", None) in node.args:
            raise ConditionError("a null field makes a condition unknown, so it cannot be compared with null", None, _NULL_HINT)


# --- common shapes as closures


def _with_fallback(fast: Condition, slow: Condition) -> Condition:
    def decide(event: Values, data: Values) -> bool | None:
        try:
            return fast(event, data)
        except _Unusual:
            return slow(event, data)

    return decide


def _closure(tree: Tree, variables: tuple[str, str]) -> Condition | None:
    """The tree as a Python function; None where it is not of a common shape."""
    match tree:
        case Const(kind="bool", value=bool(answer)):
            return lambda event, data: answer
        case Select(test=True):
            return _has(tree, variables)
        case Select() | Call(function="_[_]"):
            return _flag(tree, variables)
        case Call(function=name, args=args):
            return _call_closure(name, args, variables)
        case _:
            return None


def _call_closure(name: str, args: tuple[Tree, ...], variables: tuple[str, str]) -> Condition | None:
    match name:
        case "!_":
            return _not(_closure(args[0], variables))
        case "_&&_" | "_||_":
            return _joined(name, [_closure(arg, variables) for arg in args])
        case "@in":
            return _in(args[0], args[1], variables)
        case _ if name in _COMPARISONS:
            return _comparison(name, args[0], args[1], variables)
        case _:
            return None


def _path_of(tree: Tree, variables: tuple[str, str]) -> tuple[int, tuple[str, ...]] | None:
    """(which variable, keys) of `data.a.b` or `data["a"].b`; None for anything else."""
    match tree:
        case Name(name=name) if name in variables:
            return variables.index(name), ()
        case Select(operand=operand, field=key, test=False) | Call(function="_[_]", args=(operand, Const(kind="string", value=str(key)))):
            found = _path_of(operand, variables)
            return None if found is None else (found[0], (*found[1], key))
        case _:
            return None


def _field(tree: Tree, variables: tuple[str, str]) -> Path | None:
    found = _path_of(tree, variables)
    return _getter(*found) if found and found[1] else None


def _getter(variable: int, keys: tuple[str, ...]) -> Path:
    first, rest = keys[0], keys[1:]
    if rest:
        return lambda event, data: _descend((data if variable else event).get(first), rest)
    if variable:
        return lambda event, data: data.get(first)
    return lambda event, data: event.get(first)


def _descend(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _has(tree: Select, variables: tuple[str, str]) -> Condition | None:
    found = _path_of(tree.operand, variables)
    if found is None:
        return None
    variable, keys = found
    key = tree.field
    if not keys:
        return lambda event, data: key in (data if variable else event)
    holder = _getter(variable, keys)

    def has(event: Values, data: Values) -> bool | None:
        inside = holder(event, data)
        return key in inside if isinstance(inside, Mapping) else None

    return has


def _flag(tree: Tree, variables: tuple[str, str]) -> Condition | None:
    field = _field(tree, variables)
    if field is None:
        return None

    def flag(event: Values, data: Values) -> bool | None:
        value = field(event, data)
        return value if value is True or value is False else None

    return flag


def _not(inner: Condition | None) -> Condition | None:
    if inner is None:
        return None

    def negated(event: Values, data: Values) -> bool | None:
        answer = inner(event, data)
        return None if answer is None else not answer

    return negated


def _joined(joint: str, conditions: Sequence[Condition | None]) -> Condition | None:
    """Kleene's and / or, which is CEL's error absorption."""
    known = tuple(condition for condition in conditions if condition is not None)
    if len(known) < len(conditions):
        return None
    decisive = joint == "_||_"

    def joined(event: Values, data: Values) -> bool | None:
        answer: bool | None = not decisive
        for condition in known:
            part = condition(event, data)
            if part is decisive:
                return decisive
            if part is None:
                answer = None
        return answer

    return joined


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "_==_": operator.eq,
    "_!=_": operator.ne,
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
}
_MIRRORED: Final = {"_==_": "_==_", "_!=_": "_!=_", "_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}


def _comparison(name: str, left: Tree, right: Tree, variables: tuple[str, str]) -> Condition | None:
    if isinstance(left, Const):
        name, left, right = _MIRRORED[name], right, left
    field = _field(left, variables)
    if field is None:
        return None
    if isinstance(right, Const):
        return _with_constant(name, field, right)
    other = _field(right, variables)
    return None if other is None else _of_two_fields(_COMPARISONS[name], field, other)


def _with_constant(name: str, field: Path, constant: Const) -> Condition | None:
    compare, wanted = _COMPARISONS[name], constant.value
    if constant.kind == "string":
        return _equal_text(field, wanted, name == "_==_") if name in ("_==_", "_!=_") else _ordered(compare, field, wanted, str)
    if constant.kind in ("int", "double") and isinstance(wanted, int | float) and abs(wanted) <= _EXACT_INT_MAX:
        return _with_number(compare, field, wanted, unlike={"_==_": False, "_!=_": True}.get(name))
    return None


def _equal_text(field: Path, wanted: Scalar, positive: bool) -> Condition:
    def equal(event: Values, data: Values) -> bool | None:
        value = field(event, data)
        if value is None:
            return None
        return (value == wanted) is positive

    return equal


def _ordered(compare: Callable[[Any, Any], bool], field: Path, wanted: Scalar, kind: type) -> Condition:
    def ordered(event: Values, data: Values) -> bool | None:
        value = field(event, data)
        return compare(value, wanted) if type(value) is kind else None

    return ordered


def _with_number(compare: Callable[[Any, Any], bool], field: Path, wanted: int | float, unlike: bool | None) -> Condition:
    """`unlike`: the answer for a value that is no number (None: they cannot be ordered, so unknown)."""

    def numeric(event: Values, data: Values) -> bool | None:
        value = field(event, data)
        kind = type(value)
        if kind is int:
            if -_EXACT_INT_MAX <= value <= _EXACT_INT_MAX:
                return compare(value, wanted)
            raise _Unusual
        if kind is float:
            return compare(value, wanted)
        return None if value is None else unlike

    return numeric


def _of_two_fields(compare: Callable[[Any, Any], bool], one: Path, other: Path) -> Condition:
    def both(event: Values, data: Values) -> bool | None:
        left, right = one(event, data), other(event, data)
        if left is None or right is None:
            return None
        if _plain_number(left) and _plain_number(right):
            return compare(left, right)
        if type(left) is str and type(right) is str:
            return compare(left, right)
        raise _Unusual

    return both


def _plain_number(value: Any) -> bool:
    kind = type(value)
    return kind is float or (kind is int and -_EXACT_INT_MAX <= value <= _EXACT_INT_MAX)


def _in(needle: Tree, heap: Tree, variables: tuple[str, str]) -> Condition | None:
    field = _field(needle, variables)
    if field is None or not isinstance(heap, Items):
        return None
    constants = [element.value for element in heap.elements if isinstance(element, Const) and element.kind == "string"]
    if len(constants) < len(heap.elements):
        return None
    wanted = frozenset(constants)

    def among(event: Values, data: Values) -> bool | None:
        value = field(event, data)
        if type(value) is str:
            return value in wanted
        return None if value is None else False

    return among
