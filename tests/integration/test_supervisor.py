"""`slawatch up` as the person at the terminal sees it, and how a child that ends is started again."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from shared.local.process import Child, StackError, free_ports, is_free, wait_until
from shared.local.stack import running_stack
from shared.local.supervisor import PAUSE_S_MAX, STEADY_S, Kept, choose_ports
from shared.runtime.settings import Settings

SERVES = ("ingest", "evaluator", "notifier")


def variables(home: Path) -> dict[str, str]:
    ports = free_ports(home / "services", 3)
    return {"SLAWATCH_HOME": str(home)} | {f"SLAWATCH_{name.upper()}_PORT": str(port) for name, port in zip(SERVES, ports, strict=True)}


GRAFANA = """#!/bin/sh
env | grep ^GF_ > "$STUBS/starting"
mv "$STUBS/starting" "$STUBS/started"
exec sleep 600
"""


def with_grafana(folder: Path) -> dict[str, str]:
    """Programs that note how they are started, in front of everything on PATH."""
    for name in ("grafana-server", "prometheus"):
        program = folder / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(GRAFANA if name == "grafana-server" else "#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "STUBS": str(folder)}


def dashboards_given_to(folder: Path) -> set[str]:
    """Files in the folder that the Grafana was told to take its dashboards from."""
    words = (folder / "started").read_text()
    provisioned = next(line.partition("=")[2] for line in words.splitlines() if line.startswith("GF_PATHS_PROVISIONING="))
    [provider] = json.loads((Path(provisioned) / "dashboards" / "slawatch.yaml").read_text())["providers"]
    return {path.name for path in Path(provider["options"]["path"]).iterdir()}


async def test_up_serves_mends_a_killed_service_sets_up_a_grafana_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stubs = tmp_path / "bin"
    env = {**os.environ, **variables(tmp_path), **with_grafana(stubs)}
    command = [sys.executable, "-m", "shared.cli", "up", "--no-demo"]
    up = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert up.stdout is not None
    lines: list[str] = []

    async def until(word: str) -> str:
        assert up.stdout is not None
        while line := (await up.stdout.readline()).decode():
            lines.append(line)
            if word in line:
                return line
        raise AssertionError("it ended:\n" + "".join(lines))

    async with asyncio.timeout(90):
        await until("Ctrl-C stops everything")
        assert "http://127.0.0.1:" in await until("Grafana ")
        assert wait_until((stubs / "started").exists, 10)
        assert {"overview.json", "vendor.json"} <= dashboards_given_to(stubs)
        found = running_stack(tmp_path)
        assert found is not None
        assert set(found.services) == set(SERVES)
        os.kill(found.processes["notifier"].pid, signal.SIGKILL)
        assert "signal 9" in await until("notifier ended")
        assert wait_until(lambda: not is_free(int(found.services["notifier"].rpartition(":")[2])), 30)
        started = psutil.Process(up.pid).children(recursive=True)
        assert len(started) > 5  # Kafka, PostgreSQL's several, three services
        up.send_signal(signal.SIGTERM)
        await until("stopping")
        assert await up.wait() == 0
    assert [one for one in started if one.is_running()] == []
    assert running_stack(tmp_path) is None


def test_a_child_that_keeps_ending_is_started_again_later_each_time(tmp_path: Path) -> None:
    child = Child("hasty", [sys.executable, "-c", ""], tmp_path / "hasty.log")
    kept = Kept(child)
    said: list[str] = []
    now, pauses = 0.0, []
    child.launch()
    for _ in range(9):
        assert wait_until(lambda: not child.alive(), 10)
        assert not kept.look(now, said.append)
        assert kept.due is not None
        pauses.append(kept.due - now)
        assert not kept.look(kept.due - 0.01, said.append)
        now = kept.due
        assert kept.look(now, said.append)
    assert pauses == [0.5, 1, 2, 4, 8, 16, PAUSE_S_MAX, PAUSE_S_MAX, PAUSE_S_MAX]
    assert all("hasty ended (exit code 0)" in line for line in said)
    child.stop()


def test_a_child_that_ran_steadily_is_forgiven(tmp_path: Path) -> None:
    child = Child("steady", [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "steady.log")
    kept = Kept(child, failures=5)
    child.launch()
    assert not kept.look(STEADY_S - 1, print)
    assert kept.failures == 5
    assert not kept.look(STEADY_S + 1, print)
    assert kept.failures == 0
    child.stop()


def test_a_service_that_never_gets_going_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child("ingest", [sys.executable, "-c", "raise SystemExit('no such setting')"], tmp_path / "ingest.log")
    kept = Kept(child, port=1)
    child.launch()
    with pytest.raises(StackError, match="no such setting"):
        _keep_looking(kept)


def _keep_looking(kept: Kept) -> None:
    for now in range(0, 1000, 100):
        assert wait_until(lambda: not kept.child.alive(), 10)
        kept.look(float(now), print)


def test_a_usual_port_that_is_taken_is_passed_over_and_a_chosen_one_refused(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        usual = Settings.model_construct(_fields_set=set(), ingest_port=port)
        assert choose_ports(usual, said.append)["ingest"] > port
        assert f"port {port} is taken by" in said[0]
        chosen = Settings.model_construct(_fields_set={"ingest_port"}, ingest_port=port)
        with pytest.raises(StackError, match=f"port {port} is taken .*SLAWATCH_INGEST_PORT"):
            choose_ports(chosen, said.append)
