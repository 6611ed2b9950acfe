"""Alerts over real PostgreSQL: what is decided is remembered, by whichever notifier comes to it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.notifier.actions import Actions, CaseActions
from services.notifier.alerts import Routes
from services.notifier.channels.base import Channel, Notice
from services.notifier.core import Result, Sent
from services.notifier.live import Hub
from shared.adapters.postgres.cases import PostgresCases
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.system_time import SystemTime
from shared.alerting.terms import Match, Rate
from shared.ports.credentials import Credential
from shared.ports.ledger import Actor, Wanted
from shared.sla.instants import MINUTE, SECOND, format_instant
from tests.integration.alerting_kit import FAILS, HEAD, Clock, Noting, Topic, inside, routing_file, settled, until
from tests.integration.notifier_kit import START, notifier, verdict

ANN = Actor("Ann", "c", "responder")
ESCALATED = """
escalations: {e: {acknowledged_for: 4h, steps: [{notify: chat}, {after: 15m, notify: boss}]}}
route: {escalation: e}
"""
DUE = START + 3_600 * SECOND


@pytest.fixture
async def database(database_url: str) -> str:
    engine = connect(database_url)
    await migrate(engine)
    await engine.dispose()
    return database_url


def pair() -> tuple[Noting, Noting]:
    return Noting("chat/webhook"), Noting("boss/webhook")


async def test_an_escalation_goes_on_after_a_crash_and_stops_when_acknowledged(database: str, tmp_path: Path) -> None:
    file, topic, clock = routing_file(tmp_path, ESCALATED), Topic(), Clock()
    chat, boss = pair()
    first, second = verdict("opened", "a", revision=0), verdict("opened", "b", revision=0)
    async with inside(database, topic, [chat, boss], file, time=clock):
        topic.say(first, second)
        await until(lambda: len(chat.notices) == 2)
    clock.forward(10 * 60)
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        acknowledged = await it.ledger.act(first.data.breach_id, "acknowledge", ANN, clock.wall())
        assert acknowledged is not None
        clock.forward(5 * 60)
        await until(lambda: boss.notices)
        rows = await settled(it, second.data.breach_id)
    assert boss.told == [("escalation", ("b",))], "a was acknowledged"
    assert chat.told == [("first", ("a",)), ("first", ("b",))], "nobody hears it twice"
    assert [(row.channel, row.reason, row.state) for row in rows] == [
        ("chat/webhook", "first", "sent"),
        ("boss/webhook", "escalation", "sent"),
    ]


async def test_nobody_is_woken_again_for_an_excused_breach_until_its_case_is_opened_again(database: str, tmp_path: Path) -> None:
    file, topic, clock = routing_file(tmp_path, ESCALATED), Topic(), Clock()
    chat, boss = pair()
    opened = verdict("opened", "a", revision=0)
    mia = Credential(id="c", kind="token", role="manager", vendors=(), name="Mia", hash=b"", created_at=START)
    engine = connect(database)
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        work = CaseActions(PostgresCases(engine), Actions(it.ledger, Hub(), clock), Hub(), clock)
        topic.say(opened)
        await settled(it, opened.data.breach_id)
        await work.do(opened.data.breach_id, "excuse", mia, text="flood", approver="board")
        clock.forward(5 * 3_600)
        await asyncio.sleep(0.5)
        assert len(chat.notices) == 1
        await work.do(opened.data.breach_id, "reopen", mia, text="not granted")
        await until(lambda: len(chat.notices) == 2)
    assert chat.told[1] == ("repeat", ("a",))
    await engine.dispose()


async def test_what_routes_have_wait_is_not_called_late(database: str, tmp_path: Path) -> None:
    file, topic, clock = routing_file(tmp_path, ESCALATED), Topic(), Clock()
    chat, boss = pair()
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        topic.say(verdict("opened", "a", revision=0))
        await settled(it, verdict("opened", "a", revision=0).data.breach_id)
        clock.forward(15 * 60)
        await until(lambda: boss.notices)
        name, labels = "slawatch_verdict_to_delivery_seconds", {"channel": "boss/webhook"}
        await until(lambda: it.registry.get_sample_value(f"{name}_count", labels) == 1)
        took = it.registry.get_sample_value(f"{name}_sum", labels)
    assert took is not None
    assert took < 60, "an escalation is due when its step is, not when the breach was told first"


async def test_the_list_of_messages_says_what_a_warning_was_about(database: str, tmp_path: Path) -> None:
    file, topic, engine = routing_file(tmp_path, ESCALATED), Topic(), connect(database)
    chat, boss = pair()
    async with inside(database, topic, [chat, boss], file):
        topic.say(verdict("clock.warning", "a", threshold="80%"), verdict("opened", "b", revision=0))
        await until(lambda: len(chat.notices) == 2)
        rows = await PostgresCases(engine).sent(channel=None, state=None, limit=10)
    assert sorted((row.case, row.vendor, row.objective, row.known) for row in rows) == [
        ("a", "acme", "resolution", False),
        ("b", "acme", "resolution", True),
    ]
    await engine.dispose()


async def test_an_acknowledgement_stops_a_step_that_is_being_retried_and_times_out(database: str, tmp_path: Path) -> None:
    file, topic, clock = routing_file(tmp_path, ESCALATED), Topic(), Clock()
    chat, boss = Noting("chat/webhook"), Noting("boss/webhook", answer=lambda _: FAILS)
    opened = verdict("opened", "a", revision=0)
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        topic.say(opened)
        await until(lambda: chat.notices)
        clock.forward(15 * 60)
        await until(lambda: boss.notices)
        await it.ledger.act(opened.data.breach_id, "acknowledge", ANN, clock.wall())
        case = await it.ledger.case(opened.data.breach_id)
        assert case is not None
        clock.forward(10)  # the retry would be due
        await asyncio.sleep(0.5)
        assert len(boss.notices) == 1
        clock.forward(4 * 3_600)
        await until(lambda: len(chat.notices) == 2)
        case = await it.ledger.case(opened.data.breach_id)
    assert chat.told[1] == ("repeat", ("a",))
    assert case is not None
    assert [row.action for row in case.actions] == ["acknowledge", "acknowledgement-timed-out"]
    assert case.breach.acknowledged_at is None
    assert next(row.state for row in case.deliveries if row.reason == "escalation") == "inhibited"


async def test_receivers_that_remember_breaches_hear_of_each_its_acknowledgement_and_its_end(database: str, tmp_path: Path) -> None:
    """More than a digest shows, in a group, under a limit: no incident is left open."""
    file = routing_file(tmp_path, "route: {receiver: [chat, boss], group_by: [vendor], group_wait: 0s, group_interval: 0s}")
    topic, chat, pager = Topic(), Noting("chat/webhook"), Noting("boss/webhook", limit=Rate(40, 1_000))
    pager.by_breach = True
    opened = [verdict("opened", f"c-{n}", revision=0, severity="ticket" if n < 60 else "page") for n in range(70)]
    async with inside(database, topic, [chat, pager], file) as it:
        topic.say(*opened)
        await until(lambda: len(pager.notices) == 70)
        assert {len(notice.messages) for notice in pager.notices} == {1}, "never a digest"
        severities = [notice.messages[0].severity for notice in pager.notices]
        assert severities.index("page") < severities.index("ticket") + 45, "pages overtake what waits"
        await it.ledger.act(opened[0].data.breach_id, "acknowledge", ANN, it.time.wall(), tell=it.dispatcher.by_breach)
        await until(lambda: len(pager.notices) == 71)
        taken = pager.notices[-1]
        assert (taken.reason, taken.messages[0].breach_id, taken.messages[0].acknowledged_by) == (
            "acknowledged",
            opened[0].data.breach_id,
            "Ann",
        )
        topic.say(verdict("amended", "c-0", revision=1))
        await until(lambda: chat.notices[-1].messages[0].verdict.type == "slawatch.breach.amended")
        assert chat.notices[-1].messages[0].acknowledged_by == "Ann", "messages that follow say who has it"
        topic.say(*(verdict("closed", f"c-{n}", revision=2, stopped=DUE + SECOND) for n in range(70)))

        def ended() -> set[str]:
            return {notice.messages[0].breach_id for notice in pager.notices if notice.messages[0].over}

        await until(lambda: len(ended()) == 70)
    assert ended() == {each.data.breach_id for each in opened}
    assert not [notice for notice in chat.notices if notice.reason == "acknowledged"]


async def test_an_incident_of_a_warning_ends_when_the_danger_is_over(database: str, tmp_path: Path) -> None:
    file, topic, chat, pager = routing_file(tmp_path, "route: {receiver: [chat, boss]}"), Topic(), *pair()
    pager.by_breach = True
    async with inside(database, topic, [chat, pager], file):
        topic.say(verdict("clock.warning", "a", threshold="80%"))
        await until(lambda: chat.notices and pager.notices)
        topic.say(verdict("clock.met", "a"), verdict("clock.met", "never warned of"))
        await until(lambda: len(pager.notices) == 2)
        await asyncio.sleep(0.5)
    assert pager.notices[1].messages[0].over
    assert len(pager.notices) == 2
    assert len(chat.notices) == 1, "good news wakes nobody"


async def test_two_side_by_side_share_the_work_and_tell_nothing_twice(database: str, tmp_path: Path) -> None:
    file = routing_file(tmp_path, "route: {receiver: chat, group_by: [vendor], group_wait: 1s, group_interval: 1s}")
    clock, chats = Clock(), (Noting("chat/webhook"), Noting("chat/webhook"))
    topics = Topic(), Topic()  # each has partitions of its own
    async with inside(database, topics[0], [chats[0]], file, time=clock), inside(database, topics[1], [chats[1]], file, time=clock):
        for number in range(60):
            topics[number % 2].say(verdict("opened", f"c-{number}", revision=0, vendor=f"v{number % 12}"))
            await asyncio.sleep(0.01)
        await until(lambda: sum(notice.total for chat in chats for notice in chat.notices if notice.reason == "first") >= 12)
        clock.forward(30)

        def told() -> list[str]:
            return [message.breach_id for chat in chats for notice in chat.notices for message in notice.messages]

        await until(lambda: len(set(told())) == 60)
    assert len(told()) == 60, "each once"
    assert len({notice.thread for chat in chats for notice in chat.notices}) == 12


async def test_a_silence_holds_and_sets_free_whoever_runs(database: str, tmp_path: Path) -> None:
    file, topic, clock = routing_file(tmp_path, "route: {receiver: chat}"), Topic(), Clock()
    chat, _ = pair()
    async with inside(database, topic, [chat], file, time=clock) as it:
        silence = await it.silences.add(Match(labels={"vendor": ("ac*",)}), None, clock.wall() + 60 * MINUTE, "Ann", "known")
        topic.say(verdict("opened", "a", revision=0), verdict("opened", "x", revision=0, vendor="other"))
        await until(lambda: chat.notices)
        await until(lambda: topic.committed == 2)
    clock.forward(20 * 60)
    async with inside(database, topic, [chat], file, time=clock) as it:
        assert [stored.silence.id for stored in await it.silences.all()] == [silence.id]
        ended = await it.silences.end(silence.id, "Bo")
        assert ended is not None
        assert ended.ended_by == "Bo"
        await until(lambda: len(chat.notices) == 2)
    assert chat.told == [("first", ("x",)), ("first", ("a",))]


async def test_silences_over_http(kafka: str, database_url: str, unique: str, tmp_path: Path) -> None:
    async with notifier(kafka, database_url, unique, tmp_path) as it:
        wish = {"match": {"vendor": ["acme"]}, "ends_at": "2126-01-01T00:00:00Z", "reason": "moving house"}

        async def post(token: str, **changed: Any) -> tuple[int, Any]:
            answer = await it.client.post("/v1/silences", json=wish | changed, headers=it.bearer(token))
            return answer.status_code, answer.json()

        assert (await post("viewer"))[0] == 403
        assert (await post("acme"))[0] == 403, "a vendor does not silence its own breaches"
        assert (await post("responder"))[0] == 422, "not for a hundred years"
        assert (await post("responder", ends_at="2020-01-01T00:00:00Z"))[0] == 422
        assert (await post("responder", match={}))[0] == 422
        tomorrow = format_instant(SystemTime().wall() + 24 * 60 * MINUTE)
        status, made = await post("responder", ends_at=tomorrow)
        assert (status, made["author"], made["reason"], made["active"]) == (201, "Ann the responder", "moving house", True)
        assert [silence["id"] for silence in (await it.get("/v1/silences"))["silences"]] == [made["id"]]
        gone = await it.client.delete(f"/v1/silences/{made['id']}", headers=it.bearer("operator"))
        assert (gone.status_code, gone.json()["active"], gone.json()["ended_by"]) == (200, False, "Ann the operator")
        assert (await it.get("/v1/silences"))["silences"] == []
        assert len((await it.get("/v1/silences", over=True))["silences"]) == 1
        assert (await it.client.delete("/v1/silences/none", headers=it.bearer("operator"))).status_code == 404
        assert (await it.get("/v1/rotas")) == {"rotas": [], "overrides": []}


async def test_an_outage_that_ends_sets_its_cases_free(database: str, tmp_path: Path) -> None:
    text = "inhibit: [{source: {objective: uptime}, target: {objective: resolution}, equal: vendor}]\nroute: {receiver: chat}"
    file, topic, clock = routing_file(tmp_path, text), Topic(), Clock()
    chat, _ = pair()
    async with inside(database, topic, [chat], file, time=clock):
        topic.say(verdict("opened", None, revision=0, objective="uptime"))
        await until(lambda: len(chat.notices) == 1)
        topic.say(verdict("opened", "a", revision=0))
        await until(lambda: topic.committed == 2)
    async with inside(database, topic, [chat], file, time=clock):
        topic.say(verdict("closed", None, revision=1, objective="uptime", stopped=DUE + 60 * SECOND))
        await until(lambda: len(chat.notices) == 3)
    assert chat.told == [("first", (None,)), ("resolved", (None,)), ("first", ("a",))]


async def test_new_routes_hold_within_seconds_and_a_wrong_file_changes_nothing(database: str, tmp_path: Path) -> None:
    file, topic, clock = routing_file(tmp_path, "route: {receiver: chat}"), Topic(), Clock()
    chat, boss = pair()
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        topic.say(verdict("opened", "a", revision=0))
        await until(lambda: chat.notices)
        routing_file(tmp_path, "route: {receiver: nobody}")
        await until(lambda: it.routes.error)
        assert "routing.yaml:8:19: error: there is no receiver 'nobody'" in it.routes.error
        topic.say(verdict("opened", "b", revision=0))
        await until(lambda: len(chat.notices) == 2)
        routing_file(tmp_path, "route: {name: another, receiver: boss}")
        await until(lambda: not it.routes.error)
        topic.say(verdict("opened", "c", revision=0))
        await until(lambda: boss.notices)
    assert boss.told == [("first", ("c",))]


async def test_a_template_that_changes_holds_within_seconds_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    template, used = tmp_path / "chat.txt", list[int]()
    template.write_text("{{ headline }}")
    file = tmp_path / "routing.yaml"
    file.write_text(f"{HEAD}  mails: [{{kind: mail, to: a@example.com, template: chat.txt}}]\nroute: {{receiver: mails}}")
    routes = Routes([str(file)], lambda _: [], SystemTime())

    async def use(_channels: Sequence[Channel]) -> None:
        used.append(len(used))

    async def changed() -> None: ...

    watching = asyncio.ensure_future(routes.watch(use, changed))
    template.write_text("{% include 'x' %}")
    await until(lambda: routes.error)
    assert f"{file}:8:53: error: the template chat.txt: line 1: include is not taken here" in routes.error
    assert not used
    template.write_text("{{ headline }} {{ case }}")
    await until(lambda: used)
    assert not routes.error
    watching.cancel()


async def test_who_stands_in_is_asked_at_once(database: str, tmp_path: Path) -> None:
    text = """
people: {ann: {receivers: chat}, bo: {receivers: boss}}
rotas: {first: {people: [ann], from: 2026-01-05T09:00, every: 7d}}
escalations: {e: {steps: [{notify: {rota: first}}]}}
route: {escalation: e}
"""
    file, topic, clock = routing_file(tmp_path, text), Topic(), Clock()
    chat, boss = pair()
    async with inside(database, topic, [chat, boss], file, time=clock) as it:
        [turn] = await it.rotas.now()
        assert (turn.person, turn.then) == ("ann", "ann")
        made = await it.rotas.override("first", "bo", clock.wall() - SECOND, clock.wall() + 30 * MINUTE, "Ann")
        [turn] = await it.rotas.now()
        assert (turn.person, turn.until, turn.then) == ("bo", made.ends_at, "ann")
        topic.say(verdict("opened", "a", revision=0))
        await until(lambda: boss.notices)
        with pytest.raises(ValueError, match="no person 'cy'"):
            await it.rotas.override("first", "cy", clock.wall(), clock.wall() + MINUTE, "Ann")
        assert await it.rotas.remove(made.id)
        assert not await it.rotas.remove(made.id)
    assert not chat.notices


class Hanging(Noting):
    """A channel whose receiver never answers."""

    async def send(self, notice: Notice) -> Result:
        self.notices.append(notice)
        await asyncio.sleep(3_600)
        return Sent()


async def test_row_20_a_channel_that_hangs_delays_no_other(database: str, tmp_path: Path) -> None:
    file = routing_file(tmp_path, "route: {receiver: [boss, chat]}")
    topic, chat, boss = Topic(), Noting("chat/webhook"), Hanging("boss/webhook")
    async with inside(database, topic, [chat, boss], file) as it:
        started = it.time.monotonic()
        topic.say(*(verdict("opened", f"c-{number}", revision=0) for number in range(50)))
        await until(lambda: len(chat.notices) == 50)
        assert it.time.monotonic() - started < 3
    assert len(boss.notices) == 1


async def test_row_21_a_storm_becomes_digests_within_the_limits_and_all_of_it_is_in_the_ledger(database: str, tmp_path: Path) -> None:
    file = routing_file(tmp_path, "route: {receiver: [chat, boss]}")
    topic, chat, boss = Topic(), Noting("chat/webhook", limit=Rate(5, 1_000)), Noting("boss/webhook", lanes=4)
    number = 2_000
    async with inside(database, topic, [chat, boss], file) as it:
        started = it.time.monotonic()
        topic.say(*(verdict("opened", f"c-{n}", revision=0, severity="ticket" if n else "page") for n in range(number)))
        await until(lambda: chat.notices)
        assert it.time.monotonic() - started < 1, "the first within a second"
        await until(lambda: sum(topic.fetched) == number, within_s=60)
        assert list(filter(None, topic.fetched))[:5] == [50, 100, 200, 400, 500], "the first page waits for few others"
        await until(lambda: len(boss.notices) == number and sum(notice.total for notice in chat.notices) >= number, within_s=60)
        took = it.time.monotonic() - started
        assert len(chat.notices) <= 5 * (took + 1), "the robot's limit"
        assert len(await it.ledger.breaches(Wanted(), limit=number + 1)) == number

        async def settled() -> int:
            last = await it.ledger.case(verdict("opened", f"c-{number - 1}", revision=0).data.breach_id)
            assert last is not None
            return len([row for row in last.deliveries if row.state == "sent"])

        async with asyncio.timeout(20):
            while await settled() < 2:
                await asyncio.sleep(0.05)
    digests = [notice for notice in chat.notices if notice.reason == "digest"]
    assert digests
    assert digests[0].messages[0].severity == "page", "the most severe comes first"
    assert all(len(notice.messages) <= 50 for notice in digests)
