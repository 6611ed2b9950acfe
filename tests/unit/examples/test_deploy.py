"""The deployment files load and agree with each other. (They cannot be run here.)"""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from shared.runtime.settings import Settings

DEPLOY = Path(__file__).parents[3] / "deploy"
PORTS = {name: Settings.model_fields[f"{name}_port"].default for name in ("ingest", "evaluator", "notifier")}


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_file_loads(path: Path) -> None:
    assert all(isinstance(document, dict) for document in documents(path))


def test_compose_starts_the_three_services() -> None:
    [compose] = documents(DEPLOY / "compose.yaml")
    for name, port in PORTS.items():
        service = compose["services"][name]
        assert service["command"] == ["serve", name]
        published = service.get("ports", []) + service.get("expose", [])
        assert [str(place).rsplit(":", 1)[-1] for place in published] == [str(port)]


def test_compose_publishes_on_loopback_only() -> None:
    [compose] = documents(DEPLOY / "compose.yaml")
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_kubernetes_starts_the_three_services_as_nobody_in_particular() -> None:
    manifests = documents(DEPLOY / "kubernetes" / "slawatch.yaml")
    deployments = {doc["metadata"]["name"]: doc["spec"]["template"]["spec"] for doc in manifests if doc["kind"] == "Deployment"}
    assert deployments.keys() == PORTS.keys()
    for name, pod in deployments.items():
        [container] = pod["containers"]
        assert container["args"] == ["serve", name]
        assert container["ports"] == [{"name": "http", "containerPort": PORTS[name]}]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_prometheus_scrapes_the_ports_and_has_its_rules() -> None:
    [config] = documents(DEPLOY / "prometheus" / "prometheus.yaml")
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert targets == {f"slawatch-{name}": [f"127.0.0.1:{port}"] for name, port in PORTS.items()}
    assert all((DEPLOY / "prometheus" / name).exists() for name in config["rule_files"])
