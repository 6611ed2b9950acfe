"""One partition: records in, verdicts and quarantined records out."""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
from msgspec import structs

from services.evaluator import core
from services.evaluator.core import Output, Partition, WouldFoldDifferently, cut, verdict_id, verdict_run
from shared.language import bundles, load_text
from shared.ports.log import Batch, Entry, Record
from shared.ports.quarantine import place_of, quarantine_entry
from shared.sla.engine import Engine, Refused
from shared.sla.evidence import Evidence
from shared.sla.instants import format_instant, parse_instant
from shared.sla.statements import Said
from shared.sla.version import RULES
from shared.wire import controls, verdicts
from shared.wire.controls import Activation, Advance, ClockMode, Control, Pulse, Tick

ZERO = parse_instant("2026-03-02T08:00:00Z")
OBJECTIVE = {"name": "done", "kind": "deadline", "start": "opened", "stop": "done", "targets": [{"within": "60s"}]}
AGREEMENT = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "terms", "version": 1, "vendor": "*", "objectives": [OBJECTIVE]}
(BUNDLE,) = bundles(load_text("terms.yaml", json.dumps(AGREEMENT)).or_raise())


class Log:
    """Records of partition 3, each at its second."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def _add(self, second: float, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> Record:
        record = Record("events", 3, len(self.records), ZERO + round(second * 1000), b"acme", value, tuple(headers))
        self.records.append(record)
        return record

    def event(self, second: float, kind: str, case: str = "c", **more: Any) -> Record:
        event = {"id": f"{case}-{kind}", "source": "/s", "type": kind, "subject": case, "vendor": "acme", "service": "desk"}
        return self._add(second, json.dumps(event | {"time": format_instant(ZERO + round(second * 1000))} | more).encode())

    def control(self, second: float, control: Control) -> Record:
        if isinstance(control, Tick | Pulse):
            control = structs.replace(control, reading=ZERO + round(second * 1000))
        return self._add(second, controls.encode(control), controls.headers_of(control))

    def raw(self, second: float, value: bytes, **headers: bytes) -> Record:
        return self._add(second, value, [(name.replace("_", "-"), value) for name, value in headers.items()])


def partition(clock: ClockMode = "log") -> Partition:
    return Partition(3, clock, 300_000, [("standing", BUNDLE)])


def fold(state: Partition, records: Sequence[Record]) -> Output:
    """All slices together."""
    whole = Output()
    for output in state.fold(Batch.of(records)):
        whole.said.extend(output.said)
        whole.quarantined.extend(output.quarantined)
    return whole


def said(output: Output) -> list[Said]:
    return [*chain.from_iterable(output.said)]


def types(statements: Sequence[Said]) -> list[str]:
    return [statement.type.removeprefix("slawatch.") for statement in statements]


@pytest.mark.parametrize("control", [Tick(0), Pulse("door")])
def test_a_control_record_makes_log_time_move(control: Control) -> None:
    log, state = Log(), partition()
    log.event(0, "opened")
    log.control(61.9, control)
    assert types(said(fold(state, log.records))) == []
    log.control(62.1, control)
    assert types(said(fold(state, log.records))) == ["breach.opened"]


def test_records_folded_already_are_passed_over() -> None:
    log, state = Log(), partition()
    log.event(0, "opened")
    log.event(70, "done")
    assert len(said(fold(state, log.records))) == 2
    again = fold(state, log.records)
    assert (said(again), again.quarantined) == ([], [])
    assert state.next_offset == 2
    assert state.engine.counts["duplicates"] == 0


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"", {}),
        (b"\xff\xfe", {}),
        (b"[" * 100_000, {}),
        (b'{"a":' * 50_000, {}),
        (b'{"specversion": "1.0"}', {}),
        (b'{"id": NaN}', {}),
        (b'"\\ud800"', {}),
        (b"{}", {"slw_control": b"no-such-kind"}),
        (b"[" * 100_000, {"slw_control": b"tick"}),
        (b"{}", {"slw_control": b"\xff\xfe"}),
    ],
)
def test_a_poison_record_is_quarantined_as_it_was_and_the_partition_goes_on(value: bytes, headers: dict[str, bytes]) -> None:
    log, state = Log(), partition()
    log.event(0, "opened")
    poison = log.raw(1, value, **headers)
    log.event(2, "done")
    output = fold(state, log.records)
    assert types(said(output)) == ["clock.met"]
    (entry,) = output.quarantined
    assert (entry.key, entry.value) == (b"acme", value)
    found = dict(entry.headers)
    assert (found["slw-topic"], found["slw-partition"], found["slw-offset"]) == (b"events", b"3", b"1")
    assert found["slw-reason"] in {b"NotAnEvent", b"NotAControl"}
    assert set(poison.headers) <= set(entry.headers)


class Fragile(Engine):
    """An engine with a fault that one case brings out."""

    def take(self, event: Evidence, arrival: int | None = None, stamped: int | None = None) -> tuple[Sequence[Said], Refused | None]:
        if event.case == "strange":
            raise OverflowError("date value out of range")
        return super().take(event, arrival, stamped)


def test_an_event_that_breaks_the_engine_is_quarantined_too() -> None:
    log, state = Log(), partition()
    state.engine = Fragile("log")
    state.engine.activate(BUNDLE, "standing")
    log.event(0, "opened")
    log.event(1, "noise", "strange")
    log.event(2, "done")
    output = fold(state, log.records)
    assert types(said(output)) == ["clock.met"]
    assert dict(output.quarantined[0].headers)["slw-reason"] == b"Poison"


def test_what_the_engine_refuses_says_why() -> None:
    log, state = Log(), partition()
    log.event(0, "opened", time=format_instant(ZERO + 301_000))
    log.event(1, "opened", "other")
    log.event(2, "opened", "other", data={"changed": True})
    reasons = [dict(entry.headers)["slw-reason"] for entry in fold(state, log.records).quarantined]
    assert reasons == [b"future", b"conflict"]


def test_another_clock_mode_is_refused_with_what_to_do() -> None:
    log, state = Log(), partition("event")
    log.control(0, Activation("a", BUNDLE, clock="log"))
    with pytest.raises(WouldFoldDifferently, match="SLAWATCH_CLOCK=log"):
        fold(state, log.records)


def test_an_agreement_of_newer_rules_is_refused_and_one_of_older_is_not() -> None:
    log = Log()
    log.control(0, Activation("a", BUNDLE, rules=RULES - 1))
    log.control(1, Activation("b", BUNDLE, rules=RULES))
    fold(partition(), log.records)
    log.control(2, Activation("c", BUNDLE, rules=RULES + 1))
    with pytest.raises(WouldFoldDifferently, match=f"newer rules .version {RULES + 1}, this one has {RULES}"):
        fold(partition(), log.records)


def test_event_mode_takes_the_events_time_and_obeys_advance() -> None:
    log, state = Log(), partition("event")
    log.event(0, "opened")
    log.control(10_000, Tick(0))
    log.control(10_000, Pulse("door"))
    assert said(fold(state, log.records)) == []
    log.control(10_001, Advance(ZERO + 62_001))
    (opened,) = said(fold(state, log.records))
    assert verdicts.decode(verdicts.encode_statement(opened)).data.decided_at == format_instant(ZERO + 62_000)


@pytest.mark.parametrize("clock", ["log", "event"])
def test_an_event_without_a_vendor_is_quarantined_and_the_partition_goes_on(clock: ClockMode) -> None:
    log, state = Log(), partition(clock)
    log.raw(0, b'{"id":"x","source":"/s","type":"opened","subject":"x","service":"desk","time":"2026-03-02T08:00:00Z"}')
    log.event(1, "opened", vendor="")
    log.event(2, "opened")
    output = fold(state, log.records)
    assert [place_of(entry) for entry in output.quarantined] == [place_of(quarantine_entry(log.records[n], "", "", "")) for n in (0, 1)]
    assert state.engine.counts["events_read"] == 1


@pytest.mark.parametrize("clock", ["log", "event"])
def test_many_deadlines_at_once_come_in_slices(clock: ClockMode) -> None:
    log, state = Log(), partition(clock)
    for number in range(2_500):
        log.event(0, "opened", f"c{number}")
    fold(state, log.records)
    log.control(70, Tick(0) if clock == "log" else Advance(ZERO + 70_000))
    assert [len(said(output)) for output in state.fold(Batch.of(log.records))] == [1_000, 1_000, 500]


def test_many_records_come_in_slices() -> None:
    log, state = Log(), partition()
    state.engine.swift = None  # records folded at length
    for number in range(1_200):
        log.event(number, "noise", f"c{number}")
    assert [state.next_offset for _ in state.fold(Batch.of(log.records))] == [500, 1_000, 1_200]


@pytest.mark.parametrize("swift", [False, True])
def test_work_tells_what_folding_again_would_take(swift: bool) -> None:
    log, state = Log(), Partition(3, "log", 300_000, [("standing", BUNDLE)], swift=swift)
    for number in range(1_600):
        log.event(number / 1_000, "opened", f"c{number}")
    fold(state, log.records)
    control = log.control(2, Tick(0))
    fold(state, [*log.records, control])  # what was folded already is no work
    if swift and state.engine.swift is None:
        pytest.skip("native code is not built here")
    assert state.work == pytest.approx(101 if swift else 1_601, abs=20)


def test_the_place_of_a_quarantined_record_is_ours_whatever_its_own_headers_say() -> None:
    record = Record("events", 3, 17, ZERO, None, b"x", (("slw-partition", b"9"), ("slw-offset", b"\xff"), ("other", b"\xfe")))
    assert place_of(quarantine_entry(record, "future", "…", "evaluator")) == b"events/3/17"
    assert place_of(structs.replace(record, headers=())) == b"?/?/?"


def test_a_verdict_that_cannot_be_decoded_has_no_id() -> None:
    record = Record("breaches", 0, 0, ZERO, None, b"", ())
    assert [verdict_id(structs.replace(record, value=value)) for value in (b"", b"{}", b"\xff", b"[" * 100_000, b"null")] == [None] * 5


def test_a_verdict_too_large_keeps_its_newest_evidence() -> None:
    log, state = Log(), partition()
    log.event(0, "opened")
    log.event(70, "done")
    verdict = verdicts.decode(verdict_run(said(fold(state, log.records)), 3)[0].value)
    verdict.data.evidence = [f"event-{number}" for number in range(50_000)]
    entry = Entry(b"acme", verdicts.encode(verdict), partition=3)
    small = verdicts.decode(cut(entry).value)
    assert small.id == verdict.id
    assert small.data.evidence == [f"event-{number}" for number in range(49_900, 50_000)]


def test_another_record_too_large_keeps_its_beginning() -> None:
    entry = cut(Entry(b"acme", b"x" * 2_000_000))
    assert len(entry.value) == core.CUT_BYTES
    assert dict(entry.headers)["slw-cut"] == b"2000000"
