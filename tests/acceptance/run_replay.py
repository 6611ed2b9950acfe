"""`slawatch replay` as a user runs it: files in, `cases.ndjson` out."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def replay(agreements_yaml: str, events: list[dict[str, Any]], until: str | None = None) -> list[dict[str, Any]]:
    """The lines of `cases.ndjson`; raises AssertionError with the command's words if it fails."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        agreements, history, out = folder / "agreements.yaml", folder / "events.ndjson", folder / "out"
        agreements.write_text(agreements_yaml, encoding="utf-8")
        history.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "shared.cli",
            "replay",
            "--agreements",
            str(agreements),
            "--events",
            str(history),
            "--out",
            str(out),
        ]
        done = subprocess.run(command + (["--until", until] if until else []), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"replay failed ({done.returncode}):\n{done.stdout}\n{done.stderr}"
        return [json.loads(line) for line in (out / "cases.ndjson").read_text(encoding="utf-8").splitlines()]
