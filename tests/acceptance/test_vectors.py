"""Every entry of `vectors/clocks.yaml`, through the command `slawatch replay`: answers other systems' own tests give."""

from itertools import groupby
from typing import Any

import pytest

from tests.acceptance.clock_vectors import Vector, as_yaml, vectors
from tests.acceptance.run_replay import replay

VECTORS = vectors()


@pytest.fixture(scope="module")
def lines() -> dict[str, dict[str, Any]]:
    """The last line of each vector's vendor; one run of the command for all that share an `until`."""
    out: dict[str, dict[str, Any]] = {}
    for until, some in groupby(sorted(VECTORS, key=lambda v: v.until or ""), key=lambda v: v.until):
        group = list(some)
        documents = [document for vector in group for document in (vector.calendar, vector.agreement)]
        for line in replay(as_yaml(documents), [event for vector in group for event in vector.events], until):
            if line["vendor"] not in out or line["cycle"] > out[line["vendor"]]["cycle"]:
                out[line["vendor"]] = line
    return out


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_replay_gives_the_known_answer(vector: Vector, lines: dict[str, dict[str, Any]]) -> None:
    line = lines[vector.vendor]
    assert {key: line[key] for key in vector.expect} == vector.expect
