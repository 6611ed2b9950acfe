"""Which checkpoints an evaluator goes on from."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from services.evaluator.core import WouldFoldDifferently
from services.evaluator.keeper import Keeper, fingerprint_of
from services.evaluator.metrics import Metrics
from shared.adapters.memory.checkpoints import MemoryCheckpoints, MemorySnapshots
from shared.adapters.system_time import SystemTime
from shared.ports.checkpoints import Checkpoint
from shared.sla import version

RULES = fingerprint_of("log", 300_000, [])


async def _nothing() -> AsyncIterator[bytes]:
    for block in list[bytes]():
        yield block


async def kept(fingerprint: str, layout: str) -> MemoryCheckpoints:
    """The checkpoints of an evaluator that was there before."""
    found = MemoryCheckpoints()
    checkpoint = Checkpoint(offset=7, output={}, arrival=0, broker_time=(0, 0), fingerprint=fingerprint, layout=layout, saved_at=0)
    await found.save(0, (await found.acquire(0)).epoch, checkpoint, _nothing())
    return found


def keeper(checkpoints: MemoryCheckpoints) -> Keeper:
    return Keeper(checkpoints, MemorySnapshots(), SystemTime(), Metrics(CollectorRegistry()), fingerprint=RULES, layout="this code")


async def test_one_of_the_same_rules_and_code_is_gone_on_from() -> None:
    acquired = await keeper(await kept(RULES, "this code")).acquire(0)
    assert (acquired.epoch, acquired.checkpoint.offset if acquired.checkpoint else None) == (2, 7)


async def test_one_that_other_code_wrote_is_not_read_and_the_log_is_folded_from_its_beginning() -> None:
    acquired = await keeper(await kept(RULES, "other code")).acquire(0)
    assert (acquired.epoch, acquired.checkpoint) == (2, None)


@pytest.mark.parametrize("what", ["rules", "clock", "skew", "agreements"])
async def test_one_of_other_rules_is_refused_with_what_to_do(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "rules":
        monkeypatch.setattr("services.evaluator.keeper.RULES", version.RULES + 1)
    clock, skew = ("event" if what == "clock" else "log"), 1 if what == "skew" else 300_000
    bundles = [("standing/other calendars", None)] if what == "agreements" else []
    other = fingerprint_of(clock, skew, bundles)  # type: ignore[arg-type]  # only ids are looked at
    with pytest.raises(WouldFoldDifferently, match="slawatch checkpoints forget"):
        await keeper(await kept(other, "this code")).acquire(0)
