"""Forms for the swift path (shared/sla/swift.py): what native code says of clocks, with blanks for what differs from one to the next.

Blanks by number, as native/src/forms.rs fills them: 0 id, 1 case inside the subject, 2 type, 3 time, 4 vendor, 5 service, 6 breach id,
7 revision, 8 case, 9 state, 10 started, 11 due, 12 stopped, 13 elapsed, 14 target, 15 paused, 16 late, 17 overdue, 18 cause,
19 provisional, 20 evidence, 21 decided at.
"""

import re
from typing import Any, Final

import msgspec

from shared.sla.books import CaseLine
from shared.sla.clocks import View
from shared.sla.rules import DeadlineRules
from shared.sla.swift import Form, Forms
from shared.wire.reports import case_line
from shared.wire.verdicts import Verdict, VerdictData

_TEXTS: Final = (0, 1, 2, 4, 5, 6, 9)  # blanks inside of texts; the others are whole values
_BLANKS: Final[Any] = tuple(chr(blank + 1 if blank < 7 else blank + 7) for blank in range(22))  # JSON writes these as escapes
_NUMBERS: Final = {f"{ord(blank):02x}": number for number, blank in enumerate(_BLANKS)}
_PATTERN: Final = re.compile(r'"?\\u00([0-9a-f]{2})"?')
_VERDICT_BLANKS: Final = 24  # vendor and service stand there twice
_OF_CLOCK: Final = {  # what a statement and a line of `cases.ndjson` both say, under the same names
    "vendor": 4,
    "service": 5,
    "revision": 7,
    "case": 8,
    "state": 9,
    "started": 10,
    "due": 11,
    "stopped": 12,
    "elapsed_s": 13,
    "target_s": 14,
    "paused_s": 15,
    "late_s": 16,
    "overdue_s": 17,
}


def swift_forms(rules: DeadlineRules, objective: str) -> Forms | None:
    """The forms of a statement and of a line of `cases.ndjson`, of plain clocks under some rules; None where a name looks like a blank."""
    statement, line = _pieces(_verdict(rules, objective)), _pieces(_line(rules, objective))
    if _blanks(statement) != _VERDICT_BLANKS or _blanks(line) != len(_OF_CLOCK):
        return None
    return statement, line


def _verdict(rules: DeadlineRules, objective: str) -> Verdict:
    agreement = rules.agreement.name
    data = VerdictData(
        breach_id=_BLANKS[6],
        agreement=agreement,
        version=rules.version,
        objective=objective,
        cycle=1,
        severity=rules.severity,
        cause=_BLANKS[18],
        provisional=_BLANKS[19],
        evidence=_BLANKS[20],
        decided_at=_BLANKS[21],
        **_clock(),
    )
    subject = f"{agreement}/{objective}/{_BLANKS[1]}"
    return Verdict(id=_BLANKS[0], type=_BLANKS[2], subject=subject, time=_BLANKS[3], vendor=_BLANKS[4], service=_BLANKS[5], data=data)


def _line(rules: DeadlineRules, objective: str) -> dict[str, Any]:
    view = View("", 0, None, None, 0, None, 0, None, None, False)
    line = case_line(CaseLine(rules.agreement.name, rules.version, objective, "", "", "", 1, view, None, None))
    return line | _clock()


def _clock() -> dict[str, Any]:
    """What both say of a clock, blank."""
    return {name: _BLANKS[blank] for name, blank in _OF_CLOCK.items()}


def _pieces(document: Any) -> Form:
    """What is the same, and the numbers of the blanks between; -1 for what looks like one and is none."""
    text, form, at = msgspec.json.encode(document).decode(), list[bytes | int](), 0
    for match in _PATTERN.finditer(text):
        blank = _NUMBERS.get(match[1], -1)
        start, end = (match.start(1) - 4, match.end(1)) if blank in _TEXTS else match.span()  # quotes stay, or go
        form += [text[at:start].encode(), blank]
        at = end
    return [*form, text[at:].encode()]


def _blanks(form: Form) -> int:
    """How many; -1: some are none."""
    blanks = [piece for piece in form if isinstance(piece, int)]
    return -1 if -1 in blanks else len(blanks)
