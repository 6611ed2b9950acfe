"""Verdicts: what stands on `slawatch.breaches` (interfaces.md section 5). CloudEvents, instants RFC 3339 in UTC, durations seconds."""

from typing import Any, Final

import msgspec

from shared.sla.instants import format_instant, or_none_instant, or_none_seconds
from shared.sla.statements import Statement

SOURCE: Final = "/slawatch/evaluator"
BREACH_TYPES: Final = tuple(
    f"slawatch.breach.{name}" for name in ("opened", "amended", "closed", "retracted", "reopened", "contested", "final")
)
CLOCK_TYPES: Final = tuple(f"slawatch.clock.{name}" for name in ("warning", "met", "cancelled"))
LEVEL_TYPES: Final = tuple(f"slawatch.level.{name}" for name in ("at_risk", "met", "no_data", "burning"))


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


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Verdict)


def encode(verdict: Verdict) -> bytes:
    """The bytes of a verdict on the topic."""
    return _encoder.encode(verdict)


def decode(value: bytes) -> Verdict:
    """A verdict from the topic. Raises msgspec.ValidationError or msgspec.DecodeError where it is none."""
    return _decoder.decode(value)
