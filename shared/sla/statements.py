"""What the engine says: statements about breaches, clocks and levels. `shared.wire.verdicts` turns them into CloudEvents."""

import hashlib
from functools import lru_cache
from typing import Any

import msgspec


def identity(*parts: object) -> str:
    """A stable 32-digit name of the parts: the same on every machine and in every run."""
    texts = [str(part) for part in parts]
    # lengths first, so that no two lists of parts read the same
    return _digest(f"{list(map(len, texts))}{''.join(texts)}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def breach_identity(agreement: str, objective: str, vendor: str, service: str, instance: tuple[str, ...]) -> str:
    """The breach id of semantics.md: no clock, offset, worker, due or version in it."""
    if len(instance) != 1:
        return identity(agreement, objective, vendor, service, *instance)
    (case,) = instance
    lengths, text = _place(agreement, objective, vendor, service)
    return _digest(f"{lengths}, {len(case)}]{text}{case}")


@lru_cache(maxsize=10_000)  # nearly every statement is about another case of a few of these
def _place(*parts: str) -> tuple[str, str]:
    """How the text that `identity` digests begins, but for the instance: lengths, and the parts."""
    return str(list(map(len, parts)))[:-1], "".join(parts)


class Statement(msgspec.Struct, kw_only=True):
    """One thing said, once. Instants and durations in ms; `None` where there is nothing to say.

    `type` is the CloudEvents type, such as `slawatch.breach.opened`; `subject` `<agreement>/<objective>/<case or window start>`.
    Its ids are worked out when they are asked for.
    """

    type: str
    time: int
    instance: tuple[str, ...]  # what tells the breach from others of the same promise (semantics.md, "Breaches and corrections")
    revision: int | None
    agreement: str
    version: int
    objective: str
    vendor: str
    service: str
    case: str | None
    state: str
    severity: str
    decided_at: int
    cycle: int | None = None
    started: int | None = None
    due: int | None = None
    stopped: int | None = None
    elapsed: int | None = None
    target: int | None = None
    paused: int | None = None
    late: int | None = None
    overdue: int | None = None
    cause: str | None = None
    provisional: bool = False
    evidence: tuple[str, ...] = ()
    marks: tuple[str | int | None, ...] = ()  # what tells apart statements of one breach, type and revision
    detail: dict[str, Any] = {}  # what only some types carry: threshold, window_start, window_end, good, total, value, target, kind

    @property
    def breach_id(self) -> str:
        """The id of the breach that it is about, or would be about."""
        return breach_identity(self.agreement, self.objective, self.vendor, self.service, self.instance)

    @property
    def id(self) -> str:
        """A function of what is said, so that a replay says the same again and a reader can drop it."""
        return self.id_under(self.breach_id)

    def id_under(self, breach_id: str) -> str:
        """Its id, where the breach's is known."""
        if self.marks:
            return identity(breach_id, self.revision, self.type, *self.marks)
        return _digest(f"[{len(breach_id)}, {len(str(self.revision))}, {len(self.type)}]{breach_id}{self.revision}{self.type}")
