"""What the engine says: statements about breaches, clocks and levels. `shared.wire.verdicts` turns them into CloudEvents."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, Final, NamedTuple, overload

import msgspec


def identity(*parts: object) -> str:
    """A stable 32-digit name of the parts: the same on every machine and in every run."""
    texts = [str(part) for part in parts]
    # lengths first, so that no two lists of parts read the same
    return _digest(f"{list(map(len, texts))}{''.join(texts)}")


_DIGITS: Final = 32


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=_DIGITS // 2).hexdigest()


def breach_identity(agreement: str, objective: str, vendor: str, service: str, instance: tuple[str, ...]) -> str:
    """The breach id of semantics.md: no clock, offset, worker, due or version in it."""
    return identity(agreement, objective, vendor, service, *instance)


class Ids:
    """The ids of what is said with one type and revision of the first cycles of an objective's cases: what `identity` gives, sooner."""

    __slots__ = ("_breach_head", "_breach_place", "_head", "_tail")

    def __init__(self, agreement: str, objective: str, vendor: str, service: str, type_: str, revision: int | None) -> None:
        place = (agreement, objective, vendor, service)
        self._breach_head, self._breach_place = str(list(map(len, place)))[:-1], "".join(place)
        self._head, self._tail = f"[{_DIGITS}, {len(str(revision))}, {len(type_)}]", f"{revision}{type_}"

    def of(self, case: str) -> tuple[str, str]:
        """(breach id, id)."""
        breach_id = _digest(f"{self._breach_head}, {len(case)}]{self._breach_place}{case}")
        return breach_id, _digest(f"{self._head}{breach_id}{self._tail}")


class Written(msgspec.Struct, gc=False, frozen=True):
    """A statement that is in bytes already, as it stands on the topic; the rest tells what it is about."""

    type: str
    agreement: str
    objective: str
    vendor: str
    value: bytes

    @property
    def id(self) -> str:
        """As `Statement.id`: forms put it there."""
        return self.value[_ID_AT : _ID_AT + _DIGITS].decode()


Label = tuple[str, str, str]  # type, agreement and objective of a statement


class Sheaf(Sequence[Written]):
    """Statements in bytes, one behind the other: in columns for whoever takes many, as `Written`, made when asked for, for all others."""

    __slots__ = ("_kinds", "_labels", "lengths", "values", "vendors")

    def __init__(self, values: bytes, lengths: "array[int]", vendors: Sequence[str], kinds: Sequence[int], labels: Sequence[Label]) -> None:
        """`lengths` in bytes, `vendors`, and `kinds`, which are places in `labels`: of each statement."""
        self.values, self.lengths, self.vendors = values, lengths, vendors
        self._kinds, self._labels = kinds, labels

    def counts(self) -> dict[Label, int]:
        """How many there are of each label."""
        return {self._labels[kind]: count for kind, count in Counter(self._kinds).items()}

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Written: ...
    @overload
    def __getitem__(self, index: slice) -> list[Written]: ...
    def __getitem__(self, index: int | slice) -> Written | list[Written]:
        return list(self)[index]

    def __iter__(self) -> Iterator[Written]:
        at = 0
        for vendor, kind, length in zip(self.vendors, self._kinds, self.lengths, strict=True):
            type_, agreement, objective = self._labels[kind]
            yield Written(type_, agreement, objective, vendor, self.values[at : at + length])
            at += length


class WrittenLine(NamedTuple):
    """A line of `cases.ndjson` that is in bytes already: where it stands among the others, and the clock's state."""

    place: tuple[str, str, str, str, str, int, int, str]
    state: str
    value: bytes


_ID_AT: Final = len('{"specversion":"1.0","id":"')


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
        return identity(self.breach_id, self.revision, self.type, *self.marks)


Said = Statement | Written


def counts(said: Sequence[Said]) -> dict[Label, int]:
    """How many statements there are of each label."""
    return said.counts() if isinstance(said, Sheaf) else Counter((one.type, one.agreement, one.objective) for one in said)


def joined(parts: Sequence[Sequence[Said]]) -> Sequence[Said]:
    """All that was said, in order; a sheaf that is alone stays one."""
    found = [part for part in parts if part]
    return found[0] if len(found) == 1 else [*chain.from_iterable(found)]
