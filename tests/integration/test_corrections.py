"""A corrective action that is late, over real PostgreSQL, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.actions import Actions, CaseActions
from services.notifier.core import CLEARED, OVERDUE
from services.notifier.corrections import Corrections
from services.notifier.live import Hub
from services.notifier.metrics import Metrics
from services.notifier.texts import TEXTS_ZH
from shared.adapters.postgres.cases import PostgresCases
from shared.adapters.postgres.database import connect, migrate
from shared.ports.credentials import Credential
from shared.sla.instants import HOUR, format_instant
from tests.integration.alerting_kit import Clock, Inside, Noting, Topic, inside, routing_file, settled, until
from tests.integration.notifier_kit import START, verdict

ANN = Credential(id="c", kind="token", name="Ann", role="responder", vendors=(), hash=b"", created_at=0)
STEPS = "escalations: {e: {steps: [{notify: chat}, {after: 15m, notify: boss}]}}\nroute: {escalation: e}"
BREACH = verdict("opened", "a", revision=0)
BREACH_ID = BREACH.data.breach_id


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(database_url)
    await migrate(engine)
    yield engine
    await engine.dispose()


class Desk:
    """A notifier's parts for one case: what people do, and the watch."""

    def __init__(self, it: Inside, engine: AsyncEngine) -> None:
        hub, metrics, self.cases = Hub(), Metrics(CollectorRegistry()), PostgresCases(engine)
        self.work = CaseActions(self.cases, Actions(it.ledger, hub, it.time), hub, it.time)
        self.watch = Corrections(self.cases, it.ledger, it.desk, it.dispatcher, hub, metrics, it.time)
        self.hub, self._it = hub, it

    async def correct(self, **fields: object) -> None:
        await self.work.do(BREACH_ID, "correct", ANN, **fields)

    async def said(self) -> list[str]:
        case = await self._it.ledger.case(BREACH_ID)
        assert case is not None
        return [row.type for row in case.statements if row.type in (OVERDUE, CLEARED)]


async def test_a_late_corrective_action_is_told_once_in_words_of_its_own_and_its_incident_ends(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    file, topic, clock = routing_file(tmp_path, STEPS), Topic(), Clock()
    chat, boss = Noting("chat/webhook"), Noting("boss/webhook")
    chat.by_breach = True
    async with inside(database_url, topic, [chat, boss], file, time=clock) as it:
        topic.say(BREACH)
        await settled(it, BREACH_ID)
        one, other = Desk(it, engine), Desk(it, engine)
        await one.correct(action="train the night shift", due=START + 2 * HOUR)
        chat.notices.clear()
        for desk in (one, other):
            await desk.watch.look()
        assert await one.said() == [], "it is not due yet"
        clock.forward(3 * 3_600)
        for desk in (one, other, one):
            await desk.watch.look()
        await until(lambda: chat.notices)
        await settled(it, BREACH_ID)
        clock.forward(3_600)
        await one.watch.look()
        assert await one.said() == [OVERDUE], "two notifiers, any number of looks: once"
        [notice] = chat.notices
        [message] = notice.messages
        assert (notice.thread, message.breach_id, notice.reason) == (f"{BREACH_ID}/correction", f"{BREACH_ID}/correction", "first")
        assert message.words().subject == "CORRECTION OVERDUE: The corrective action for a by acme (“resolution”) is overdue"
        facts = dict(message.words().facts)
        assert facts["Corrective action"] == "train the night shift"
        assert facts["Owner"] == "Ann"
        assert facts["By how much"].startswith(f"not done; due was {format_instant(START + 2 * HOUR)[:10]}")
        assert message.words(TEXTS_ZH).tag == "纠正措施逾期"
        assert boss.notices == [], "no further step is taken"
        case = await it.ledger.case(BREACH_ID)
        assert case is not None
        assert [(row.channel, row.state) for row in case.deliveries if row.verdict_id == notice.key] == [("chat/webhook", "sent")]
        sent = await one.cases.sent(channel=None, state=None, limit=10)
        assert {row.breach_id for row in sent} == {BREACH_ID}, "the page of deliveries leads to the breach"

        await one.correct(done=True)
        await one.watch.look()
        await until(lambda: len(chat.notices) == 2)
        assert (chat.notices[1].reason, chat.notices[1].messages[0].over) == ("resolved", True), "its incident is over"
        await settled(it, BREACH_ID)
        await one.correct(done=False)
        for desk in (one, other):
            await desk.watch.look()
        assert await one.said() == [OVERDUE, CLEARED], "nobody is woken twice for one due instant"
        await one.correct(due=clock.wall() + HOUR)
        clock.forward(2 * 3_600)
        await one.watch.look()
        await until(lambda: len(chat.notices) == 3)
        assert await one.said() == [OVERDUE, CLEARED, OVERDUE], "a new promise that is broken is news"


async def test_nobody_hears_of_what_was_done_in_time_or_of_a_case_that_is_closed(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    file, topic, clock, chat = routing_file(tmp_path, STEPS), Topic(), Clock(), Noting("chat/webhook")
    withdrawn = verdict("opened", "b", revision=0)
    async with inside(database_url, topic, [chat, Noting("boss/webhook")], file, time=clock) as it:
        topic.say(BREACH, withdrawn)
        await until(lambda: len(chat.notices) == 2)
        desk = Desk(it, engine)
        await desk.correct(action="done in time", due=START + 2 * HOUR)
        await desk.correct(done=True)
        await desk.work.do(withdrawn.data.breach_id, "correct", ANN, action="pointless", due=START + 2 * HOUR)
        topic.say(verdict("retracted", "b", revision=1))
        await until(lambda: len(chat.notices) == 3)
        for breach_id in (BREACH_ID, withdrawn.data.breach_id):
            await settled(it, breach_id)  # what is under way when a clock leaps beyond its lease is tried again
        clock.forward(3 * 3_600)
        assert not await desk.watch.look()
        assert await desk.said() == []
    assert len(chat.notices) == 3


async def test_a_withdrawn_breach_ends_what_was_told_of_its_corrective_action(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    file, topic, clock, chat = routing_file(tmp_path, "route: {receiver: chat}"), Topic(), Clock(), Noting("chat/webhook")
    chat.by_breach = True
    async with inside(database_url, topic, [chat], file, time=clock) as it:
        topic.say(BREACH)
        await settled(it, BREACH_ID)
        desk = Desk(it, engine)
        await desk.correct(action="x", due=START + HOUR)
        clock.forward(2 * 3_600)
        with desk.hub.subscribe("acme") as pages:
            await desk.watch.look()
            changes, _ = await pages.take(1)
        assert [(change.kind, change.data["type"], change.breach_id) for change in changes] == [
            ("verdict", OVERDUE, f"{BREACH_ID}/correction")
        ]
        topic.say(verdict("retracted", "a", revision=1))
        await until(lambda: any(notice.messages[0].verdict.type == "slawatch.breach.retracted" for notice in chat.notices))
        await desk.watch.look()
        await until(lambda: chat.notices[-1].messages[0].verdict.type == CLEARED)
        assert msgspec.json.decode(chat.notices[-1].bodies[0])["source"] == "/slawatch/notifier"
