"""Worlds from seeds: the real pipeline through crashes, zombies, rebalances, outages and disorder says what one quiet fold says."""

import gc
import logging
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from shared.sla.instants import parse_instant
from shared.sla.swift import Folded, Stretch, Swift, SwiftFailed, is_built
from shared.wire import verdicts
from shared.wire.topics import CONTROL_HEADER
from tests.simulation.judging import Judge
from tests.simulation.world import Day, World, run_world

IN_TEST = 50
NIGHTLY = 1_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A world's log lines are thousands."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


def judged(seed: int, make: type[World] = World) -> Judge:
    """The world of this seed, found right."""
    judge = Judge(run_world(seed, make=make))
    gc.unfreeze()  # the evaluator freezes what it holds, and a thousand worlds are not to stay
    problems = judge.problems()
    again = f"again, with what happened: .venv/bin/python -m tests.simulation --seed {seed}"
    assert not problems, "\n".join([f"seed {seed}: {len(problems)} problems", *problems[:5], again])
    return judge


@pytest.mark.parametrize("first", range(0, IN_TEST, 10))
def test_worlds_end_right(first: int) -> None:
    """Ten seeds a time; among them there are enough breaches, retractions, held verdicts and repeats to mean something."""
    judges = [judged(seed) for seed in range(first, first + 10)]
    said = [verdict for judge in judges for verdict in judge.expected.in_order]
    assert sum(verdict.type == "slawatch.breach.opened" for verdict in said) > 100
    assert any(verdict.type == "slawatch.breach.retracted" for verdict in said)
    assert any(isinstance(verdict.data.held, dict) for verdict in said)
    assert sum(len(judge.output) for judge in judges) > len(said), "nothing was said twice: the faults do not bite"


@pytest.mark.skipif(not is_built(), reason="native code is not built: `make install` builds it where there is cargo")
@pytest.mark.parametrize("seed", range(3))
def test_native_code_that_fails_costs_time_and_no_verdict(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails once in each process, in the middle of things; what it kept is restored, and folded on without it."""
    calls, fold = Counter[int](), Swift.fold

    def failing(self: Swift, stretch: Stretch, first: int) -> Folded:
        calls[id(self)] += 1
        if calls[id(self)] == 5:
            fold(self, stretch, first)
            raise SwiftFailed("as planted")
        return fold(self, stretch, first)

    monkeypatch.setattr(Swift, "fold", failing)
    judged(seed)
    assert any(count >= 5 for count in calls.values())


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(IN_TEST, NIGHTLY, 50))
def test_more_worlds_end_right(first: int) -> None:
    for seed in range(first, min(first + 50, NIGHTLY)):
        judged(seed)


@pytest.mark.parametrize(
    "seed", [pytest.param(2, marks=pytest.mark.slow), *(pytest.param(n, marks=pytest.mark.nightly) for n in (1, 3, 4, 5))]
)
def test_export_and_replay_give_a_day_with_crashes_in_it_again_id_by_id(seed: int) -> None:
    """What the evaluators said through it all is what a replay of the export says: each id, with its content, and no other."""
    judge = judged(seed, Day)
    assert len(judge.expected.verdicts) > 1_500
    assert sum("kill -9" in line or "is stopped" in line for line in judge.history.chronicle) > 20
    assert {verdicts.decode(record.value).id for record in judge.output} == set(judge.expected.verdicts)


def test_a_seed_makes_the_same_world_again() -> None:
    """Record for record, with its arrivals: a failure can be looked at."""
    first, second = Judge(run_world(7)), Judge(run_world(7))
    assert first.logs == second.logs
    assert first.output == second.output


@pytest.mark.parametrize("seed", range(5))
def test_when_nothing_goes_wrong_each_thing_is_said_once_and_at_once(seed: int) -> None:
    """A deadline that nobody's event follows is called within a tenth of a second, with at most two ticks a deadline."""
    judge = Judge(run_world(seed, calm=True))
    assert judge.problems() == []
    assert len(judge.output) == len(judge.expected.verdicts)
    for record in judge.output:
        verdict = verdicts.decode(record.value)
        assert record.timestamp - parse_instant(verdict.data.decided_at) < 100, verdict
    ticks = sum(record.header(CONTROL_HEADER) == b"tick" for log in judge.logs for record in log)
    assert 0 < ticks < 2 * len(judge.expected.verdicts) + 10


@pytest.mark.parametrize("check", ["same_verdicts", "revisions"])
def test_a_lost_verdict_is_found(check: str) -> None:
    """The judge can say no."""
    judge = Judge(run_world(3))
    lost = next(record for record in judge.output if b"slawatch.breach.opened" in record.value)
    judge.output = [record for record in judge.output if record.value != lost.value]
    assert list(getattr(judge, check)())
