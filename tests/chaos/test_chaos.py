"""The gravest faults once, on the real stack, in `make test`; every fault twenty times in `make nightly` (`make chaos`: the table)."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from shared.ports.log import Entry
from tests.chaos.campaign import Tally, befall, table
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.judging import Judge
from tests.chaos.rig import Ground, Rig, ground, rigged
from tests.chaos.worlds import WORLDS, judged

GRAVEST = ("broker killed", "evaluator killed", "evaluator dies after-emit", "PostgreSQL killed", "SIGTERM under load")
RUNS = 20
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
async def under(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A stack of its own: what is killed here is nobody else's."""
    async with ground(tmp_path_factory.mktemp("chaos")) as found:
        yield found


@pytest.fixture(scope="module")
async def rig(under: Ground, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Rig, Judge]]:
    async with rigged(tmp_path_factory.mktemp("rig"), under) as found:
        yield found, Judge(found)


async def _right(rig: Rig, judge: Judge, fault: Fault, seeds: range) -> None:
    if why := fault.missing():
        pytest.skip(why)
    tally = Tally(fault.row, fault.name)
    for seed in seeds:
        await befall(rig, judge, fault, seed, tally)
    print(table([tally]))  # noqa: T201 - the figures of a nightly run
    again = f"{len(tally.problems)} problems, again: python -m tests.chaos --fault '{fault.name}' --seed N"
    assert not tally.problems, "\n".join([again, *tally.problems[:5]])


@pytest.mark.parametrize("name", GRAVEST)
async def test_nothing_is_lost_and_nothing_false_is_said(rig: tuple[Rig, Judge], name: str) -> None:
    await _right(*rig, BY_NAME[name], range(1))


@pytest.mark.nightly
@pytest.mark.parametrize("name", BY_NAME)
async def test_twenty_times(under: Ground, tmp_path: Path, name: str) -> None:
    async with rigged(tmp_path, under) as own:
        await _right(own, Judge(own), BY_NAME[name], range(RUNS))


@pytest.mark.nightly
async def test_the_judge_can_say_no(under: Ground, tmp_path: Path) -> None:
    """An event that was never posted is missed; a verdict that nobody's log gives, and one with two contents, are found."""
    async with rigged(tmp_path, under) as own:
        await own.recovered()
        topic = own.settings.topic_breaches
        said = next(record for record in await own.records(topic) if b"slawatch.breach.opened" in record.value)
        other = json.loads(said.value) | {"id": "invented"}
        changed = said.value.replace(b'"inspected"', b'"inspecting"').replace(b'"case":"probe', b'"case":"robe')
        await own.writer.append(topic, [Entry(said.key, json.dumps(other).encode(), (), said.partition)])
        await own.writer.append(topic, [Entry(said.key, changed, (), said.partition)])
        findings, _ = await Judge(own).look({"never posted"})
    assert any("never posted" in problem for problem in findings.lost)
    assert any("invented is not what a replay says" in problem for problem in findings.false)
    assert any("two contents" in problem for problem in findings.false)


@pytest.fixture
def quiet() -> Iterator[None]:
    """A world's log lines are thousands."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, RUNS), marks=pytest.mark.nightly)], ids=["some", "all"])
def test_in_virtual_time(name: str, seeds: range) -> None:
    for seed in seeds:
        outcome = judged(WORLDS[name][1], seed)
        assert not outcome.problems, "\n".join([f"{name}, seed {seed}: {len(outcome.problems)} problems", *outcome.problems[:5]])
