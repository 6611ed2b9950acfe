"""Acknowledge and snooze links: signed, single use, confirmed by POST; forged, replayed and old ones do nothing."""

import base64
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI

from services.notifier.links import LIFE, Claim, LinkActions, Links, install
from shared.adapters.memory.links import MemoryLinks
from shared.adapters.memory.time import VirtualTime
from shared.ports.ledger import Actor, BreachRow, Case, LedgerUnavailable, Standing, StatementRow
from shared.sla.instants import SECOND
from tests.integration.notifier_kit import START, verdict
from tests.unit.notifier.kit import NOW, PUBLIC_URL

BREACH = verdict("opened", revision=0).data.breach_id


def case(standing: Standing = "open", *types: str) -> Case:
    fields: dict[str, Any] = dict.fromkeys(BreachRow.__struct_fields__)
    fields |= {
        "breach_id": BREACH,
        "standing": standing,
        "vendor": "<b>acme</b>",
        "objective": "resolution",
        "service": "helpdesk",
        "case": "INC-42",
    }
    rows = [
        StatementRow(f"s{number}", f"slawatch.breach.{type_}", number, START, START, "{}")
        for number, type_ in enumerate(types or ("opened",))
    ]
    return Case(BreachRow(**fields), rows, [], [])


class World:
    """A ledger with one breach, what was done to it, and the pages."""

    def __init__(self) -> None:
        self.time = VirtualTime(NOW)
        self.links = Links(b"pepper", PUBLIC_URL, self.time)
        self.used = MemoryLinks()
        self.found: Case | None = case()
        self.away = False
        self.done: list[tuple[str, str, Actor]] = []
        actions = LinkActions(self.links, self.used, self, self.time, acknowledge=self.doer("acknowledge"), snooze=self.doer("snooze"))
        app = FastAPI()
        install(app, actions)
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=PUBLIC_URL)

    async def case(self, breach_id: str, vendor: str | None = None) -> Case | None:
        if self.away:
            raise LedgerUnavailable("away")
        return self.found if breach_id == BREACH else None

    def doer(self, act: str) -> Any:
        async def do(breach_id: str, by: Actor) -> bool:
            if self.away:
                raise LedgerUnavailable("away")
            self.done.append((act, breach_id, by))
            return True

        return do

    def addresses(self) -> tuple[str, str]:
        return self.links.addresses(verdict("opened", revision=0), "on-call/slack")


async def test_opening_a_link_changes_nothing_the_button_does_once() -> None:
    world = World()
    acknowledge, snooze = world.addresses()
    for _ in range(3):  # as previews do
        page = await world.client.get(acknowledge)
        assert page.status_code == 200
        assert '<form method="post">' in page.text
        assert "&lt;b&gt;acme" in page.text
    assert world.done == []
    assert (await world.client.head(acknowledge)).status_code == 405
    done = await world.client.post(acknowledge)
    assert (done.status_code, "Acknowledged." in done.text) == (200, True)
    [(act, breach_id, by)] = world.done
    assert (act, breach_id, by.name, by.role) == ("acknowledge", BREACH, "link on on-call/slack", "responder")
    again = await world.client.post(acknowledge)
    assert (again.status_code, "used already" in again.text) == (409, True)
    assert (await world.client.post(snooze)).status_code == 200
    assert [act for act, _, _ in world.done] == ["acknowledge", "snooze"]


async def test_pages_are_not_kept_framed_or_referred_to_and_speak_chinese() -> None:
    world = World()
    page = await world.client.get(world.addresses()[1], headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "暂停提醒 2 小时" in page.text


def altered() -> list[str]:
    links = Links(b"pepper", PUBLIC_URL, VirtualTime(NOW))
    claim = Claim("acknowledge", BREACH, 0, "c", NOW + LIFE)
    good = links.sign(claim)
    raw = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
    other = msgspec.msgpack.encode(Claim("acknowledge", "another" + BREACH[7:], 0, "c", NOW + LIFE))
    return [
        "",
        "x",
        "AAAA",
        "é" * 20,
        "A" * 5_000,
        good[:-3],
        good + "AAAA",
        good + "!",
        base64.urlsafe_b64encode(raw[:16] + other).decode().rstrip("="),
        base64.urlsafe_b64encode(bytes(16) + raw[16:]).decode().rstrip("="),
        Links(b"other pepper", PUBLIC_URL, VirtualTime(NOW)).sign(claim),
        links.sign(Claim("acknowledge", BREACH, 0, "c", NOW - 1)),
        links.sign(Claim("acknowledge", "f" * 64, 0, "c", NOW + LIFE)),
    ]


@pytest.mark.parametrize("token", altered())
async def test_row_23_forged_malformed_and_old_links_are_404_and_never_500(token: str) -> None:
    world = World()
    for method in ("GET", "POST"):
        page = await world.client.request(method, f"{PUBLIC_URL}/act/{token}")
        assert page.status_code == 404
        assert "acme" not in page.text
    assert world.done == []


async def test_row_23_a_link_dies_with_its_time() -> None:
    world = World()
    acknowledge, _ = world.addresses()
    await world.time.advance(LIFE / SECOND)
    assert (await world.client.post(acknowledge)).status_code == 404


@pytest.mark.parametrize(
    ("standing", "types"),
    [("closed", ("opened", "closed")), ("retracted", ("opened", "retracted")), ("open", ("opened", "closed", "reopened"))],
)
async def test_an_old_link_does_nothing_to_what_is_over_or_was_opened_anew(standing: Standing, types: tuple[str, ...]) -> None:
    world = World()
    world.found = case(standing, *types)
    page = await world.client.post(world.addresses()[0])
    assert (page.status_code, "newer message" in page.text) == (409, True)
    assert world.done == []
    anew = world.links.sign(Claim("acknowledge", BREACH, 2, "c", NOW + LIFE))
    assert (await world.client.post(f"/act/{anew}")).status_code == (200 if standing == "open" else 409)


async def test_a_ledger_that_is_away_leaves_the_link_unused() -> None:
    world = World()
    acknowledge, _ = world.addresses()
    world.away = True
    page = await world.client.post(acknowledge)
    assert (page.status_code, "retry-after" in page.headers) == (503, True)
    world.away = False
    assert (await world.client.post(acknowledge)).status_code == 200
    assert len(world.done) == 1
