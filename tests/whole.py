"""An engine whose reports hold all cases: those that have left memory too, as `slawatch replay` writes them."""

from collections.abc import Iterator
from typing import Any

from shared.cli.spilling import Spill
from shared.sla.books import CaseLine
from shared.sla.engine import ClockMode, Engine


class Whole(Engine):
    """Takes what Engine takes, but for `farewell`."""

    def __init__(self, clock: ClockMode = "log", **settings: Any) -> None:
        self._spill = Spill()
        super().__init__(clock, farewell=self._spill.left, **settings)

    def case_lines(self, *, swiftly: bool = True) -> Iterator[CaseLine]:
        return self._spill.merged(list(super().case_lines(swiftly=swiftly)))
