"""Both clock modes."""

import pytest

from shared.sla.engine import ClockMode


@pytest.fixture(params=["log", "event"])
def clock(request: pytest.FixtureRequest) -> ClockMode:
    """Semantics that hold by arrival and in event time alike are tested in both."""
    mode: ClockMode = request.param
    return mode
