"""The committed OpenAPI document is the one that the code makes."""

import json
import os
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from services.evaluator import api
from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.system_time import SystemTime
from shared.runtime.credentials import Authenticator

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "openapi-evaluator.json"


async def _nobody() -> dict[int, str]:
    return {}


def test_no_drift_and_a_page_that_needs_no_internet() -> None:
    authenticator = Authenticator(MemoryCredentials(), b"pepper", "local", SystemTime())
    app = api.build(api.Shares(dict, lambda: None, _nobody), authenticator, CollectorRegistry(), dict)
    made = json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        COMMITTED.write_text(made)
    assert COMMITTED.read_text() == made, "run this test once with UPDATE_DOCS=1, and look at what changed"
    page = TestClient(app).get("/docs").text
    assert "/v1/clocks" in page
    assert "<script" not in page
