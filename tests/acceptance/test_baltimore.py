"""10,000 city service requests with known outcomes: through `slawatch replay`, and over HTTP through the running services."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.histories import TERMS, events_by_time, history
from tests.acceptance.installation import Installation, installed, read_ndjson, replay

FILE = "baltimore311.csv.gz"
AS_OF = "2019-02-13T16:18:56-05:00"
AGREEMENTS = TERMS / "baltimore311.agreements.yaml"
BREACHED = ("breached", "breached_closed")

IN_TIME_LATE_OVERDUE = {
    "Solid Waste": (4140, 565, 21),
    "Transportation": (1228, 314, 31),
    "Housing": (1035, 123, 0),
    "Water Wastewater": (474, 306, 42),
    "BGE": (311, 42, 0),
    "Finance": (249, 38, 6),
    "Health": (251, 29, 1),
    "Call Center": (136, 23, 3),
    "Fire Department": (96, 20, 14),
    "Recreation & Parks": (50, 104, 16),
    "Parking Authority": (11, 1, 0),
    "Liquor Board": (5, 1, 0),
    "Police Department": (1, 0, 1),
    "Public Works": (1, 0, 0),
    "Mayor's Office": (0, 1, 0),
}


def _replayed(directory: Path) -> Path:
    mapping = TERMS / "baltimore311.mapping.yaml"
    words = ("--agreements", AGREEMENTS, "--mapping", mapping, "--events", history(FILE), "--until", AS_OF, "--by", "vendor")
    return replay(directory, *words)


def test_replay_gives_the_known_counts_for_each_agency(tmp_path: Path) -> None:
    summary = json.loads((_replayed(tmp_path) / "summary.json").read_text("utf-8"))

    clocks = summary["agreements"]["city-requests"]["done-by-the-promised-date"]["clocks"]
    assert (clocks["met"], clocks["breached_closed"], clocks["breached"], clocks["running"], clocks["skipped"]) == (
        7988,
        1567,
        135,
        24,
        286,
    )
    by_agency = {
        vendor: (c["met"], c["breached_closed"], c["breached"])
        for vendor, agreements in summary["by_vendor"].items()
        if any((c := agreements["city-requests"]["done-by-the-promised-date"]["clocks"])[state] for state in ("met", *BREACHED))
    }
    assert by_agency == IN_TIME_LATE_OVERDUE


def _verdicts(breaches: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[str, str | None, str | None]]:
    """(vendor, case) -> state, due, stopped."""
    return {(b["vendor"], b["case"]): (b["state"], b["due"], b["stopped"]) for b in breaches}


async def _posted(installation: Installation, events: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Post, move log time to the end, and compare the ledger with the replay's breached cases."""
    for first in range(0, len(events), 2_000):
        answer = await installation.post(events[first : first + 2_000])
        assert answer["rejected"] == []
    await installation.command("advance", "--to", AS_OF)
    state = {"breached": "open", "breached_closed": "closed"}
    wanted = _verdicts([{**case, "state": state[case["state"]]} for case in expected if case["state"] in BREACHED])
    ledger = await installation.ledger_of(len(wanted), seconds=120)
    standing = [breach for breach in ledger.values() if breach["state"] != "retracted"]
    assert Counter(b["vendor"] for b in standing) == Counter(vendor for vendor, _ in wanted)
    assert _verdicts(standing) == wanted


async def _compare(directory: Path, kafka: str, database_url: str, events: list[dict[str, Any]]) -> None:
    cases = {event["subject"] for event in events}
    expected = [line for line in read_ndjson(_replayed(directory) / "cases.ndjson") if line["case"] in cases]
    async with installed(directory, kafka, database_url, CLOCK="event", AGREEMENTS=str(AGREEMENTS)) as installation:
        await _posted(installation, events, expected)


async def test_a_sample_over_http_gives_the_same_verdicts_in_the_ledger(tmp_path: Path, kafka: str, database_url: str) -> None:
    events = events_by_time(FILE, "baltimore311")
    chosen = set(sorted({event["subject"] for event in events})[::20])
    await _compare(tmp_path, kafka, database_url, [event for event in events if event["subject"] in chosen])


@pytest.mark.slow
async def test_all_of_it_over_http_gives_the_same_verdicts_in_the_ledger(tmp_path: Path, kafka: str, database_url: str) -> None:
    await _compare(tmp_path, kafka, database_url, events_by_time(FILE, "baltimore311"))
