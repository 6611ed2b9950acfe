"""One partition: records in, verdicts and quarantined records out. Pure; the pipeline reads, appends and ticks around it."""

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from shared.ports.log import Batch, Entry, Record, Run
from shared.ports.quarantine import quarantine_entry
from shared.sla import keeping
from shared.sla.broker_time import BrokerTime
from shared.sla.engine import Engine
from shared.sla.evidence import Evidence
from shared.sla.statements import Said, Sheaf
from shared.sla.swift import Stretch
from shared.sla.terms import Bundle
from shared.sla.version import RULES
from shared.wire import controls, events, forms, verdicts
from shared.wire.controls import Activation, Advance, ClockMode, Pulse, Tick
from shared.wire.topics import CONTROL_HEADER, partition_of

SLICE_RECORDS: Final = 500
SWIFT: Final = 16  # records that the swift path folds in the time of one at length
SLICE_TIMERS: Final = 1_000
EVIDENCE_MAX: Final = 100  # ids that a verdict too large for the log keeps
READER: Final = "evaluator"
CUT_BYTES: Final = 100_000  # of a quarantined record too large for the log
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class WouldFoldDifferently(Exception):
    """This evaluator would reach other verdicts than the log's: going on is refused. The message says why, and what to do."""


class Output:
    """What folding a slice of records gave. `said`: statements, in order; `weight`: how much work it was, in records folded at length."""

    __slots__ = ("quarantined", "said", "weight")

    def __init__(self) -> None:
        self.said: list[Sheaf | list[Said]] = []
        self.quarantined: list[Entry] = []
        self.weight = 0

    def say(self, said: Sequence[Said]) -> None:
        """Add statements: those in columns stay so, others are put together."""
        if isinstance(said, Sheaf):
            self.said.append(said)
        elif said:
            last = self.said[-1] if self.said else None
            if isinstance(last, list):
                last += said
            else:
                self.said.append([*said])

    @property
    def is_full(self) -> bool:
        """Whether it is time to emit it."""
        return self.weight >= SLICE_RECORDS


class Partition:
    """The state of one partition. `next_offset` is that of the record to fold next."""

    def __init__(
        self,
        number: int,
        clock: ClockMode,
        max_skew: int,
        bundles: Sequence[tuple[str, Bundle]],
        partitions: int | None = None,
        *,
        swift: bool = True,
    ) -> None:
        """`max_skew` in ms; `bundles`: (activation id, agreement) that hold from the log's beginning; `partitions`: how many there are.

        `swift`: whether the swift path is taken, where it is built.
        """
        self.number, self.clock = number, clock
        owns = None if partitions is None else lambda vendor: partition_of(vendor.encode(), partitions) == number
        self.engine = Engine(clock, max_skew=max_skew, owns=owns, forms_of=forms.swift_forms if swift else None)
        for activation_id, bundle in bundles:
            self.engine.activate(bundle, activation_id)
        self.next_offset = 0
        self.arrival = 0  # of the last record folded, as it is believed
        self.work = 0.0  # so far, in records folded at length: what folding them again would take
        self.broker_time = BrokerTime()

    def blocks(self) -> Iterator[bytes]:
        """The engine's state, for a checkpoint."""
        return keeping.blocks(self.engine)

    def fold(self, batch: Batch) -> Iterator[Output]:
        """Fold records in order, in slices of bounded work; those folded already are passed over. Raises WouldFoldDifferently.

        The state is at rest between slices. What a slice gave is to be emitted, however many are taken.
        """
        output, at = Output(), bisect_left(batch.offsets, self.next_offset)
        while at < len(batch):
            end = self._swift_until(batch, at)
            if end > at:
                output = yield from self._fold_swiftly(batch, at, end, output)
                at = end
            else:
                output = yield from self._fold_at_length(batch[at], output)
                at += 1
        yield output

    def _swift_until(self, batch: Batch, at: int) -> int:
        """Up to where records from `at` on may go the swift path: before the next control record, or the next leap of broker time."""
        if self.engine.swift is None:
            return at
        end = min((position for position in batch.headers if position >= at), default=len(batch))
        return end if self.clock == "event" else at + self.broker_time.plain(batch.timestamps[at:end])

    def _fold_swiftly(self, batch: Batch, at: int, end: int, output: Output) -> Generator[Output, None, Output]:
        """Fold the records from `at` to before `end`, by the swift path where it can; the slice that is left."""
        stretch = Stretch(batch.block, batch.ends, batch.timestamps, end)
        while at < end:
            count, said, stuck = self.engine.fold_swiftly(stretch, at)
            at += count
            output.say(said)
            output.weight += 1 + count // SWIFT
            self.work += count / SWIFT
            if count:
                self.next_offset, self.arrival = batch.offsets[at - 1] + 1, batch.timestamps[at - 1]
                if self.clock == "log":
                    self.broker_time.pass_over(self.arrival)
            for _ in range(stuck):
                output = yield from self._fold_at_length(batch[at], output)
                at += 1
            if output.is_full:
                yield output
                output = Output()
        return output

    def _fold_at_length(self, record: Record, output: Output) -> Generator[Output, None, Output]:
        """Fold a record, after the timers that it makes fire; the slice that is left."""
        content = self._read(record, output)
        arrival = self._arrival(content, record) if self.clock == "log" else record.timestamp
        more = self._is_waited_for(content, arrival)  # by a timer: seldom
        while more:
            said, more = self._fire(content, arrival)
            output.say(said)
            if more:
                yield output
                output = Output()
        if content.__class__ is Evidence:
            self._take(content, record, arrival, output)
        elif content is not None:
            output.say(self._control(content, arrival))  # type: ignore[arg-type]  # all others are
        self.next_offset, self.arrival = record.offset + 1, arrival
        output.weight += 1
        self.work += 1
        if output.is_full:
            yield output
            return Output()
        return output

    def _read(self, record: Record, output: Output) -> Evidence | controls.Control | None:
        """What a record holds; None if that cannot be read, which is then quarantined."""
        control = record.header(CONTROL_HEADER) if record.headers else None
        try:
            if control is None:
                return events.decode(record.value)
            return controls.decode(control.decode("ascii", "replace"), record.value)
        except (events.NotAnEvent, controls.NotAControl) as wrong:
            output.quarantined.append(quarantine_entry(record, type(wrong).__name__, str(wrong), READER))
            return None

    def _arrival(self, content: Evidence | controls.Control | None, record: Record) -> int:
        """Log mode: when a record arrived, as far as its broker's clock is to be believed."""
        return self.broker_time.believe(record.timestamp, content.reading if isinstance(content, Tick | Pulse) else None)

    def _is_waited_for(self, content: Evidence | controls.Control | None, arrival: int) -> bool:
        """Whether a timer may fire before the record is folded. Asked of every record, while hardly any does."""
        if self.clock == "event":
            return content.__class__ is not Evidence or self.engine.is_waited_for(content.time, content.vendor)
        return self.engine.is_waited_for(arrival)

    def _fire(self, content: Evidence | controls.Control | None, arrival: int) -> tuple[Sequence[Said], bool]:
        """Fire some of the timers that a record is about to; what is stated, and whether there are more."""
        if self.clock == "log":
            return ([], False) if content is None else self.engine.fire(arrival, SLICE_TIMERS)
        if isinstance(content, Evidence):
            return self.engine.fire(content.time, SLICE_TIMERS, content.vendor)
        return self.engine.fire(content.to, SLICE_TIMERS, content.vendor) if isinstance(content, Advance) else ([], False)

    def _take(self, evidence: Evidence, record: Record, arrival: int, output: Output) -> None:
        try:
            said, refused = self.engine.take(evidence, arrival, record.timestamp)
        except Exception as wrong:  # noqa: BLE001 - the poison-message boundary: its timers have fired before, so the failure is this record's
            output.quarantined.append(quarantine_entry(record, "Poison", f"it cannot be folded: {wrong!r}", READER))
            return
        output.say(said)
        if refused is not None:
            output.quarantined.append(quarantine_entry(record, refused.reason, refused.detail, READER))

    def _control(self, control: controls.Control, arrival: int) -> list[Said]:
        if isinstance(control, Activation):
            if control.clock != self.clock:
                raise WouldFoldDifferently(
                    f"agreement {control.bundle.agreement.name} was applied under SLAWATCH_CLOCK={control.clock}, this evaluator runs "
                    f"under SLAWATCH_CLOCK={self.clock}: set it to {control.clock}, or use other topics (SLAWATCH_TOPIC_EVENTS, _BREACHES)"
                )
            if control.rules > RULES:
                raise WouldFoldDifferently(
                    f"agreement {control.bundle.agreement.name} was applied by a slawatch of newer rules (version {control.rules}, "
                    f"this one has {RULES}): its verdicts could differ. Start the evaluators of that version"
                )
            return self.engine.activate(control.bundle, control.id, arrival, restate=control.restate)
        if self.clock == "event":
            return self.engine.advance(control.to, control.vendor) if isinstance(control, Advance) else []
        return self.engine.pulse(arrival) if isinstance(control, Pulse) else self.engine.tick(arrival)


def verdict_run(said: Sequence[Said], partition: int | None) -> Run:
    """Records for the verdicts' topic, in the same partition as the vendor's events (None: that of their keys)."""
    if isinstance(said, Sheaf):
        return Run(list(map(str.encode, said.vendors)), said.lengths, said.values, partition)
    values = [verdicts.encode_statement(statement) for statement in said]
    return Run([statement.vendor.encode() for statement in said], array("I", map(len, values)), b"".join(values), partition)


def verdict_id(record: Record) -> str | None:
    """The id of a verdict that stands on its topic; None where the record is none: others may have written there."""
    try:
        return verdicts.decode(record.value).id
    except _UNREADABLE:
        return None


def cut(entry: Entry) -> Entry:
    """A record that the log refuses for its size, made smaller: a verdict keeps its newest evidence only, other values their beginning."""
    try:
        verdict = verdicts.decode(entry.value)
    except _UNREADABLE:
        return replace(entry, value=entry.value[:CUT_BYTES], headers=[*entry.headers, ("slw-cut", str(len(entry.value)).encode())])
    verdict.data.evidence = verdict.data.evidence[-EVIDENCE_MAX:]
    return replace(entry, value=verdicts.encode(verdict))
