"""Templates that a customer writes for messages: Jinja2, cut down to what always ends soon and says little.

A sandbox keeps a template from reaching out of its values; it does not bound time or memory (`{{ "x" * 10**9 }}`, loops in loops over a
range). So only a part of the language is taken: values, filters of a list, `if`, and `for` over the values, two deep. Nothing can be
called, assigned, multiplied or included. What is left visits each node at most ITEMS_MAX² times.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

SOURCE_MAX: Final = 16_384  # characters of a template
OUTPUT_MAX: Final = 20_000  # characters of a message
ITEMS_MAX: Final = 50  # of any list that a template sees
DEPTH_MAX: Final = 2  # loops in loops
_NODES: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test),
    *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.For),
    *(nodes.Concat, nodes.Add, nodes.Sub, nodes.Neg),
)
_FILTERS: Final = (
    "default",
    "d",
    "first",
    "last",
    "length",
    "count",
    "lower",
    "upper",
    "capitalize",
    "title",
    "trim",
    "round",
    "int",
    "float",
)
_TESTS: Final = (
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "in",
    "odd",
    "even",
    "true",
    "false",
)


class BadTemplate(ValueError):
    """Not a template that is taken; the message names the line and what to write instead."""


class TemplateFailed(Exception):
    """A template did not give a text for these values."""


class Raw(str):
    """A value that is shown as it is: an address of ours."""

    __slots__ = ()


def _truncate(text: object, length: int = 80) -> str:
    cut = str(text)
    return cut if len(cut) <= length else cut[: max(0, length - 1)] + "…"


class Template:
    """A customer's template. `escape` is applied to each value that it shows, never to its own words."""

    def __init__(self, source: str, escape: Callable[[str], str] = str) -> None:
        if len(source) > SOURCE_MAX:
            raise BadTemplate(f"longer than {SOURCE_MAX} characters")
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            finalize=lambda value: value if isinstance(value, Raw) else escape("" if value is None else str(value)),
        )
        environment.globals.clear()
        environment.filters = {name: environment.filters[name] for name in _FILTERS} | {"truncate": _truncate}
        environment.tests = {name: environment.tests[name] for name in _TESTS}
        try:
            _refuse(environment.parse(source), 0)
            self._template = environment.from_string(source)
        except TemplateError as wrong:
            raise BadTemplate(f"line {getattr(wrong, 'lineno', None) or '?'}: {wrong}") from None
        except RecursionError:
            raise BadTemplate("nested too deeply") from None

    def render(self, values: Mapping[str, Any]) -> str:
        """The message. Raises TemplateFailed with what is wrong; never more than OUTPUT_MAX characters."""
        parts: list[str] = []
        size = 0
        try:
            for part in self._template.generate(_bounded(values)):
                size += len(part)
                if size > OUTPUT_MAX:
                    raise TemplateFailed(f"its message is longer than {OUTPUT_MAX} characters")
                parts.append(part)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as wrong:
            raise TemplateFailed(f"{type(wrong).__name__}: {str(wrong)[:200]}") from None
        text = "".join(parts).strip()
        if not text:
            raise TemplateFailed("it says nothing")
        return text


def read_template(path: Path, escape: Callable[[str], str] = str) -> Template:
    """The template in a file. Raises BadTemplate, also where it cannot be read."""
    try:
        if path.stat().st_size > 4 * SOURCE_MAX:  # not even to be read; 4 bytes a character at most
            raise BadTemplate(f"longer than {SOURCE_MAX} characters")
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as wrong:
        raise BadTemplate(f"cannot be read: {wrong.strerror if isinstance(wrong, OSError) else wrong}") from None
    return Template(source, escape)


def _refuse(node: nodes.Node, depth: int) -> None:
    """Raise BadTemplate for the first thing that is not taken."""
    if type(node) not in _NODES:
        raise BadTemplate(
            f"line {node.lineno}: {type(node).__name__.lower()} is not taken here: use values, filters, if, and for over the values"
        )
    if isinstance(node, nodes.For):
        depth += 1
        if depth > DEPTH_MAX or node.recursive:
            raise BadTemplate(f"line {node.lineno}: at most {DEPTH_MAX} loops in each other, none of them recursive")
        if not isinstance(node.iter, nodes.Name | nodes.Getattr):
            raise BadTemplate(f"line {node.lineno}: a loop goes over one of the values, such as messages or message.facts")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise BadTemplate(f"line {node.lineno}: {node.attr} is not a value: none begins with _")
    for child in node.iter_child_nodes():
        _refuse(child, depth)


def _bounded(value: Any) -> Any:
    """Plain values only, and lists of at most ITEMS_MAX, so that what a template can do is bounded by its own length."""
    if isinstance(value, Mapping):
        return {key: _bounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(each) for each in value[:ITEMS_MAX]]
    assert value is None or isinstance(value, str | int | float | bool)
    return value
