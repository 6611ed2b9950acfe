"""`slawatch serve evaluator` asks the allocator for huge pages, and leaves an operator's own wish alone (decision 43)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli.stack import HUGE_PAGES

NOWHERE = {"SLAWATCH_KAFKA": "127.0.0.1:1", "SLAWATCH_DATABASE": "postgresql://nobody@127.0.0.1:1/nothing", "SLAWATCH_LOG_LEVEL": "info"}


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux only")
@pytest.mark.parametrize(("wish", "granted"), [(None, HUGE_PAGES), ("glibc.malloc.check=0", "glibc.malloc.check=0")])
def test_the_evaluator_runs_with_huge_pages_unless_told_otherwise(wish: str | None, granted: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"} | NOWHERE
    if wish is not None:
        environment["GLIBC_TUNABLES"] = wish
    command = [sys.executable, "-m", "shared.cli", "serve", "evaluator"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            said = json.loads(process.stderr.readline())
            variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        finally:
            process.kill()
    assert said["event"] == "starting"
    assert said["swift_path"] in (True, False)
    assert f"GLIBC_TUNABLES={granted}".encode() in variables
