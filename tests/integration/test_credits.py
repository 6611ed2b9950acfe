"""What this month's breaches cost, over real PostgreSQL."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.notifier.actions import Actions, CaseActions
from services.notifier.catalogue import Catalogue
from services.notifier.credits import Credits
from services.notifier.live import Hub
from services.notifier.metrics import Metrics
from shared.adapters.postgres.agreements import PostgresAgreements
from shared.adapters.postgres.cases import PostgresCases
from shared.adapters.postgres.database import connect, migrate
from shared.ports.credentials import Credential
from shared.sla.instants import DAY, SECOND
from tests.integration.alerting_kit import Clock, Noting, Topic, inside, routing_file, until
from tests.integration.notifier_kit import START, verdict

AGREEMENT = """
apiVersion: slawatch/v1
kind: Agreement
name: acme-helpdesk
version: 1
vendor: acme
service: helpdesk
effective: {from: 2026-01-01}
timezone: UTC
calendar: 24x7
objectives:
  - name: resolution
    kind: deadline
    start: opened
    stop: done
    targets: [{within: 1h}]
    penalty: {per_breach: "500 CNY", per_hour_late: "50 CNY", at_most: "600 CNY"}
"""
BOSS = Credential(id="c", kind="token", name="Bo", role="manager", vendors=(), hash=b"", created_at=0)


async def test_credits_add_up_and_what_is_withdrawn_excused_or_of_last_month_costs_nothing(database_url: str, tmp_path: Path) -> None:
    engine, topic, clock, chat = connect(database_url), Topic(), Clock(), Noting("chat/webhook")
    await migrate(engine)
    terms = tmp_path / "terms.yaml"
    terms.write_text(AGREEMENT)
    registry = CollectorRegistry()
    due = START + 3_600 * SECOND
    async with inside(database_url, topic, [chat], routing_file(tmp_path, "route: {receiver: chat}"), time=clock) as it:
        topic.say(
            verdict("opened", "open", revision=0),
            verdict("closed", "late", revision=0, stopped=due + 3_600 * SECOND),
            verdict("closed", "capped", revision=0, stopped=due + 9 * 3_600 * SECOND),
            verdict("retracted", "withdrawn", revision=0),
            verdict("opened", "excused", revision=0),
            verdict("opened", "of last month", revision=0, decided_at=START - 5 * DAY),
        )
        await until(lambda: len(chat.notices) >= 5)
        cases = PostgresCases(engine)
        excused = verdict("opened", "excused", revision=0).data.breach_id
        catalogue = Catalogue(PostgresAgreements(engine), [str(terms)], clock)
        await catalogue.refresh()
        look = Credits(cases, catalogue, Metrics(registry), clock).look
        await look()
        what = {"vendor": "acme", "agreement": "acme-helpdesk", "currency": "CNY"}
        assert registry.get_sample_value("slawatch_credits_estimated", what) == pytest.approx(500 + 550 + 600 + 500)
        await CaseActions(cases, Actions(it.ledger, Hub(), clock), Hub(), clock).do(excused, "excuse", BOSS, text="flood")
        await look()
        assert registry.get_sample_value("slawatch_credits_estimated", what) == pytest.approx(500 + 550 + 600)
    await engine.dispose()
