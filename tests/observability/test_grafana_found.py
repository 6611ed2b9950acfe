"""`make run` on a machine with Grafana: what it is given to start with. (No Grafana is at hand here: its files and words are checked, and
the Prometheus beside it is the real one's to judge.)"""

import json
from pathlib import Path

import pytest

from shared.local.grafana import Programs, find, watching
from tests.observability.watchers import promtool

SERVICES = {"ingest": "127.0.0.1:8001", "evaluator": "127.0.0.1:8002", "notifier": "127.0.0.1:8003"}


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({}, None),
        ({"prometheus"}, None),
        ({"grafana-server", "grafana", "prometheus"}, Programs(["/bin/grafana-server"], "/bin/prometheus")),
        ({"grafana", "prometheus"}, Programs(["/bin/grafana", "server"], "/bin/prometheus")),
    ],
)
def test_it_is_set_up_only_where_it_is(there: set[str], found: Programs | None) -> None:
    assert find(lambda name: f"/bin/{name}" if name in there else None) == found


def test_a_grafana_without_a_prometheus_is_told_calmly() -> None:
    said = find(lambda name: "/bin/grafana" if name == "grafana" else None)
    assert isinstance(said, str)
    assert "error" not in said.lower()


def test_it_gets_source_dashboards_and_a_prometheus_that_knows_the_rules(tmp_path: Path) -> None:
    program = tmp_path / "grafana-11" / "bin" / "grafana"
    (tmp_path / "grafana-11" / "public").mkdir(parents=True)

    made = watching(Programs([str(program), "server"], "/bin/prometheus"), tmp_path, SERVICES, {"PATH": "/bin"})

    prometheus, grafana = made.children
    folder = tmp_path / "watching"
    checked = promtool("check", "config", folder / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    [source] = json.loads((folder / "provisioning" / "datasources" / "slawatch.yaml").read_text())["datasources"]
    listens = next(word for word in prometheus.command if word.startswith("--web.listen-address=")).partition("=")[2]
    assert source["url"] == f"http://{listens}"
    [provider] = json.loads((folder / "provisioning" / "dashboards" / "slawatch.yaml").read_text())["providers"]
    assert (Path(provider["options"]["path"]) / "overview.json").exists()
    assert f"--homepath={tmp_path / 'grafana-11'}" in grafana.command
    assert grafana.env is not None
    assert made.url == f"http://127.0.0.1:{grafana.env['GF_SERVER_HTTP_PORT']}/d/slawatch-overview"
    assert listens.startswith("127.0.0.1:")
