"""The committed OpenAPI document is the one that the code makes."""

import json
import os
from pathlib import Path

from tests.unit.ingest.world import World

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "openapi-ingest.json"


def test_no_drift() -> None:
    made = json.dumps(World().app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        COMMITTED.write_text(made)
    assert COMMITTED.read_text() == made, "run this test once with UPDATE_DOCS=1, and look at what changed"
