"""What the partitions hold, as gauges: levels, budgets, burn rates, how far the fold is behind. Beside the pipeline, never in its way."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from services.evaluator.core import Partition
from services.evaluator.metrics import Metrics
from shared.ports.time import TimeSource
from shared.sla.levels import LevelNow

EVERY_S: Final = 5.0
LEVELS_AT_ONCE: Final = 20  # measured before the pipeline gets its turn

Partitions = Callable[[], Mapping[int, Partition]]


async def show(partitions: Partitions, metrics: Metrics, time: TimeSource) -> None:
    """Once: measure in small pieces, then set the gauges at one go, so that no scrape sees half of it."""
    found: list[LevelNow] = []
    for partition in list(partitions().values()):
        levels = partition.engine.levels_now()
        while piece := list(islice(levels, LEVELS_AT_ONCE)):
            found += piece
            await time.sleep(0)
    metrics.show_levels(found)
    arrivals = [partition.arrival for partition in partitions().values() if partition.arrival]
    metrics.log_time_lag.set(max((max(time.wall() - arrival, 0) for arrival in arrivals), default=0) / 1000)


async def keep_showing(partitions: Partitions, metrics: Metrics, time: TimeSource) -> None:
    """Until cancelled."""
    while True:
        await show(partitions, metrics, time)
        await time.sleep(EVERY_S)
