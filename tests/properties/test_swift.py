"""The swift path says, byte for byte, what the engine says without it: live and in event time, written down and read back in between."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.language import bundles, load_text
from shared.sla import keeping
from shared.sla.engine import ClockMode, Engine
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND, format_instant, parse_instant
from shared.sla.statements import Said
from shared.sla.swift import Stretch, is_built
from shared.sla.terms import Bundle
from shared.wire.events import NotAnEvent, decode
from shared.wire.forms import swift_forms
from shared.wire.reports import case_line
from shared.wire.verdicts import encode_statement
from tests.properties.test_plain import enriched

pytestmark = pytest.mark.skipif(not is_built(), reason="native code is not built: `make install` builds it where there is cargo")
IN_TEST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NIGHTLY = settings(IN_TEST, max_examples=4_000, derandomize=False)
NOON = parse_instant("2026-03-06T11:00:00Z")  # a Friday
Step = tuple[str, int, bytes]  # what arrives, when, and the record

CALENDAR = {
    "apiVersion": "slawatch/v1",
    "kind": "Calendar",
    "name": "office",
    "timezone": "Europe/Berlin",
    "hours": {"mon-fri": ["09:00-12:30", "13:30-18:00"]},
}


ANSWER: dict[str, Any] = {"name": "o", "kind": "deadline", "start": "opened", "stop": "done", "targets": [{"within": "1h"}]}
PLAIN: dict[str, Any] = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "a", "version": 1, "vendor": "*", "service": "desk"}
PLAIN["objectives"] = [ANSWER]


def _step(kind: str, case: str, at: int, *, arrival: int | None = None, **attributes: Any) -> Step:
    """An event of acme's desk that arrives when it happens, unless it is said when."""
    event = {"specversion": "1.0", "id": f"{kind} {case}", "source": "/a", "type": kind, "subject": case, "time": format_instant(at)}
    event |= {"vendor": "acme", "service": "desk"} | attributes
    return "event", at if arrival is None else arrival, json.dumps(event).encode()


def _engine(standing: Sequence[Bundle], clock: ClockMode, *, swift: bool) -> Engine:
    engine = Engine(clock, forms_of=swift_forms if swift else None)
    for number, bundle in enumerate(standing):
        engine.activate(bundle, f"standing/{number}")
    return engine


def _bytes(said: Sequence[Said]) -> list[bytes]:
    return [encode_statement(statement) for statement in said]


class _Runner:
    """Steps through an engine; what it says, and what it refuses."""

    def __init__(self, standing: Sequence[Bundle], clock: ClockMode, *, swift: bool) -> None:
        self._standing, self._clock = standing, clock
        self.engine, self.said, self.by_swift = _engine(standing, clock, swift=swift), list[bytes | str](), 0

    def _take(self, value: bytes, arrival: int) -> None:
        try:
            event = decode(value)
        except NotAnEvent:
            self.said.append("not an event")
            return
        said, refused = self.engine.take(event, arrival)
        self.said += _bytes(said)
        if refused is not None:
            self.said.append(refused.reason)

    def records(self, records: Sequence[Step]) -> None:
        """A batch."""
        if self.engine.swift is None:
            for _, arrival, value in records:
                self._take(value, arrival)
            return
        batch, at = Stretch.of([value for *_, value in records], [arrival for _, arrival, _ in records]), 0
        while at < batch.count:
            count, said, stuck = self.engine.fold_swiftly(batch, at)
            self.said += _bytes(said)
            self.by_swift += count
            at += count
            for _, arrival, value in records[at : at + stuck]:
                self._take(value, arrival)
            at += stuck

    def time(self, what: str, arrival: int) -> None:
        """Time passes."""
        if self._clock == "event":
            self.said += _bytes(self.engine.advance(arrival))
        else:
            self.said += _bytes(self.engine.pulse(arrival) if what == "pulse" else self.engine.tick(arrival))

    def again(self, *, swift: bool) -> None:
        """Write it down, and go on from there."""
        fresh = _engine(self._standing, self._clock, swift=swift)
        restoring = keeping.Restoring(fresh)
        for block in keeping.blocks(self.engine):
            for _ in restoring.read(block):
                pass
        self.engine = fresh

    def activate(self, bundle: Bundle, arrival: int, *, restate: bool) -> None:
        """Another version comes."""
        activation = f"{bundle.agreement.name}/{bundle.agreement.version}"
        self.said += _bytes(self.engine.activate(bundle, activation, arrival, restate=restate))


def _standing(engine: Engine) -> Counter[tuple[str, str, str]]:
    """How many clocks stand where, counted as the evaluator does it."""
    at_length = Counter((line.agreement, line.objective, line.view.state) for line in engine.clocks(swiftly=False))
    return at_length + Counter(engine.states_by_swift())


def _bundles(documents: Sequence[dict[str, Any]]) -> list[Bundle]:
    return list(bundles(load_text("drawn.yaml", "\n---\n".join(map(json.dumps, documents))).or_raise()))


def _agree(
    documents: Sequence[dict[str, Any]],
    clock: ClockMode,
    steps: Sequence[Step],
    end: int,
    batch: int,
    breaks: Sequence[int],
    later: Mapping[int, Sequence[dict[str, Any]]] = {},
) -> int:
    """How many records went the swift path. `later`: agreements that come after so many batches; they restate where that is odd."""
    standing = _bundles(documents)
    swift, plain = (_Runner(standing, clock, swift=swift) for swift in (True, False))
    for number, start in enumerate(range(0, len(steps), batch)):
        some = steps[start : start + batch]
        some_at = some[-1][1]
        while some:
            records = some[: next((i for i, step in enumerate(some) if step[0] != "event"), len(some))]
            for runner in (swift, plain):
                runner.records(records) if records else runner.time(some[0][0], some[0][1])
            assert swift.said == plain.said
            some = some[len(records) or 1 :]
        if number in breaks:
            swift.again(swift=number % 3 != 2)
        for document in later.get(number, ()):
            (bundle,) = _bundles([CALENDAR, document])
            for runner in (swift, plain):
                runner.activate(bundle, some_at, restate=bool(number % 2))
            assert swift.said == plain.said
    for runner in (swift, plain):
        runner.time("tick", end)
    assert swift.said == plain.said
    engines = swift.engine, plain.engine
    lines = [list(map(case_line, engine.case_lines())) for engine in engines]
    assert lines[0] == lines[1]
    assert _standing(engines[0]) == _standing(engines[1])
    assert engines[0].counts == engines[1].counts
    return swift.by_swift


@st.composite
def _agreements(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One or two clocks whose terms native code can follow, mostly."""
    targets = [{"when": f'data.priority == "{name}"', "within": draw(st.sampled_from(["30m", "1h", "4h", "90s"]))} for name in ("P1", "P2")]
    targets.append({"within": draw(st.sampled_from(["2h", "1d", "1bd"]))})
    if draw(st.booleans()):
        targets = targets[2:]
    elif draw(st.integers(0, 3)) == 0:
        targets = targets[:2]
    objective: dict[str, Any] = {
        "name": "resolved",
        "kind": "deadline",
        "start": "opened",
        "pause": "paused",
        "resume": "resumed",
        "stop": ["done", "closed"],
        "cancel": "cancelled",
        "reopen": "reopened",
        "targets": targets,
        "boundary": draw(st.sampled_from(["close", "next_open"])),
        "calendar": draw(st.sampled_from(["24x7", "24x7", "office"])),
        "severity": draw(st.sampled_from(["page", "ticket"])),
    }
    if draw(st.integers(0, 2)) == 0:
        objective["warn_at"] = ["50%"]
    agreement: dict[str, Any] = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "drawn", "vendor": "*", "service": "desk"}
    agreement |= {
        "timezone": "Europe/Berlin",
        "grace": draw(st.sampled_from(["2s", "5m"])),
        "horizon": draw(st.sampled_from(["1h", "1d", "7d"])),
    }
    agreement |= {"version": 1, "objectives": [objective]}
    if draw(st.booleans()):
        first = {"name": "answered", "kind": "deadline", "start": "opened", "stop": "answered", "targets": [{"within": "1h"}]}
        agreement["objectives"].append(first)
    if draw(st.integers(0, 4)) == 0:
        agreement["objectives"].append({"name": "lots", "kind": "violation", "on": "inspected", "unless": "data.bad == 0"})
    return [CALENDAR, agreement]


KINDS = ["opened"] * 4 + ["paused", "resumed", "done", "answered"] * 3 + ["closed", "noise", "cancelled", "reopened", "inspected"]
GAPS = [0, 1, 500, SECOND, 30 * SECOND, 10 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, DAY, 3 * DAY]


@st.composite
def _steps(draw: st.DrawFn, clock: ClockMode) -> list[Step]:
    """Mostly in order, now and then all of it late; some late, twice, of other content, replacing, from the future, or no event at all."""
    now, steps, known = NOON, list[Step](), list[bytes]()
    lag = draw(st.sampled_from([0, 0, 0, 45 * MINUTE, 3 * HOUR, 40 * DAY])) if clock == "log" else 0  # of a line that was down
    for number in range(draw(st.integers(2, 40))):
        now += draw(st.sampled_from(GAPS))
        odd = draw(st.integers(0, 39))
        if clock == "log" and odd in (0, 1, 2):
            steps.append((draw(st.sampled_from(["pulse", "tick"])), now, b""))
            continue
        if odd == 3 and known:
            steps.append(("event", now, draw(st.sampled_from(known))))
            continue
        at = now - lag - (draw(st.sampled_from([MINUTE, HOUR, 2 * DAY])) if odd in (4, 5) else 0)
        kind = draw(st.sampled_from(KINDS))
        event: dict[str, Any] = {"specversion": "1.0", "id": f"e{number}", "source": draw(st.sampled_from(["/a", "/b"])), "type": kind}
        event |= {"subject": f"c{draw(st.integers(0, 3))}", "time": format_instant(at), "vendor": draw(st.sampled_from(["acme", "Ätna"]))}
        event |= {"service": "desk" if odd != 6 else "other", "datacontenttype": "application/json"}
        event["data"] = {"priority": draw(st.sampled_from(["P1", "P2", "P3", "P4", 7, None])), "bad": draw(st.integers(0, 1))}
        match odd:
            case 7:
                event["id"] = "e0"
            case 8:
                event["replaces"] = f"e{draw(st.integers(0, number))}"
            case 9:
                event["time"] = format_instant(now + HOUR)
            case 10:
                event["time"] = event["time"][:-1] + "+00:00"
            case 11:
                event["trace"] = "abc"
            case 12:
                event["slwrole"] = draw(st.sampled_from(["customer", "operator", "nobody"]))
            case 13:
                event["subject"] = draw(st.sampled_from(["ü", 'quo"te', "a\\b", "中文"]))
            case 14:
                del event["data"]
            case 15:
                event["data"]["note"] = "tab\t\u4e2d"
        value = json.dumps(event, ensure_ascii=draw(st.booleans())).encode()
        value = value[:-1] if odd == 16 else value
        known.append(value)
        steps.append(("event", now, value))
    return steps


@st.composite
def _versions(draw: st.DrawFn, agreement: dict[str, Any]) -> dict[str, Any]:
    """Another version: other targets, more objectives, one that counts the outcomes of the first; open clocks are moved, or stay."""
    first, *others = (one for one in agreement["objectives"] if one["kind"] == "deadline")
    objectives = [first | {"targets": draw(st.sampled_from([first["targets"], [{"within": "45m"}]]))}]
    objectives += draw(st.sampled_from([others, [], [{"name": "late", "kind": "violation", "on": "inspected", "unless": "data.bad == 0"}]]))
    counted = {"kind": "ratio", "target": ">= 90%", "window": "rolling 1d", "min_events": 1, "on_empty": "met"}
    if draw(st.booleans()):
        objectives.append(counted | {"name": "share", "of": {"objective": first["name"]}})
    if draw(st.integers(0, 3)) == 0:
        objectives.append(counted | {"name": "good", "of": {"events": {"on": "inspected", "good": "data.bad == 0"}}})
    version = agreement["version"] + 1
    return agreement | {"version": version, "objectives": objectives, "apply_to": draw(st.sampled_from(["new", "open"]))}


def _swiftly(data: st.DataObject, clock: ClockMode) -> None:
    documents, steps = data.draw(_agreements()), data.draw(_steps(clock))
    end = max(at for _, at, _ in steps) + data.draw(st.sampled_from([0, MINUTE, DAY, 400 * DAY]))
    breaks = data.draw(st.lists(st.integers(0, 12), max_size=3))
    later, agreement = dict[int, list[dict[str, Any]]](), documents[-1]
    for number in sorted(data.draw(st.sets(st.integers(0, 12), max_size=2))):
        agreement = data.draw(_versions(agreement))
        later[number] = [agreement]
    _agree(documents, clock, steps, end, data.draw(st.sampled_from([1, 3, 50])), breaks, later)


def _drawn(history: Any, clock: ClockMode, batch: int) -> None:
    """The histories of the other properties, most of which are beyond the swift path."""
    steps = [("event", parse_instant(event["time"]), json.dumps(event).encode()) for event in history.events]
    if clock == "log":
        steps.sort(key=lambda step: step[1])
    _agree([*history.calendars, history.agreement], clock, steps, parse_instant(history.until), batch, [1])


@IN_TEST
@given(st.data())
def test_the_same_in_event_time(data: st.DataObject) -> None:
    _swiftly(data, "event")


@IN_TEST
@given(st.data())
def test_the_same_live(data: st.DataObject) -> None:
    _swiftly(data, "log")


@IN_TEST
@given(enriched(), st.sampled_from(["event", "log"]), st.sampled_from([1, 4]))
def test_what_is_beyond_it_is_said_the_same(history: Any, clock: ClockMode, batch: int) -> None:
    _drawn(history, clock, batch)


@pytest.mark.nightly
@NIGHTLY
@given(st.data(), st.sampled_from(["event", "log"]))
def test_the_same_at_length(data: st.DataObject, clock: ClockMode) -> None:
    _swiftly(data, clock)


@pytest.mark.nightly
@NIGHTLY
@given(enriched(), st.sampled_from(["event", "log"]), st.sampled_from([1, 4]))
def test_what_is_beyond_it_at_length(history: Any, clock: ClockMode, batch: int) -> None:
    _drawn(history, clock, batch)


def test_the_usual_story_goes_that_way() -> None:
    steps: list[Step] = []
    for case in range(500):
        for kind, later in (("opened", 0), ("done", 2 * HOUR if case % 7 == 0 else HOUR)):
            at = NOON + case * MINUTE + later
            steps.append(_step(kind, f"c{case}", at))
    steps.sort(key=lambda step: step[1])
    by_swift = _agree([PLAIN], "event", steps, NOON + 30 * DAY, 100, [3])
    assert by_swift > 980  # all but those that make vendor and service known


def test_what_fell_due_in_blind_time_waits_although_it_was_armed_after_it() -> None:
    """The start arrives when the door is open again; the due it makes lies in the time when it was shut."""
    pulses: list[Step] = [("pulse", NOON + second * SECOND, b"") for second in (0, 3_600, 3_605, 3_610)]
    late = _step("opened", "c", NOON - 10 * MINUTE, arrival=NOON + 3_601 * SECOND)
    steps = sorted([*pulses, late], key=lambda step: step[1])
    for end in (NOON + 3_700 * SECOND, NOON + 4_000 * SECOND):
        assert _agree([PLAIN | {"grace": "2s"}], "log", steps, end, 1, []) == 1


def test_a_ratio_that_comes_later_hears_of_the_clocks_that_run() -> None:
    """They were the swift path's until it came; a checkpoint lies between."""
    agreement = PLAIN | {"objectives": [ANSWER | {"targets": [{"within": "4h"}]}]}
    share = {"name": "share", "kind": "ratio", "of": {"objective": "o"}, "target": ">= 90%", "window": "tumbling 1h", "on_empty": "met"}
    second = agreement | {"version": 2, "objectives": [*agreement["objectives"], share]}
    steps = [_step("opened", f"c{number}", NOON + number * MINUTE) for number in range(20)]
    for clock in ("event", "log"):
        for breaks in ([], [0], [1]):
            by_swift = _agree([agreement], clock, steps, NOON + 30 * DAY, 10, breaks, {0: [second]})
            assert by_swift >= 9


def test_a_version_that_restates_has_its_timers_called_before_the_next_record() -> None:
    """Of a clock that is the engine's already, while other cases go the swift path."""
    terms = ANSWER | {"reset": "again", "warn_at": ["50%"]}
    versions = [PLAIN | {"version": n, "objectives": [terms | {"targets": [{"within": w}]}]} for n, w in ((1, "2h"), (2, "45m"))]
    story = [("opened", "c1", 0), ("again", "c1", 1), ("noise", "c0", 2), ("opened", "c0", 30), ("noise", "c0", 31)]
    steps = [_step(kind, case, NOON + later * MINUTE) for kind, case, later in story]
    _agree(versions[:1], "log", steps, NOON + DAY, 1, [], {1: versions[1:]})


def test_a_checkpoint_that_holds_what_was_set_aside_is_read_again() -> None:
    """An event of one service, replaced by one of another: it is kept with its vendor, whose desks have to be there first."""
    others: list[dict[str, Any]] = [{}, {"service": "other"}, {"replaces": "opened c1"}, {}]
    steps = [_step("opened", f"c{number}", NOON + number * MINUTE, **other) for number, other in enumerate(others)]
    for clock in ("event", "log"):
        _agree([PLAIN], clock, steps, NOON + DAY, 3, [0])


def test_a_case_that_lost_all_its_evidence_is_the_engines_after_a_checkpoint_too() -> None:
    """Its only event was replaced by one of another case; what comes then is of the clock that has a retracted breach already."""
    steps = [_step("opened", "c0", NOON), _step("opened", "c1", NOON + 2 * HOUR, replaces="opened c0")]
    steps += [_step("noise", "c2", NOON + 2 * HOUR + MINUTE), _step("opened", "c0", NOON + 3 * HOUR, id="again")]
    for clock in ("event", "log"):
        for breaks in ([0], [1], [0, 1]):
            _agree([PLAIN], clock, steps, NOON + DAY, 1, breaks)


def test_a_case_that_lost_all_its_evidence_keeps_its_timers_in_a_checkpoint() -> None:
    """It leaves when the breach it once had is final, and what it lost is new when it comes again."""
    steps = [_step("opened", "c0", NOON), _step("opened", "c1", NOON + DAY, replaces="opened c0")]
    steps += [("pulse", NOON + 28 * HOUR, b""), _step("opened", "c0", NOON, arrival=NOON + 100 * HOUR)]
    for breaks in ([], [0], [1], [2]):
        _agree([PLAIN | {"horizon": "1d"}], "log", steps, NOON + 101 * HOUR, 1, breaks)
