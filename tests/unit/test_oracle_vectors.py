"""The oracle itself is held to the same vectors as the engine."""

import pytest

from tests.acceptance.clock_vectors import Vector, vectors
from tests.oracle.oracle import case_lines


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
def test_oracle_gives_the_known_answer(vector: Vector) -> None:
    line = case_lines([vector.agreement], [vector.calendar], vector.events, vector.until)[-1]
    expect = {key: value for key, value in vector.expect.items() if key != "revision"}  # the oracle tells final states only
    assert {key: line[key] for key in expect} == expect
