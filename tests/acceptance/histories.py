"""The real event histories of ../shared/data, where they are at hand; read there, never copied."""

from pathlib import Path
from typing import Any

import pytest

from shared.language import load_or_raise
from shared.language.rows import Reject, events_of_file

PROJECT = Path(__file__).resolve().parents[2]
DATA = PROJECT.parent / "shared" / "data"
TERMS = PROJECT / "examples" / "histories"


def history(name: str) -> Path:
    """A file of the data folder; the test is skipped where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the real event histories are not here: no {path.name} in ../shared/data beside the project")
    return path


def events_by_time(name: str, terms: str) -> list[dict[str, Any]]:
    """The events of a CSV history under its mapping, sorted by time as `slawatch replay` does."""
    mapping = load_or_raise([TERMS / f"{terms}.mapping.yaml"]).mappings[0]
    events = [event for event in events_of_file(history(name), mapping) if not isinstance(event, Reject)]
    return sorted(events, key=lambda event: event["time"])
