"""Real Prometheus and Alertmanager for a test, from Debian's packages; what needs them skips with a clear word where they are absent."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from tests.acceptance.installation import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
READY_S = 30


def tool(name: str, package: str) -> str:
    """The program's path; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine: apt-get install {package}")
    return found


def promtool(*words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run Prometheus' own checker; `given` is its standard input."""
    command = [tool("promtool", "prometheus"), *map(str, words)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=240, check=False)


def documents(path: Path) -> list[Any]:
    """What stands in a YAML file."""
    return list(YAML(typ="safe").load_all(path.read_text("utf-8")))


class Watcher:
    """A server with an HTTP API."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)

    async def get(self, path: str, **query: str) -> Any:
        """The JSON of an answer."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, f"{path} {query}: {answer.text}"
        return answer.json()

    async def query(self, expression: str) -> list[Any]:
        """Samples of an instant query, of a Prometheus."""
        result: list[Any] = (await self.get("/api/v1/query", query=expression))["data"]["result"]
        return result


@asynccontextmanager
async def _running(command: list[str], port: int, directory: Path) -> AsyncIterator[Watcher]:
    log = directory / f"{Path(command[0]).name}.log"
    watcher = Watcher(port)
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, cwd=directory)
        try:
            until = time.monotonic() + READY_S
            while not await _is_ready(watcher):
                assert process.returncode is None, log.read_text("utf-8", "replace")[-2_000:]
                assert time.monotonic() < until, f"not ready: {log.read_text('utf-8', 'replace')[-2_000:]}"
                await asyncio.sleep(0.1)
            yield watcher
        finally:
            await watcher.http.aclose()
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)


async def _is_ready(watcher: Watcher) -> bool:
    try:
        return (await watcher.http.get("/-/ready")).status_code == 200
    except httpx2.TransportError:
        return False


@asynccontextmanager
async def prometheus(directory: Path, targets: dict[str, int], alertmanager: int | None = None) -> AsyncIterator[Watcher]:
    """The project's rules and jobs, against other ports (job -> port), every second instead of every fifteen."""
    program = tool("prometheus", "prometheus")
    rules = DEPLOY / "prometheus"
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules / "recording.yaml"), str(rules / "alerts.yaml")],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in targets.items()],
    }
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]}
    file, port = directory / "prometheus.yaml", free_port()
    with file.open("w", encoding="utf-8") as out:
        YAML(typ="safe").dump(config, out)
    storage = f"--storage.tsdb.path={directory / 'tsdb'}"
    async with _running([program, f"--config.file={file}", storage, f"--web.listen-address=127.0.0.1:{port}"], port, directory) as watcher:
        yield watcher


@asynccontextmanager
async def alertmanager(directory: Path, receiver: str) -> AsyncIterator[Watcher]:
    """The project's Alertmanager configuration, with every receiver at one address, and without waiting for more of a group."""
    program = tool("prometheus-alertmanager", "prometheus-alertmanager")
    [config] = documents(DEPLOY / "alertmanager" / "alertmanager.yaml")
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    for each in config["receivers"]:
        each["webhook_configs"] = [{"url": receiver, "send_resolved": True}]
    file, port = directory / "alertmanager.yaml", free_port()
    with file.open("w", encoding="utf-8") as out:
        YAML(typ="safe").dump(config, out)
    storage = f"--storage.path={directory / 'alertmanager'}"
    words = [f"--config.file={file}", storage, f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    async with _running([program, *words], port, directory) as watcher:
        yield watcher
