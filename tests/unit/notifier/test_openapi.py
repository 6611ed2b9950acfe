"""The committed OpenAPI document is the one that the code makes."""

import json
import os
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.notifier import api
from services.notifier.actions import Actions
from services.notifier.live import Hub
from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.postgres.database import connect
from shared.adapters.postgres.ledger import PostgresLedger
from shared.adapters.system_time import SystemTime
from shared.runtime.credentials import Authenticator

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "openapi-notifier.json"


def test_no_drift() -> None:
    ledger, hub, time = PostgresLedger(connect("postgresql://nobody@localhost/never-asked")), Hub(), SystemTime()
    authenticator = Authenticator(MemoryCredentials(), b"pepper", "local", time)
    app = api.build(ledger, ledger, Actions(ledger, hub, time), hub, authenticator, CollectorRegistry(), dict, dict)
    made = json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        COMMITTED.write_text(made)
    assert COMMITTED.read_text() == made, "run this test once with UPDATE_DOCS=1, and look at what changed"
