"""PagerDuty and Alertmanager: one incident or alert per breach, under one name from its first message to its last."""

import asyncio
import json
from typing import Any

import pytest

from services.notifier.channels import alertmanager, pagerduty
from services.notifier.channels.alertmanager import RESEND, Alertmanager
from services.notifier.channels.base import Channel, Notice
from services.notifier.channels.pagerduty import PagerDuty
from services.notifier.core import Failed, Gone, Result, Sent
from services.notifier.messages import Composer
from services.notifier.resending import Resender
from shared.adapters.memory.time import VirtualTime
from shared.ports.ledger import LedgerUnavailable
from shared.ports.resending import Standing
from shared.sla.instants import DAY, HOUR, MINUTE, format_instant
from shared.wire import verdicts
from tests.integration.notifier_kit import Answer, verdict
from tests.unit.notifier.kit import EVIL, NOW, TOKEN, answered, channel_to, clock, digest, linked, notice, notice_of, poster_to

KEY = "R0UTINGKEY0123456789"


def pager(url: str) -> Channel:
    return PagerDuty("p", poster_to(url, clock(), pagerduty.judge, KEY), KEY)


def manager(url: str) -> Channel:
    return Alertmanager("a", poster_to(url, clock(), alertmanager.judge), clock())


async def sent(make: Any, *notices: Any) -> list[Any]:
    async with channel_to(make, lambda _: (202, {}, b'{"status":"success"}')) as (channel, it):
        for told in notices:
            assert await channel.send(told) == Sent()
    return [json.loads(request.body) for request in it.requests]


async def test_pagerduty_is_triggered_acknowledged_and_resolved_under_the_breachs_id() -> None:
    told = linked()
    taken = notice_of(verdict("opened", revision=0), "acknowledged", Composer("")(verdict("opened", revision=0), acknowledged_by="Ann"))
    closed = notice_of(verdict("closed", revision=1, stopped=NOW), "resolved")
    retracted = notice_of(verdict("retracted", revision=2), "retracted")
    first, ack, end, withdrawn = await sent(pager, told, taken, closed, retracted)
    assert [event["event_action"] for event in (first, ack, end, withdrawn)] == ["trigger", "acknowledge", "resolve", "resolve"]
    assert {event["dedup_key"] for event in (first, ack, end, withdrawn)} == {told.messages[0].breach_id}
    assert {event["routing_key"] for event in (first, ack, end, withdrawn)} == {KEY}
    assert first["payload"] | {"custom_details": 0} == {
        "summary": "BREACH: acme broke “resolution” for INC-42",
        "source": "acme",
        "severity": "critical",
        "timestamp": "2026-03-02T09:00:00Z",
        "component": "helpdesk",
        "group": "acme-helpdesk",
        "class": "resolution",
        "custom_details": 0,
    }
    assert first["payload"]["custom_details"]["Due"] == "2026-03-02 09:00:00 UTC"
    assert first["client_url"] == told.messages[0].link
    assert {"href": "https://sla.example/act/AAA", "text": "Acknowledge"} in first["links"]


async def test_a_digest_is_an_event_per_breach_each_with_its_own_action() -> None:
    events = await sent(pager, digest(3))
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "resolve"]
    assert len({event["dedup_key"] for event in events}) == 3


async def test_an_incident_that_comes_late_is_acknowledged_by_whoever_has_it_already() -> None:
    late = notice_of(verdict("opened", revision=0), "first", Composer("")(verdict("opened", revision=0), acknowledged_by="Ann"))
    events = await sent(pager, late)
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge"]
    assert events[0]["payload"]["custom_details"]["Acknowledged"] == "Ann"


async def test_a_warning_is_a_warning_and_a_test_opens_no_critical_incident() -> None:
    warning, test = await sent(pager, notice_of(verdict("clock.warning", threshold="80%")), notice(reason="test"))
    assert warning["payload"]["severity"] == "warning"
    assert test["payload"]["severity"] == "info"
    assert test["payload"]["summary"].startswith("TEST")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((429, {}, b""), Failed("429 Whatever")),
        ((429, {"retry-after": "5"}, b""), Failed("429 Whatever", 5_000)),
        ((500, {}, b""), Failed("500 Whatever")),
        ((410, {}, b""), Gone("410 Gone: the receiver wants nothing further")),
        ((302, {"location": "http://10.0.0.1/"}, b""), Failed("302: redirects are not followed")),
    ],
)
async def test_row_20_answers_of_pagerduty_and_alertmanager(answer: Answer, result: object) -> None:
    assert await answered(pager, answer) == result
    assert await answered(manager, answer) == result


async def test_400_is_for_ever_and_does_not_quote_the_key() -> None:
    body = json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": [f"routing_key {KEY}"]}).encode()
    result = await answered(pager, (400, {}, body))
    assert isinstance(result, Failed)
    assert result.permanent
    assert "Event object is invalid" in result.error
    assert KEY not in result.error
    assert (await answered(manager, (400, {}, b"bad"))) == Failed("400 Alertmanager: bad", permanent=True)


async def test_row_24_hostile_values_stay_values() -> None:
    [event] = await sent(pager, notice(EVIL))
    assert TOKEN[-20:] not in json.dumps(event)
    assert len(event["payload"]["summary"]) <= 1_024
    [[alert]] = await sent(manager, notice("a\r\nb"))
    assert alert["labels"]["case"] == "a b"


async def test_an_alert_keeps_its_labels_from_first_to_last() -> None:
    told = linked()
    closed = notice_of(verdict("closed", revision=1, stopped=NOW), "resolved")
    [first], [again], [end] = await sent(manager, told, told._replace(reason="repeat"), closed)
    assert (
        first["labels"]
        == again["labels"]
        == end["labels"]
        == {
            "alertname": "SlawatchBreach",
            "breach_id": told.messages[0].breach_id,
            "agreement": "acme-helpdesk",
            "objective": "resolution",
            "vendor": "acme",
            "service": "helpdesk",
            "case": "INC-42",
            "severity": "page",
        }
    )
    assert first["startsAt"] == end["startsAt"] == "2026-03-02T09:00:00Z"
    assert first["endsAt"] == format_instant(NOW + DAY), "slawatch away must not look like all clear"
    assert end["endsAt"] == format_instant(NOW)
    assert first["annotations"]["summary"] == "acme broke “resolution” for INC-42"
    assert first["annotations"]["runbook_url"] == "https://wiki.example/run?a=1&b=2"
    assert first["annotations"]["dashboard_url"] == "https://grafana.example/d/1"
    assert first["generatorURL"] == told.messages[0].link


async def test_many_open_alerts_are_told_again_in_one_request() -> None:
    [alerts] = await sent(manager, digest(3)._replace(reason="repeat"))
    assert [alert["endsAt"] == format_instant(NOW) for alert in alerts] == [False, False, True]
    assert Alertmanager.resend == RESEND == MINUTE


class Taker:
    """A channel that takes everything."""

    lanes, limit = 1, None

    def __init__(self, name: str, resend: int | None) -> None:
        self.name, self.resend = name, resend
        self.told: list[Notice] = []

    async def send(self, notice: Notice) -> Result:
        self.told.append(notice)
        return Sent()

    async def close(self) -> None:
        """Nothing to let go of."""


class Open:
    """A ledger in which so many breaches are open; notes when it was asked, in seconds."""

    def __init__(self, number: int, time: VirtualTime) -> None:
        self.number, self.time = number, time
        self.asked: list[tuple[float, str, int]] = []

    async def told(self, channel: str, since: int, limit: int) -> list[Standing]:
        self.asked.append((self.time.monotonic(), channel, since - self.time.wall()))
        if self.time.monotonic() == 125:
            raise LedgerUnavailable("away")
        return [Standing(verdicts.encode(verdict("opened", f"case-{each}", revision=0)), "Ann") for each in range(self.number)]


async def test_each_minute_what_is_open_is_told_again_to_those_who_forget_and_are_on() -> None:
    time = clock()
    store = Open(501, time)
    off: list[str] = []
    forgetful, other = Taker("a", RESEND), Taker("b", None)
    running = asyncio.create_task(Resender(lambda: [forgetful, other], lambda: off, store, Composer(""), time).run())
    await time.advance(4)
    assert store.asked == []
    await time.advance(131)
    off.append("a")
    await time.advance(300)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [round(at) for at, _, _ in store.asked] == [5, 65, 125], "the ledger away at 125 ends nothing"
    assert {since for _, _, since in store.asked} == {-5 * MINUTE}
    assert [len(told.messages) for told in forgetful.told] == [500, 1, 500, 1]
    assert {told.reason for told in forgetful.told} == {"repeat"}
    assert {message.acknowledged_by for told in forgetful.told for message in told.messages} == {"Ann"}
    assert other.told == []


async def test_warnings_and_tests_end_by_themselves() -> None:
    [warning], [test] = await sent(manager, notice_of(verdict("clock.warning", threshold="80%")), notice(reason="test"))
    assert (warning["labels"]["alertname"], warning["endsAt"]) == ("SlawatchWarning", format_instant(NOW + HOUR))
    assert (test["labels"]["alertname"], test["endsAt"]) == ("SlawatchTest", format_instant(NOW + MINUTE))
