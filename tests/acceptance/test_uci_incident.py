"""9,202 incidents of ServiceNow with the company's own verdict: through `slawatch replay`, from the log of one row an update."""

import csv
import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.histories import TERMS, events_by_time, history
from tests.acceptance.installation import read_ndjson, replay
from tests.oracle.oracle import case_lines
from tests.properties.engine_side import run_engine
from tests.properties.test_oracle import comparable

FILE = "uci_incident_2016_03.csv.gz"
P3, P4 = "3 - Moderate", "4 - Low"
DESK: dict[str, Any] = {"apiVersion": "slawatch/v1", "kind": "Calendar", "name": "desk", "hours": {"mon-fri": ["14:00-23:00"]}}
WAITING: dict[str, Any] = {
    "apiVersion": "slawatch/v1",
    "kind": "Agreement",
    "name": "incidents",
    "version": 1,
    "vendor": "it-desk",
    "service": "incidents",
    "calendar": "desk",
    "horizon": "400d",
    "objectives": [
        {
            "name": "own-time",
            "kind": "deadline",
            "start": "incident.opened",
            "stop": "incident.closed",
            "pause": {"while": " || ".join(f"data.state == 'Awaiting {whom}'" for whom in ("User Info", "Vendor", "Problem", "Evidence"))},
            "targets": [{"within": "62h"}],
        }
    ],
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Case -> its line."""
    words = ("--agreements", TERMS / "uci_incident.agreements.yaml", "--mapping", TERMS / "uci_incident.mapping.yaml")
    out = replay(tmp_path_factory.mktemp("uci"), *words, "--events", history(FILE))
    assert (out / "rejects.ndjson").read_text("utf-8") == ""
    return {line["case"]: line for line in read_ndjson(out / "cases.ndjson")}


def _last_rows(path: Path) -> dict[str, dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return {row["number"]: row for row in csv.DictReader(text)}


@pytest.mark.parametrize(
    ("priority", "cases", "breaches", "companys"),
    [(P3, 8_581, 5_144, 5_138), (P4, 384, 111, 111)],
    ids=["moderate", "low"],
)
def test_the_breaches_are_the_companys(lines: dict[str, dict[str, Any]], priority: str, cases: int, breaches: int, companys: int) -> None:
    """The terms give six more of moderate priority than the company's verdict has, which is known for sure on an incident's last row."""
    of_priority = {number: row for number, row in _last_rows(history(FILE)).items() if row["priority"] == priority}
    found = {number for number in of_priority if lines[number]["state"] == "breached_closed"}
    theirs = {number for number, row in of_priority.items() if row["made_sla"] == "false"}
    assert {lines[number]["state"] for number in of_priority} == {"met", "breached_closed"}
    assert (len(of_priority), len(found), len(theirs)) == (cases, breaches, companys)
    assert theirs <= found


def test_its_log_of_states_is_told_as_the_oracle_tells_it_whatever_the_order() -> None:
    """What waits for others does not count: rows of one minute, late ones, states that last over several rows."""
    events = events_by_time(FILE, "uci_incident")
    waiting = {event["subject"] for event in events if str(event.get("data", {}).get("state")).startswith("Awaiting")}
    some = set(sorted(waiting)[:150])
    mine = [event for event in events if event["subject"] in some]
    until = max(event["time"] for event in mine)
    theirs = comparable(case_lines([WAITING], [DESK], mine, until))
    assert len(theirs) == len(some)
    assert sum(line["paused_s"] > 0 for line in theirs) > 100
    assert comparable(run_engine(WAITING, [DESK], mine, until)) == theirs
    assert comparable(run_engine(WAITING, [DESK], sorted(mine, key=lambda event: event["id"]), until)) == theirs
