"""Was everything right? Each question on its own, answered with the problems found."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from shared.cli.history import Replay
from shared.language.loading import Loaded
from shared.ports.log import Record
from shared.sla.blindness import CATCH_UP, PULSE_LATE
from shared.sla.broker_time import BrokerTime
from shared.sla.engine import Case, Engine
from shared.sla.instants import format_instant, parse_instant
from shared.sla.statements import Said
from shared.wire import controls, events, verdicts
from shared.wire.history import BadLine, Exporter, read_line
from shared.wire.reports import case_line
from shared.wire.topics import CONTROL_HEADER
from tests.oracle.cases import trigger
from tests.oracle.oracle import case_lines
from tests.saying import unwritten
from tests.simulation.machines import BREACHES, EVENTS, QUARANTINE
from tests.simulation.vendors import BRIEF, LUNCH
from tests.simulation.world import PARTITIONS, History

MAX_SKEW = 300_000
GRACE = 2_000
ONCE = ("slawatch.breach.final", "slawatch.breach.contested")  # of no revision of their own


class _Told:
    """Where a replay puts what it says."""

    def __init__(self) -> None:
        self.verdicts: dict[str, bytes] = {}
        self.in_order: list[verdicts.Verdict] = []
        self.refused: set[tuple[int, int]] = set()
        self.partition = 0

    def said(self, statements: Sequence[Said]) -> None:
        for statement in unwritten(statements):
            verdict = verdicts.verdict_of(statement)
            assert verdict.id not in self.verdicts, f"the engine says {verdict.id} twice"
            self.verdicts[verdict.id] = verdicts.encode(verdict)
            self.in_order.append(verdict)

    def left(self, case: Case) -> None:
        """Those that have left are in nobody's memory."""

    def rejected(self, line: BadLine) -> None:
        self.refused.add((self.partition, line.number))


class Judge:
    """One world's history against a single uninterrupted fold of its log, and against the oracle."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.logs = [list(history.log.records(EVENTS, number)) for number in range(PARTITIONS)]
        self.output = [record for number in range(PARTITIONS) for record in history.log.records(BREACHES, number)]
        self.expected, self.engines = self._fold()

    def _fold(self) -> tuple[_Told, list[Engine]]:
        """`slawatch export` and `slawatch replay`, in one process without a break."""
        told, engines = _Told(), []
        activated = any(record.header(CONTROL_HEADER) == b"activation" for log in self.logs for record in log)
        loaded = Loaded() if activated else self.history.loaded
        for number, log in enumerate(self.logs):
            told.partition, replay = number, Replay(loaded, told, "log")
            exporter = Exporter()
            for record in log:
                raw = exporter.line((record.timestamp, record.partition, record.offset), record.header(CONTROL_HEADER), record.value)
                try:
                    line = read_line(record.offset, msgspec.json.decode(raw))
                except (events.NotAnEvent, controls.NotAControl):
                    told.refused.add((number, record.offset))
                    continue
                replay.feed(line)
            engines += list(replay.engines.values())
        return told, engines

    def problems(self) -> list[str]:
        """All that is wrong."""
        checks = (
            self.same_content,
            self.same_verdicts,
            self.revisions,
            self.quarantine,
            self.final_states,
            self.oracle,
            self.in_time,
            self.blind,
        )
        return self.history.problems + [f"{check.__name__}: {problem}" for check in checks for problem in check()]

    # -- the checks ----------------------------------------------------------------------------------------------

    def same_content(self) -> Iterator[str]:
        """A repeated id stands in the output only with identical content."""
        seen: dict[str, bytes] = {}
        for record in self.output:
            name = verdicts.decode(record.value).id
            if seen.setdefault(name, record.value) != record.value:
                yield f"{name} with two contents: {seen[name]!r} and {record.value!r}"

    def same_verdicts(self) -> Iterator[str]:
        """Without repeats, the output is what the single fold says, id by id."""
        found = {verdicts.decode(record.value).id: record.value for record in self.output}
        for name in self.expected.verdicts.keys() | found.keys():
            if self.expected.verdicts.get(name) != found.get(name):
                yield f"{name}: the fold says {self.expected.verdicts.get(name)!r}, the output {found.get(name)!r}"

    def revisions(self) -> Iterator[str]:
        """A reader that drops by id and by revision sees each breach's statements in the fold's order."""
        wanted: dict[str, list[str]] = {}
        for verdict in self.expected.in_order:
            if verdict.type in verdicts.BREACH_TYPES:
                wanted.setdefault(verdict.data.breach_id, []).append(verdict.id)
        seen: dict[str, list[str]] = {}
        last: dict[str, int] = {}
        for record in self.output:
            verdict = verdicts.decode(record.value)
            breach, revision = verdict.data.breach_id, verdict.data.revision
            if verdict.type not in verdicts.BREACH_TYPES or verdict.id in seen.get(breach, ()):
                continue
            if verdict.type not in ONCE:
                assert revision is not None
                if revision <= last.get(breach, -1):
                    continue
                last[breach] = revision
            seen.setdefault(breach, []).append(verdict.id)
        for breach in wanted.keys() | seen.keys():
            if wanted.get(breach) != seen.get(breach):
                yield f"breach {breach}: the fold says {wanted.get(breach)}, a reader sees {seen.get(breach)}"

    def quarantine(self) -> Iterator[str]:
        """What the fold refuses stands in quarantine, nothing else does, and repeats are identical."""
        found: dict[tuple[int, int], Record] = {}
        for number in range(PARTITIONS):
            for record in self.history.log.records(QUARANTINE, number):
                place = (int(record.header("slw-partition") or b""), int(record.header("slw-offset") or b""))
                first = found.setdefault(place, record)
                if (first.value, first.headers) != (record.value, record.headers):
                    yield f"{place} with two contents"
        for place in found.keys() ^ self.expected.refused:
            yield f"{place} is {'refused by the fold only' if place in self.expected.refused else 'in quarantine only'}"

    def final_states(self) -> Iterator[str]:
        """The clocks in the evaluators' memory are those of the fold."""
        theirs = {self._key(line): line for line in map(case_line, self.history.lines)}
        ours = {self._key(line): line for engine in self.engines for line in map(case_line, engine.case_lines())}
        for key in theirs.keys() | ours.keys():
            if theirs.get(key) != ours.get(key):
                yield f"{key}: in memory {theirs.get(key)}, the fold {ours.get(key)}"

    def oracle(self) -> Iterator[str]:
        """The final states are those of the brute-force oracle; each broken promise stands stated, and no other."""
        if self.history.agreement["horizon"] == BRIEF:
            return  # which the oracle does not know
        standing = self._standing()
        for number, engine in enumerate(self.engines):
            evidence = self._accepted(self.logs[number])
            if engine.log_time is None:
                continue
            until = format_instant(engine.log_time)
            theirs = {self._key(line): line for line in case_lines([self.history.agreement], [LUNCH], evidence, until)}
            ours = {self._key(line): line for line in map(case_line, engine.case_lines())}
            for key in theirs.keys() | ours.keys():
                line = {name: value for name, value in ours.get(key, {}).items() if name != "revision"}
                if line != theirs.get(key, {}):
                    yield f"{key}: the oracle says {theirs.get(key)}, the fold {line}"
            breached = [line for line in theirs.values() if line["state"] in {"breached", "breached_closed"}]
            for case in {self._key(line)[:3] for line in theirs.values()}:
                wanted = sorted((line["due"], line["state"]) for line in breached if self._key(line)[:3] == case)
                if wanted != sorted(standing.get(case, [])):
                    yield f"{case}: the oracle finds these breaches {wanted}, stated stand {standing.get(case)}"

    def in_time(self) -> Iterator[str]:
        """No breach is called before due and grace; none is said before it is decided."""
        for verdict, due in self._called():
            if parse_instant(verdict.data.decided_at) < parse_instant(due) + GRACE:
                yield f"{verdict.id} was called at {verdict.data.decided_at}, due was {due}"

    def blind(self) -> Iterator[str]:
        """What fell due while the door was shut is not called before the catch-up is over."""
        stretches = [self._shut(log) for log in self.logs]
        numbers = {record.key: record.partition for log in self.logs for record in log if record.key is not None}
        for verdict, due in self._called():
            data = verdict.data
            if data.cause != "deadline":
                continue
            broken, decided = parse_instant(max(due, data.started or "")), parse_instant(data.decided_at)
            for start, end in stretches[numbers[verdict.vendor.encode()]]:
                if start < broken < end and decided < end + CATCH_UP:
                    yield f"{verdict.id} due {due} was called at {data.decided_at}, the door opened at {format_instant(end)}"

    # -- helpers -------------------------------------------------------------------------------------------------

    def _called(self) -> Iterator[tuple[verdicts.Verdict, str]]:
        """The breaches that were called as log time passed due, and their due: none that a late stop proved, be the case open again."""
        stops = {name for objective in self.history.agreement["objectives"] for name in trigger(objective.get("stop"))["on"]}
        events = [event for log in self.logs for event in self._accepted(log) if event["type"] in stops]
        stopped = {(event["vendor"], event["id"]): parse_instant(event["time"]) for event in events}
        for verdict in self.expected.in_order:
            data, due = verdict.data, verdict.data.due
            if verdict.type != "slawatch.breach.opened" or data.stopped is not None or due is None:
                continue
            if not any(stopped.get((verdict.vendor, name), 0) > parse_instant(due) for name in data.evidence):
                yield verdict, due

    @staticmethod
    def _shut(log: list[Record]) -> list[tuple[int, int]]:
        """The stretches without pulses, but for their first 15 s."""
        found: list[tuple[int, int]] = []
        last: int | None = None
        now, broker_time = 0, BrokerTime()
        for record in log:
            now = max(now, broker_time.believe(record.timestamp, _reading(record)))
            if record.header(CONTROL_HEADER) == b"pulse":
                if last is not None and now - last > PULSE_LATE:
                    found.append((last + PULSE_LATE, now))
                last = now
        return found

    @staticmethod
    def _accepted(log: list[Record]) -> list[dict[str, Any]]:
        """The events of a log, in order of arrival, without those from the future."""
        found = []
        for record in log:
            if record.header(CONTROL_HEADER) is None:
                try:
                    event = msgspec.json.decode(record.value)
                    if parse_instant(event["time"]) <= record.timestamp + MAX_SKEW:
                        found.append(event)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
                    continue  # the rubbish that the world's vendors throw in
        return found

    def _standing(self) -> dict[tuple[Any, ...], list[tuple[str | None, str]]]:
        """(objective, vendor, case) -> (due, state) of the breaches that stand stated."""
        latest: dict[str, verdicts.Verdict] = {}
        for verdict in self.expected.in_order:
            if verdict.type in verdicts.BREACH_TYPES and verdict.type not in ONCE:
                latest[verdict.data.breach_id] = verdict
        found: dict[tuple[Any, ...], list[tuple[str | None, str]]] = {}
        for verdict in latest.values():
            if verdict.type != "slawatch.breach.retracted":
                place = (verdict.data.objective, verdict.vendor, verdict.data.case)
                found.setdefault(place, []).append((verdict.data.due, verdict.data.state))
        return found

    @staticmethod
    def _key(line: dict[str, Any]) -> tuple[Any, ...]:
        return (line["objective"], line["vendor"], line["case"], line["cycle"])


def _reading(record: Record) -> int | None:
    """What its writer's own clock said, where it tells."""
    kind = record.header(CONTROL_HEADER)
    return msgspec.json.decode(record.value).get("reading") if kind in (b"tick", b"pulse") else None
