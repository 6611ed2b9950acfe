"""372 checks of public services: outages and availability of each month, and response times under limits that changed three times."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.histories import TERMS, history
from tests.acceptance.installation import read_ndjson, replay

# Seconds down, which the README of the data gives for the whole history, by the month they lie in (worked out from the file).
DOWN = {
    "api-carrinhos": {"2021-02": 28_648.207, "2021-03": 58_416.056},
    "api-produtos": {"2021-02": 28_615.411, "2021-03": 57_228.915},
    "api-usuarios": {"2021-02": 28_682.379, "2021-03": 60_466.696},
    "serve-rest-dev": {"2020-12": 950.190, "2021-01": 0, "2021-02": 66_055.717, "2021-03": 171_823.069},
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `slawatch replay` wrote."""
    terms = ("--agreements", TERMS / "upptime.agreements.yaml", "--mapping", TERMS / "upptime.mapping.yaml")
    return replay(tmp_path_factory.mktemp("upptime"), *terms, "--events", history("upptime.csv"), "--until", "2021-04-01T00:00:03Z")


def _levels(out: Path) -> list[dict[str, Any]]:
    return [line for line in read_ndjson(out / "levels.ndjson") if line["objective"] == "availability"]


def test_the_months_availability_is_exact_to_the_millisecond(out: Path) -> None:
    down: dict[str, dict[str, float]] = {}
    for line in _levels(out):
        down.setdefault(line["service"], {})[line["window_start"][:7]] = round(line["total"] - line["good"], 3)
        assert line["value"] == round(line["good"] / line["total"], 12)
    assert down == DOWN


def test_outages_add_up_to_the_known_totals(out: Path) -> None:
    lost: Counter[str] = Counter()
    for line in _levels(out):
        lost[line["service"]] += line["total"] - line["good"]
    known = {"api-carrinhos": 87_064.3, "api-produtos": 85_844.3, "api-usuarios": 89_149.1, "serve-rest-dev": 238_829.0}
    assert {service: round(seconds, 1) for service, seconds in lost.items()} == known


def test_months_are_met_or_missed(out: Path) -> None:
    states = Counter((line["service"], line["state"]) for line in _levels(out))
    assert states["serve-rest-dev", "met"] == 2
    assert sum(count for (_, state), count in states.items() if state == "breached") == 8
    levels = json.loads((out / "summary.json").read_text("utf-8"))["agreements"]["uptime"]["availability"]["levels"]
    assert levels == {"met": 2, "breached": 8, "no_data": 0, "at_risk": 0}


def test_each_check_is_held_against_the_limit_of_its_time(out: Path) -> None:
    late = [line for line in read_ndjson(out / "cases.ndjson") if line["objective"] == "answers-in-time"]
    assert len(late) == 19
    assert {(line["service"], line["state"], line["cycle"]) for line in late} == {("serve-rest-dev", "breached_closed", 1)}
    assert all(line["event"] is not None for line in late)
