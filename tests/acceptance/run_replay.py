"""`slawatch replay` as a user runs it: files in, `cases.ndjson` out."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.acceptance import installation


def replay(agreements_yaml: str, events: list[dict[str, Any]], until: str | None = None) -> list[dict[str, Any]]:
    """The lines of `cases.ndjson`; raises AssertionError with the command's words if it fails."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        agreements, history = folder / "agreements.yaml", folder / "events.ndjson"
        agreements.write_text(agreements_yaml, encoding="utf-8")
        history.write_text(installation.as_ndjson(events), encoding="utf-8")
        words = ("--agreements", agreements, "--events", history, *(("--until", until) if until else ()))
        return installation.read_ndjson(installation.replay(folder, *words) / "cases.ndjson")
