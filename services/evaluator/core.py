"""One partition: records in, verdicts and quarantined records out. Pure; the pipeline reads, appends and ticks around it."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.ports.log import Entry, Record
from shared.sla.engine import Engine
from shared.sla.statements import Statement
from shared.sla.terms import Bundle
from shared.wire import controls, events, verdicts
from shared.wire.controls import Activation, Advance, ClockMode
from shared.wire.topics import CONTROL_HEADER


class WouldFoldDifferently(Exception):
    """The log was written under other rules than this evaluator has: going on would change verdicts. The message says what to do."""


class Output(NamedTuple):
    """What folding records gave."""

    statements: list[Statement]
    quarantined: list[Entry]


class Partition:
    """The state of one partition. `next_offset` is that of the record to fold next."""

    def __init__(self, number: int, clock: ClockMode, max_skew: int, bundles: Sequence[tuple[str, Bundle]]) -> None:
        """`max_skew` in ms; `bundles`: (activation id, agreement) that hold from the log's beginning."""
        self.number, self.clock = number, clock
        self.engine = Engine(clock, max_skew=max_skew)
        for activation_id, bundle in bundles:
            self.engine.activate(bundle, activation_id)
        self.next_offset = 0
        self.arrival = 0  # of the last record folded

    def fold(self, records: Sequence[Record]) -> Output:
        """Fold records in order; those folded already are passed over. Raises WouldFoldDifferently."""
        output = Output([], [])
        for record in records:
            if record.offset >= self.next_offset:
                self._fold(record, output)
                self.next_offset, self.arrival = record.offset + 1, record.timestamp
        return output

    def _fold(self, record: Record, output: Output) -> None:
        control = record.header(CONTROL_HEADER)
        try:
            if control is not None:
                output.statements.extend(self._control(controls.decode(control.decode("ascii", "replace"), record.value), record.timestamp))
                return
            evidence = events.decode(record.value)
        except (events.NotAnEvent, controls.NotAControl) as wrong:
            output.quarantined.append(quarantine_entry(record, type(wrong).__name__, str(wrong)))
            return
        said, refused = self.engine.take(evidence, record.timestamp)
        output.statements.extend(said)
        if refused is not None:
            output.quarantined.append(quarantine_entry(record, refused.reason, refused.detail))

    def _control(self, control: controls.Control, arrival: int) -> list[Statement]:
        if isinstance(control, Activation):
            if control.clock != self.clock:
                raise WouldFoldDifferently(
                    f"agreement {control.bundle.agreement.name} was applied under SLAWATCH_CLOCK={control.clock}, this evaluator runs "
                    f"under SLAWATCH_CLOCK={self.clock}: set it to {control.clock}, or use other topics (SLAWATCH_TOPIC_EVENTS, _BREACHES)"
                )
            return self.engine.activate(control.bundle, control.id, arrival, restate=control.restate)
        if self.clock == "log":
            return self.engine.tick(arrival)
        if isinstance(control, Advance):
            return self.engine.advance(control.to, control.vendor)
        return []


def quarantine_entry(record: Record, reason: str, detail: str) -> Entry:
    """A record for the quarantine topic: the original key, bytes and headers, where it stood, and why it is there."""
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "reason": reason, "detail": detail}
    headers = [*record.headers, *((f"slw-{name}", str(value).encode()) for name, value in place.items())]
    return Entry(record.key, record.value, headers)


def verdict_entry(statement: Statement, partition: int | None) -> Entry:
    """A record for the verdicts' topic, in the same partition as the vendor's events (None: that of its key)."""
    return Entry(statement.vendor.encode(), verdicts.encode(verdicts.verdict_of(statement)), partition=partition)
