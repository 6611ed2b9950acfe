"""A Grafana on this machine is set up by `make run`: the dashboards, and a Prometheus that scrapes the services and knows the rules."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.local.process import Child, free_ports
from shared.runtime.settings import PROJECT

DEPLOY: Final = PROJECT / "deploy"
PACKAGE_HOME: Final = Path("/usr/share/grafana")  # of Debian's and Grafana's own packages
KEPT: Final = "7d"
Which = Callable[[str], str | None]


class Programs(NamedTuple):
    """What is needed to look at dashboards."""

    grafana: list[str]
    prometheus: str


class Watching(NamedTuple):
    """Programs to start, in order, and the address to look at."""

    children: list[Child]
    url: str


def find(which: Which = shutil.which) -> Programs | str | None:
    """The programs; a word for the person where only one of the two is there; None: no Grafana, and nothing to be said."""
    server, command, prometheus = which("grafana-server"), which("grafana"), which("prometheus")
    if not (server or command) or not (DEPLOY / "grafana").is_dir():
        return None
    if prometheus is None:
        return "Grafana is on this machine; with a Prometheus beside it, its dashboards would be set up here"
    return Programs([server] if server else [str(command), "server"], prometheus)


def watching(programs: Programs, home: Path, services: Mapping[str, str], env: Mapping[str, str]) -> Watching:
    """Write what both need below `home`. `services`: host:port of each service by its name."""
    folder = home / "watching"
    to_prometheus, to_grafana = (f"127.0.0.1:{port}" for port in free_ports(folder, 2))
    config = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(DEPLOY / "prometheus" / name) for name in ("recording.yaml", "alerts.yaml")],
        "scrape_configs": [{"job_name": f"slawatch-{name}", "static_configs": [{"targets": [place]}]} for name, place in services.items()],
    }
    source = {"name": "slawatch", "uid": "slawatch", "type": "prometheus", "url": f"http://{to_prometheus}", "isDefault": True}
    provider = {"name": "slawatch", "type": "file", "options": {"path": str(DEPLOY / "grafana")}}
    _write(folder / "prometheus.yaml", config)
    _write(folder / "provisioning" / "datasources" / "slawatch.yaml", {"apiVersion": 1, "datasources": [source]})
    _write(folder / "provisioning" / "dashboards" / "slawatch.yaml", {"apiVersion": 1, "providers": [provider]})
    prometheus = [
        programs.prometheus,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--storage.tsdb.retention.time={KEPT}",
        f"--web.listen-address={to_prometheus}",
    ]
    host, _, port = to_grafana.partition(":")
    settings = {
        "GF_SERVER_HTTP_ADDR": host,
        "GF_SERVER_HTTP_PORT": port,
        "GF_PATHS_DATA": str(folder / "grafana"),
        "GF_PATHS_LOGS": str(folder / "grafana"),
        "GF_PATHS_PLUGINS": str(folder / "grafana" / "plugins"),
        "GF_PATHS_PROVISIONING": str(folder / "provisioning"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",  # loopback only, and may look, not change
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
    grafana = [*programs.grafana, f"--homepath={_home_of(programs.grafana[0])}"]
    children = [
        Child("Prometheus", prometheus, home / "logs" / "prometheus.log", env),
        Child("Grafana", grafana, home / "logs" / "grafana.log", {**env, **settings}),
    ]
    return Watching(children, f"http://{to_grafana}/d/slawatch-overview")


def _home_of(program: str) -> Path:
    """Where Grafana's own files are: beside `bin` in an archive that was unpacked, else where packages put them."""
    beside = Path(program).resolve().parents[1]
    return beside if (beside / "public").is_dir() else PACKAGE_HOME


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), "utf-8")  # JSON is YAML too
