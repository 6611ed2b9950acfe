"""The committed OpenAPI document is the one that the code makes."""

import json
import os
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.notifier import api, silences, trying
from services.notifier.actions import Actions, CaseActions
from services.notifier.alerts import Desk, Routes
from services.notifier.dispatch import Dispatcher
from services.notifier.live import Hub
from services.notifier.messages import Composer
from services.notifier.metrics import Metrics
from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.postgres.alerts import PostgresAlerts
from shared.adapters.postgres.cases import PostgresCases
from shared.adapters.postgres.database import connect
from shared.adapters.postgres.ledger import PostgresLedger
from shared.adapters.system_time import SystemTime
from shared.runtime.credentials import Authenticator

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "openapi-notifier.json"


def test_no_drift() -> None:
    engine, hub, time = connect("postgresql://nobody@localhost/never-asked"), Hub(), SystemTime()
    ledger, alerts, composer = PostgresLedger(engine), PostgresAlerts(engine), Composer("")
    authenticator = Authenticator(MemoryCredentials(), b"pepper", "local", time)
    metrics = Metrics(CollectorRegistry())
    dispatcher = Dispatcher([], ledger, time, metrics, composer=composer, jitter=lambda: 0.0, on_delivery=lambda *_: None)
    desk = Desk(Routes([], lambda _: [], time), alerts, dispatcher, metrics, time)
    app = api.build(
        ledger,
        ledger,
        CaseActions(PostgresCases(engine), Actions(ledger, hub, time), hub, time),
        hub,
        authenticator,
        CollectorRegistry(),
        dict,
        dict,
        silences.routes(silences.Silences(alerts, time), silences.Rotas(desk, alerts, time), time),
        trying.routes(trying.Trials(list, composer, time)),
    )
    made = json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        COMMITTED.write_text(made)
    assert COMMITTED.read_text() == made, "run this test once with UPDATE_DOCS=1, and look at what changed"
