"""How many clocks stand where, as a gauge. A walk over those that are not counted already, which takes its time: beside the pipeline,
never in its way.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from services.evaluator.core import Partition
from services.evaluator.metrics import Metrics
from shared.ports.time import TimeSource

AT_ONCE: Final = 100  # clocks looked at before the pipeline gets its turn
EVERY_S: Final = 1.0  # at least, between two walks
REST: Final = 30  # times as long as it works it rests: 3 % of a core. Ten thousand clocks take seconds, a million minutes

Partitions = Callable[[], Mapping[int, Partition]]


async def count(partitions: Partitions, metrics: Metrics, time: TimeSource) -> None:
    """One walk; the gauge is set at its end, at one go."""
    found: Counter[tuple[str, str, str]] = Counter()
    for partition in list(partitions().values()):
        found.update(partition.engine.states_by_swift())
        clocks = partition.engine.clocks(swiftly=False)
        began = time.monotonic()
        while piece := list(islice(clocks, AT_ONCE)):
            found.update((line.agreement, line.objective, line.view.state) for line in piece)
            await time.sleep((time.monotonic() - began) * REST)
            began = time.monotonic()
    metrics.open_clocks.clear()
    for labels, number in found.items():
        metrics.open_clocks.labels(*labels).set(number)


async def keep_counting(partitions: Partitions, metrics: Metrics, time: TimeSource) -> None:
    """Until cancelled."""
    while True:
        await count(partitions, metrics, time)
        await time.sleep(EVERY_S)
