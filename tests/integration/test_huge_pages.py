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
@pytest.mark.parametrize("wish", [None, "glibc.malloc.arena_max=4"])
def test_the_evaluator_runs_with_huge_pages_unless_told_otherwise(wish: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"} | NOWHERE
    if wish is not None:
        environment["GLIBC_TUNABLES"] = wish
    command = [sys.executable, "-m", "shared.cli", "serve", "evaluator"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            said = json.loads(process.stderr.readline())
            environ = Path(f"/proc/{process.pid}/environ").read_bytes()  # glibc may have cut its wish in pieces
        finally:
            process.kill()
    assert said["event"] == "starting"
    assert said["swift_path"] in (True, False)
    for piece in HUGE_PAGES.split(":"):
        assert (piece.encode() in environ) == (wish is None)
    assert wish is None or wish.encode() in environ
