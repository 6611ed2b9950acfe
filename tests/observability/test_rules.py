"""The rules: correct, tested one by one, and every alert leads to a page that says what to do."""

import re
import subprocess
from typing import Any

import pytest

from tests.observability.watchers import DEPLOY, documents, promtool, tool

RULES = DEPLOY / "prometheus"
RUNBOOKS = DEPLOY.parent / "docs" / "runbooks"
BASE = "https://slawatch.example"
SEVERITIES = {"critical", "warning", "none"}


def rules(name: str) -> list[dict[str, Any]]:
    [document] = documents(RULES / name)
    return [rule for group in document["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yaml")}


def test_promtool_finds_nothing_wrong() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES / "recording.yaml", RULES / "alerts.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "config", RULES / "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_unit_tests_pass() -> None:
    done = promtool("test", "rules", RULES / "rules_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing_in_them() -> None:
    text = (RULES / "rules_test.yaml").read_text("utf-8")
    fired = set(re.findall(r'labels: \'ALERTS\{alertname="(\w+)",alertstate="firing"', text))
    assert set(ALERTS) - fired == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_where_to_go_on(name: str) -> None:
    rule = ALERTS[name]
    said = rule["annotations"]
    assert re.fullmatch(r"Slawatch[A-Z]\w+", name)
    assert rule["labels"]["severity"] in SEVERITIES
    assert said["summary"].endswith(".")
    assert said["description"].endswith(".")
    runbook = RUNBOOKS / f"{name}.md"
    assert said["runbook_url"] == f"{BASE}/runbooks/{runbook.name}"
    dashboard = said["dashboard_url"].removeprefix(f"{BASE}/grafana/d/slawatch-")
    assert (DEPLOY / "grafana" / f"{dashboard}.json").exists()
    text = runbook.read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Look at", "## Do"):
        assert heading in text
    assert f"Severity {rule['labels']['severity']}" in text
    assert f"| [{name}]({name}.md) |" in (RUNBOOKS / "README.md").read_text("utf-8")


def test_no_runbook_is_left_over_and_their_links_lead_somewhere() -> None:
    pages = {path.stem: path.read_text("utf-8") for path in RUNBOOKS.glob("Slawatch*.md")}
    assert set(pages) == set(ALERTS)
    for name, text in pages.items():
        for target in re.findall(r"\]\((\w+)\.md\)", text):
            assert target in pages, f"{name} leads to {target}"


def test_alertmanagers_example_is_acceptable() -> None:
    command = [tool("amtool", "prometheus-alertmanager"), "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
