"""Dashboards as code: the committed files are what the program writes, and keep to the rules of the house."""

import json
import re
from typing import Any

import pytest

from deploy.grafana import dashboards
from deploy.grafana.dashboards import FOLDER, documents

BOARDS: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in documents().items()}
RECORDED = re.compile(r"\b[a-z_]+:[a-z_]+:[a-z0-9_]+\b")
UNITS = {"short", "s", "percentunit", "bytes", "cps", "bool"}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def test_the_committed_files_are_those_the_program_writes() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert committed == documents(), f"run `make reference`, or python -m {dashboards.__name__}"


@pytest.mark.parametrize("name", BOARDS)
def test_it_asks_for_the_source_and_the_jobs(name: str) -> None:
    board = BOARDS[name]
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert "job" in variables
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels(board))
    for query in queries(board):
        assert 'job=~"$job"' in query or RECORDED.search(query), query
        assert set(re.findall(r"\$(?!__)(\w+)", query)) <= set(variables), query


@pytest.mark.parametrize("name", BOARDS)
def test_rates_fit_the_scrape_interval(name: str) -> None:
    for query in queries(BOARDS[name]):
        assert set(re.findall(r"\[([^\]]+)\]", query)) <= {"$__rate_interval", "$__range"}, query
        assert not re.search(r"(?:rate|increase)\((?![a-z_]+\{[^}]*\}\[)", query), f"of a counter, before sums: {query}"
        if "histogram_quantile" in query:
            assert "by (le" in query, query


@pytest.mark.parametrize("name", BOARDS)
def test_each_panel_has_title_unit_and_a_place_of_its_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    found = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    titles = [panel["title"] for panel in panels(BOARDS[name])]
    assert all(titles)
    assert len(set(titles)) == len(titles)
    for panel in found:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    assert all(panel["fieldConfig"]["defaults"]["unit"] in UNITS for panel in panels(BOARDS[name]))


def test_there_are_five_and_each_leads_to_the_others() -> None:
    assert list(BOARDS) == ["overview.json", "vendor.json", "objective.json", "pipeline.json", "quality.json"]
    assert all(board["links"][0]["tags"] == board["tags"] == ["slawatch"] for board in BOARDS.values())
    assert all(board["uid"] == f"slawatch-{name.removesuffix('.json')}" for name, board in BOARDS.items())
