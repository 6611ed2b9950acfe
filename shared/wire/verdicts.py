"""Verdicts: what stands on `slawatch.breaches` (interfaces.md section 5). CloudEvents, instants RFC 3339 in UTC, durations seconds."""

from typing import Any, Final, NamedTuple

import msgspec

from shared.sla.instants import SECOND, format_instant, or_none_instant, or_none_seconds
from shared.sla.statements import Ids, Statement, Written

SOURCE: Final = "/slawatch/evaluator"
BREACH_TYPES: Final = tuple(
    f"slawatch.breach.{name}" for name in ("opened", "amended", "closed", "retracted", "reopened", "contested", "final")
)
CLOCK_TYPES: Final = tuple(f"slawatch.clock.{name}" for name in ("warning", "met", "cancelled"))
LEVEL_TYPES: Final = tuple(f"slawatch.level.{name}" for name in ("at_risk", "met", "no_data", "burning"))
CORRECTION_TYPES: Final = ("slawatch.correction.overdue", "slawatch.correction.cleared")  # the notifier's own: never on the topic


class VerdictData(msgspec.Struct, kw_only=True):
    """`data` of a verdict. Absent values are null; levels carry the fields of the last two lines too."""

    breach_id: str
    revision: int | None
    agreement: str
    version: int
    objective: str
    vendor: str
    service: str
    case: str | None = None
    cycle: int | None = None
    state: str
    severity: str
    started: str | None = None
    due: str | None = None
    stopped: str | None = None
    elapsed_s: int | float | None = None
    target_s: int | float | None = None
    paused_s: int | float | None = None
    late_s: int | float | None = None
    overdue_s: int | float | None = None
    cause: str | None = None
    provisional: bool = False
    evidence: list[str] = []
    decided_at: str
    threshold: str | msgspec.UnsetType | None = msgspec.UNSET  # warnings: what the agreement wrote, such as 80% or 30m
    held: dict[str, str | None] | msgspec.UnsetType = msgspec.UNSET  # the blind time (from, until) that kept this verdict back
    kind: str | msgspec.UnsetType | None = msgspec.UNSET
    window_start: str | msgspec.UnsetType | None = msgspec.UNSET
    window_end: str | msgspec.UnsetType | None = msgspec.UNSET
    good: Any | msgspec.UnsetType = msgspec.UNSET
    total: Any | msgspec.UnsetType = msgspec.UNSET
    value: Any | msgspec.UnsetType = msgspec.UNSET
    target: Any | msgspec.UnsetType = msgspec.UNSET
    approximate: bool | msgspec.UnsetType = msgspec.UNSET  # a percentile from a sketch
    action: str | msgspec.UnsetType = msgspec.UNSET  # corrections: what was to be done
    owner: str | msgspec.UnsetType | None = msgspec.UNSET  # corrections: whose case it is


class Verdict(msgspec.Struct, kw_only=True):
    """A verdict as a CloudEvent."""

    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: str
    vendor: str
    service: str
    datacontenttype: str = "application/json"
    data: VerdictData


def verdict_of(statement: Statement) -> Verdict:
    """The wire form of a statement."""
    s = statement
    place = s.case if s.case is not None else s.detail.get("window_start", s.breach_id)
    data = VerdictData(
        breach_id=s.breach_id,
        revision=s.revision,
        agreement=s.agreement,
        version=s.version,
        objective=s.objective,
        vendor=s.vendor,
        service=s.service,
        case=s.case,
        cycle=s.cycle,
        state=s.state,
        severity=s.severity,
        started=or_none_instant(s.started),
        due=or_none_instant(s.due),
        stopped=or_none_instant(s.stopped),
        elapsed_s=or_none_seconds(s.elapsed),
        target_s=or_none_seconds(s.target),
        paused_s=or_none_seconds(s.paused),
        late_s=or_none_seconds(s.late),
        overdue_s=or_none_seconds(s.overdue),
        cause=s.cause,
        provisional=s.provisional,
        evidence=list(s.evidence),
        decided_at=format_instant(s.decided_at),
        **s.detail,
    )
    return Verdict(
        id=s.id,
        type=s.type,
        subject=f"{s.agreement}/{s.objective}/{place}",
        time=format_instant(s.time),
        vendor=s.vendor,
        service=s.service,
        data=data,
    )


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Verdict)


def encode(verdict: Verdict) -> bytes:
    """The bytes of a verdict on the topic."""
    return _encode(verdict)


# -- the short way -------------------------------------------------------------------------------------------------------
# Nearly all statements say of a first cycle that it was met, opened or closed: a form whose blanks are filled in.

_BLANK: Final = "\x01"  # inside a text
_BLANK_VALUE: Final = "\x02"  # a whole value
_BLANKS: Final = 15
_FORMS_MAX: Final = 10_000


class _Form(NamedTuple):
    """What is the same in all statements of a kind."""

    texts: str  # with %s for each blank
    ids: Ids


_forms: dict[tuple[object, ...], _Form | None] = {}


def encode_statement(statement: Statement | Written) -> bytes:
    """The same bytes as `encode(verdict_of(statement))`, sooner."""
    if isinstance(statement, Written):
        return statement.value
    s = statement
    case = s.case
    if s.detail or s.marks or case is None or s.instance != (case,):
        return encode(verdict_of(s))
    kind = (
        s.type,
        s.revision,
        s.state,
        s.cause,
        s.cycle,
        s.severity,
        s.provisional,
        s.version,
        s.agreement,
        s.objective,
        s.vendor,
        s.service,
    )
    form = _forms[kind] if kind in _forms else _new_form(kind, s)
    if form is None:
        return encode(verdict_of(s))
    breach_id, id_ = form.ids.of(case)
    name, time, stopped, decided_at = _encode(case).decode(), _instant(s.time), s.stopped, s.decided_at
    blanks = (
        id_,
        name[1:-1],
        time,
        breach_id,
        name,
        _instant(s.started),
        _instant(s.due),
        time if stopped == s.time else _instant(stopped),
        _seconds(s.elapsed),
        _seconds(s.target),
        _seconds(s.paused),
        _seconds(s.late),
        _seconds(s.overdue),
        _encode(s.evidence).decode(),
        time if decided_at == s.time else _instant(decided_at),
    )
    return (form.texts % blanks).encode()


def _new_form(kind: tuple[object, ...], statement: Statement) -> _Form | None:
    """The form of statements of a kind, made from what the long way says of one; None where its own texts look like blanks."""
    s = statement
    verdict: Any = verdict_of(s)  # as long as it is a form its fields hold anything
    data = verdict.data
    verdict.id = data.breach_id = _BLANK
    verdict.subject = f"{s.agreement}/{s.objective}/{_BLANK}"
    for field in (
        "case",
        "started",
        "due",
        "stopped",
        "elapsed_s",
        "target_s",
        "paused_s",
        "late_s",
        "overdue_s",
        "evidence",
        "decided_at",
    ):
        setattr(data, field, _BLANK_VALUE)
    verdict.time = _BLANK_VALUE
    blank, value = (_encode(text).decode()[1:-1] for text in (_BLANK, _BLANK_VALUE))
    texts = _encode(verdict).decode().replace(f'"{value}"', blank).replace("%", "%%").split(blank)
    if len(_forms) >= _FORMS_MAX:
        _forms.clear()
    ids = Ids(s.agreement, s.objective, s.vendor, s.service, s.type, s.revision)
    form = _forms[kind] = _Form("%s".join(texts), ids) if len(texts) == _BLANKS + 1 else None
    return form


def _instant(instant: int | None) -> str:
    return "null" if instant is None else f'"{format_instant(instant)}"'


def _seconds(duration: int | None) -> str:
    return "null" if duration is None else repr(duration / SECOND if duration % SECOND else duration // SECOND)


def decode(value: bytes) -> Verdict:
    """A verdict from the topic. Raises msgspec.ValidationError or msgspec.DecodeError where it is none."""
    return _decoder.decode(value)
