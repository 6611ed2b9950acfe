"""What people make of a breach, apart from what the log says of it. Instants are ms since 1970."""

from typing import Final, Literal

import msgspec

Stage = Literal["open", "in_correction", "disputed", "excused", "closed"]  # what people made of it
Status = Literal["open", "acknowledged", "in_correction", "disputed", "excused", "closed"]  # where it stands, by stage and ledger
Priority = Literal["P1", "P2", "P3", "P4"]


class Correction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done so that it does not happen again, and by when; `done_at` once it is."""

    action: str
    due: int | None = None
    done_at: int | None = None


class Excuse(msgspec.Struct, frozen=True, kw_only=True):
    """Why the breach is not held against the vendor, who agreed to that, and who wrote it down."""

    reason: str
    approver: str
    by: str
    at: int


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody says that it is no breach."""

    reason: str
    by: str
    at: int


class Work(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people found out, agreed on and do about a breach."""

    root_cause: str | None = None
    correction: Correction | None = None
    excuse: Excuse | None = None
    dispute: Dispute | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What people can change about a case. `category` is the API's `class`."""

    stage: Stage = "open"
    category: str | None = None
    priority: Priority | None = None
    owner: str | None = None
    work: Work = Work()


CORRECTION: Final = "/correction"


def correction_of(breach_id: str) -> str:
    """Under what id the corrective action of a breach is told: an alert of its own beside the breach's."""
    return breach_id + CORRECTION


def breach_behind(alert_id: str) -> str:
    """The breach whose page shows an alert: the one it is, or the one whose corrective action it speaks of."""
    return alert_id.removesuffix(CORRECTION)
