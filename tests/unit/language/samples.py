"""Documents that tests build on, and shorthands to read them."""

from typing import Any

from shared.language import Loaded, bundles, load_text
from shared.sla.terms import Agreement, Bundle

HEAD = """\
apiVersion: slawatch/v1
kind: Agreement
name: acme
vendor: acme
"""
DEADLINE = """\
  - name: answer
    kind: deadline
    start: opened
    stop: closed
    targets: [{within: 4h}]
"""
SOUND = HEAD + "objectives:\n" + DEADLINE
CALENDAR = """\
apiVersion: slawatch/v1
kind: Calendar
name: office
timezone: Asia/Shanghai
hours: {mon-fri: ["09:00-18:00"]}
"""


def with_lines(*lines: str) -> str:
    """A sound agreement with more lines for its only objective; the first of them is line 11."""
    return SOUND + "".join(f"    {line}\n" for line in lines)


def with_objective(*lines: str) -> str:
    """A sound agreement with a second objective; its first line is line 11."""
    return SOUND + "".join(f"{'  - ' if number == 0 else '    '}{line}\n" for number, line in enumerate(lines))


def found(text: str) -> list[str]:
    """The problems of a text, one line each."""
    return [str(problem) for problem in load_text("a.yaml", text).problems]


def loaded(text: str) -> Loaded:
    return load_text("a.yaml", text).or_raise()


def agreement(text: str) -> Agreement:
    return loaded(text).agreements[0]


def bundle(text: str) -> Bundle:
    return bundles(loaded(text))[0]


def objective(*lines: str) -> Any:
    """The terms of an objective written as its lines."""
    return agreement(with_objective(*lines)).objectives[-1]
