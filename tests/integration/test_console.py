"""The console and the cases as people and programs use them: a real notifier, PostgreSQL, Kafka; pages in a real browser.

With SCREENSHOTS=<directory> the browser test leaves pictures of every page there, wide and narrow.
"""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from shared.adapters.system_time import SystemTime
from shared.runtime.credentials import parse
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND, format_instant, parse_instant
from shared.wire.verdicts import Verdict
from tests.integration.console_kit import needs_browser, signed_in
from tests.integration.notifier_kit import PROJECT, Notifier, free_port, notifier, receiver, verdict

PASSWORD = "correct horse battery"
NOW = SystemTime().wall


async def stated(it: Notifier, number: int = 1) -> list[str]:
    """Ids of the breaches, newest first, once there are so many."""

    async def there() -> list[str]:
        found = [b["breach_id"] for b in (await it.get("/v1/breaches"))["breaches"]]
        return found if len(found) >= number else []

    return list(await it.until(there))


async def post(it: Notifier, breach_id: str, verb: str, token: str = "responder", **body: Any) -> tuple[int, dict[str, Any]]:
    answer = await it.client.post(f"/v1/breaches/{breach_id}/{verb}", json=body, headers=it.bearer(token))
    return answer.status_code, answer.json()


# ---- the API of cases


async def test_a_case_from_acknowledgement_to_closure_with_its_audit_trail(running: Notifier, database_url: str) -> None:
    await running.say(verdict("opened", revision=0))
    [it] = await stated(running)
    assert (await running.get(f"/v1/breaches/{it}"))["status"] == "open"
    assert (await post(running, it, "acknowledge"))[1]["status"] == "acknowledged"
    assigned = (await post(running, it, "assign", owner="Bo", priority="P2", **{"class": "staffing"}))[1]
    assert (assigned["owner"], assigned["priority"], assigned["class"]) == ("Bo", "P2", "staffing")
    due = format_instant(NOW() + HOUR)
    status, correcting = await post(running, it, "correct", root_cause="no night shift", action="hire two", due=due)
    assert (status, correcting["status"], correcting["root_cause"]) == (200, "in_correction", "no night shift")
    assert correcting["correction"] == {"action": "hire two", "due": due, "done_at": None, "state": "running"}
    status, problem = await post(running, it, "close")
    assert (status, problem["type"]) == (409, "urn:slawatch:problem:correcting")
    assert (await post(running, it, "correct", done=True))[1]["correction"]["state"] == "done"
    status, closed = await post(running, it, "close", text="hired")
    assert (status, closed["status"]) == (200, "closed")
    assert (await post(running, it, "assign", owner="Al"))[0] == 409
    timeline = [line for line in (await running.get(f"/v1/breaches/{it}"))["timeline"] if line["kind"] == "action"]
    assert [line["type"] for line in timeline] == ["acknowledge", "assign", "correct", "correct", "close"]
    assert timeline[1]["changes"] == {"owner": [None, "Bo"], "priority": [None, "P2"], "category": [None, "staffing"]}
    assert {line["by"] for line in timeline} == {"Ann the responder"}
    entered = await running.client.post("/login", data={"token": running.tokens["responder"]}, headers={"origin": running.url})
    page = await running.client.get(f"/parts/breaches/{it}", headers={"cookie": entered.headers["set-cookie"].partition(";")[0]})
    assert page.status_code == 200
    assert page.text.count("hire two") == 3, "in the file, and in the timeline as it was planned and as it was done"

    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        for rewriting in ("UPDATE breach_actions SET actor = 'nobody'", "DELETE FROM breach_actions", "TRUNCATE breach_actions"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="audit trail"):
                await connection.execute(rewriting)
    finally:
        await connection.close()


async def test_excuse_and_dispute_are_for_those_whose_right_it_is(running: Notifier) -> None:
    await running.say(verdict("opened", revision=0))
    [it] = await stated(running)
    assert (await post(running, it, "excuse", reason="flood"))[0] == 403, "a responder may not"
    assert (await post(running, it, "dispute", "viewer", reason="no"))[0] == 403
    status, disputed = await post(running, it, "dispute", "acme", reason="it was done in time")
    assert (status, disputed["status"], disputed["dispute"]["by"]) == (200, "disputed", "acme")
    assert disputed["acknowledged"] is None, "who is accused does not stop the alarm"
    status, excused = await post(running, it, "excuse", "operator", reason="flood", approver="the board")
    assert (status, excused["status"], excused["acknowledged"]["by"]) == (200, "excused", "Ann the operator")
    assert (excused["excuse"]["approver"], excused["excuse"]["by"]) == ("the board", "Ann the operator")
    assert (await post(running, it, "reopen", reason="no"))[0] == 403
    assert (await post(running, it, "reopen", "operator", reason="the board withdrew it"))[1]["status"] == "acknowledged"


async def test_the_ledger_goes_before_what_people_made_of_it(running: Notifier) -> None:
    """A withdrawn breach closes its case by itself; one that is reopened is open again, whoever closed it."""
    await running.say(verdict("opened", "withdrawn", revision=0), verdict("opened", "again", revision=0))
    again, withdrawn = await stated(running, 2)
    assert (await post(running, again, "close"))[1]["status"] == "closed"
    now = NOW()
    await running.say(
        verdict("retracted", "withdrawn", revision=1, decided_at=now),
        verdict("closed", "again", revision=1, stopped=now, decided_at=now),
        verdict("reopened", "again", revision=2, decided_at=now),
    )

    async def settled() -> bool:
        rows = {b["breach_id"]: b for b in (await running.get("/v1/breaches"))["breaches"]}
        return (rows[withdrawn]["status"], rows[again]["status"], rows[again]["revision"]) == ("closed", "open", 2)

    await running.until(settled)
    status, problem = await post(running, withdrawn, "assign", owner="Bo")
    assert (status, problem["type"]) == (409, "urn:slawatch:problem:withdrawn")
    assert (await post(running, withdrawn, "note", text="good so"))[0] == 201


async def test_cases_are_found_by_what_people_made_of_them(running: Notifier) -> None:
    await running.say(*(verdict("opened", f"c-{n}", revision=0) for n in range(4)))
    ids = await stated(running, 4)
    await post(running, ids[0], "assign", owner="Bo", priority="P1", **{"class": "staffing"})
    await post(running, ids[1], "close")
    await post(running, ids[2], "acknowledge")

    async def found(**wanted: str) -> list[str]:
        return [b["breach_id"] for b in (await running.get("/v1/breaches", **wanted))["breaches"]]

    assert await found(owner="Bo") == await found(priority="P1") == await found(**{"class": "staffing"}) == [ids[0]]
    assert await found(status="closed") == [ids[1]]
    assert await found(status="acknowledged") == [ids[2]]
    assert await found(status="open") == [ids[0], ids[3]]
    assert (await running.client.get("/v1/breaches", params={"status": "x"}, headers=running.bearer("viewer"))).status_code == 422


async def test_wrong_bodies_are_said_precisely(running: Notifier) -> None:
    await running.say(verdict("opened", revision=0))
    [it] = await stated(running)
    for verb, body, place in (
        ("correct", {"action": "x", "due": "tomorrow"}, "/due"),
        ("note", {"text": ""}, "/text"),
        ("assign", {"priority": "P9"}, "/priority"),
        ("dispute", {}, "/reason"),
    ):
        status, problem = await post(running, it, verb, **body)
        assert (status, problem["errors"][0]["pointer"]) == (422, place), verb
    assert (await post(running, it, "correct", due=format_instant(NOW())))[1]["type"] == "urn:slawatch:problem:no-action"


# ---- who may see and do (reliability.md, row 23)


async def test_row_23_another_tenants_data_is_404_what_is_forged_401_both_audited_never_500(running: Notifier) -> None:
    await running.say(verdict("opened", "secret", vendor="other", revision=0), verdict("opened", revision=0))
    ids = {b["vendor"]: b["breach_id"] for b in [await running.get(f"/v1/breaches/{id_}") for id_ in await stated(running, 2)]}
    foreign, client = ids["other"], running.client
    bodies: dict[str, dict[str, str]] = {"dispute": {"reason": "x"}}
    answers = [await client.get(f"/v1/breaches/{foreign}", headers=running.bearer("acme"))]
    answers += [
        await client.post(f"/v1/breaches/{foreign}/{verb}", json=body, headers=running.bearer("acme")) for verb, body in bodies.items()
    ]
    nowhere = await client.get("/v1/breaches/nowhere", headers=running.bearer("acme"))
    for answer in answers:
        assert answer.status_code == 404
        assert answer.json() | {"detail": "", "request_id": ""} == nowhere.json() | {"detail": "", "request_id": ""}, (
            "nobody learns that it is there"
        )
    assert "secret" not in json.dumps((await client.get("/v1/breaches", headers=running.bearer("acme"))).json())

    real = running.tokens["responder"]
    forged = [
        real[:-1] + ("0" if real[-1] != "0" else "1"),
        real.replace(parse(real).id, "0" * 12),
        "slw_local_" + "0" * 12 + "_" + "0" * 40 + "_00000000",
        "\u00e9\u00e8".encode().decode("latin-1"),
        "x" * 5_000,
    ]
    paths = [
        ("GET", "/v1/breaches"),
        ("GET", f"/v1/breaches/{foreign}"),
        ("POST", f"/v1/breaches/{foreign}/excuse"),
        ("GET", "/v1/silences"),
    ]
    for token in forged:
        for method, path in paths:
            answer = await client.request(method, path, headers={b"authorization": f"Bearer {token}".encode()})
            assert answer.status_code == 401, (token[:40], path, answer.text)
            assert "www-authenticate" in answer.headers
    for cookie in ("a.b", "....", "e30.e30", "\u00ff", "x" * 4_000, real):
        answer = await client.get("/breaches", headers={b"cookie": f"slawatch_session={cookie}".encode("latin-1")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?to=/breaches"), cookie
    for path in ("/breaches/%00", "/breaches/" + "x" * 3_000, "/vendors/%2e%2e%2f", "/parts/..%2f", "/v1/breaches/%ff"):
        answer = await client.get(path, headers=running.bearer("viewer"))
        assert answer.status_code in (303, 404), (path, answer.text)

    async def audited() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in running.log_lines() if '"refused"' in line]
        return lines if len(lines) >= len(forged) * len(paths) + 2 else []

    lines = await running.until(audited)
    assert {line["status"] for line in lines} >= {401, 404}
    assert any(
        line["path"].endswith(foreign) and line["status"] == 404 and line["credential"] == parse(running.tokens["acme"]).id
        for line in lines
    )
    assert real not in running.log()


async def form(it: Notifier, path: str, cookie: str, **fields: str) -> int:
    """Post a form of a page with its csrf token; the status."""
    page = await it.client.get(path, headers={"cookie": cookie})
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found, page.text[:500]
    action = fields.pop("action")
    answer = await it.client.post(action, data={"csrf": found[1], **fields}, headers={"cookie": cookie})
    return int(answer.status_code)


async def accounts(it: Notifier, *arguments: str) -> str:
    """What `slawatch accounts …` says, run against the notifier's database."""
    command = (sys.executable, "-m", "shared.cli", "accounts", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, env=it.environment | {"PASSWORD": PASSWORD}, cwd=PROJECT, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_a_built_in_account_signs_in_and_guessing_is_slow(running: Notifier) -> None:
    assert "bea may sign in as responder" in await accounts(running, "create", "bea", "--role", "responder")
    client = running.client
    answer = await client.post("/login", data={"name": "bea", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = {"cookie": answer.headers["set-cookie"].split(";")[0]}
    assert "bea, responder" in (await client.get("/", headers=cookie)).text
    client.cookies.clear()
    for _ in range(5):
        assert (await client.post("/login", data={"name": "bea", "password": "wrong" * 4})).status_code == 401
    assert (await client.post("/login", data={"name": "bea", "password": PASSWORD})).status_code == 429, "although it is right now"
    assert (await client.post("/login", data={"name": "nobody", "password": PASSWORD})).status_code == 401
    assert "removed bea" in await accounts(running, "remove", "bea")

    async def over() -> bool:
        return (await client.get("/", headers=cookie)).status_code == 303

    await running.until(over)


async def test_a_trusted_proxy_names_people_and_nobody_else_can(kafka: str, database_url: str, unique: str, tmp_path: Path) -> None:
    ann = {"x-forwarded-user": "ann@example", "x-forwarded-groups": "staff,oncall"}
    settings = {"proxy_addresses": "127.0.0.1", "proxy_roles": "oncall=responder"}
    async with notifier(kafka, database_url, unique, tmp_path, **settings) as it:
        await it.say(verdict("opened", revision=0))
        [breach_id] = await stated(it)
        page = await it.client.get("/", headers=ann)
        assert page.status_code == 200
        assert "ann@example" in page.text
        csrf = re.search(r'name="csrf" value="(\w+)"', page.text)
        assert csrf
        bob = ann | {"x-forwarded-user": "bob@example"}
        path = f"/breaches/{breach_id}/acknowledge"
        assert (await it.client.post(path, data={"csrf": csrf[1]}, headers=bob)).status_code == 403, "csrf belongs to a person"
        assert (await it.client.post(path, data={"csrf": csrf[1]}, headers=ann)).status_code == 303
        assert (await it.get(f"/v1/breaches/{breach_id}"))["acknowledged"]["by"] == "ann@example"
        assert (await it.client.get("/", headers=ann | {"x-forwarded-groups": "staff"})).status_code == 403
        assert (await it.client.get("/", headers=ann | {"x-forwarded-for": "10.0.0.1"})).status_code == 200, (
            "the peer counts, not what it says"
        )
        assert (await it.client.get("/v1/breaches", headers=ann)).status_code == 401, "the API takes tokens"
        await it.stop()
    async with notifier(kafka, database_url, unique, tmp_path, proxy_addresses="192.0.2.1") as it:
        refused = await it.client.get("/", headers=ann | {"x-forwarded-groups": "operator"})
        assert (refused.status_code, "ann" in refused.text) == (401, False)
        assert (await it.client.get("/login")).status_code == 200
        await it.stop()


async def test_without_the_setting_the_proxys_headers_mean_nothing(running: Notifier) -> None:
    forged = {"x-forwarded-user": "ann@example", "x-forwarded-groups": "operator"}
    assert (await running.client.get("/", headers=forged)).status_code == 303


async def test_a_vendor_sees_none_of_how_we_alert_ourselves(running: Notifier) -> None:
    await running.say(verdict("opened", "ours", revision=0), verdict("opened", "theirs", vendor="other", revision=0))
    await stated(running, 2)
    answer = await running.client.post("/login", data={"token": running.tokens["acme"]})
    cookie = {"cookie": answer.headers["set-cookie"].split(";")[0]}
    for path in ("/silences", "/rota", "/deliveries", "/health", "/vendors/other"):
        assert (await running.client.get(path, headers=cookie)).status_code == 404, path
    for path in ("/", "/breaches", "/breaches?vendor=other", "/vendors", "/vendors/acme"):
        page = await running.client.get(path, headers=cookie)
        assert page.status_code == 200
        assert "theirs" not in page.text
        assert "other" not in page.text.replace("?vendor=other", "").replace('value="other"', "")


async def test_the_documentation_works_without_the_internet(running: Notifier) -> None:
    page = await running.client.get("/docs")
    assert page.status_code == 200
    assert "/v1/breaches/{breach_id}/excuse" in page.text
    assert "//" not in re.sub(
        r"https?://(www\.w3\.org|127\.0\.0\.1:\d+)\S*", "", " ".join(re.findall(r'(?:src|href)="([^"]*)"', page.text))
    )
    assert "script" not in page.text


async def test_chinese_by_the_browsers_wish_and_by_choice(running: Notifier) -> None:
    client = running.client
    assert "登录" in (await client.get("/login", headers={"accept-language": "zh-CN,zh;q=0.9"})).text
    answer = await client.post("/language", data={"choice": "zh", "to": "//evil.example"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    chosen = {"cookie": answer.headers["set-cookie"].split(";")[0], "accept-language": "en"}
    client.cookies.clear()
    assert "登录" in (await client.get("/login", headers=chosen)).text
    assert "Sign in" in (await client.get("/login")).text


# ---- in a browser


@needs_browser
async def test_two_notifiers_side_by_side_keep_each_others_pages_live(
    kafka: str, database_url: str, unique: str, tmp_path: Path, browser: Browser
) -> None:
    ports = {"notifier_port": str(free_port())}
    async with notifier(kafka, database_url, unique, tmp_path) as one, notifier(kafka, database_url, unique, tmp_path, **ports) as two:
        pages = [await signed_in(browser, it, "responder", []) for it in (one, two)]
        await one.say(verdict("opened", "INC-7", revision=0))
        for page in pages:
            await expect(page.locator("#open").get_by_text("INC-7")).to_be_visible()
        await pages[0].get_by_role("button", name="Acknowledge the breach").click()
        for page in pages:
            await expect(page.locator("#acked").get_by_text("by Ann the responder")).to_be_visible()


ROUTING = """
apiVersion: slawatch/v1
kind: Routing
name: console
timezone: Asia/Shanghai
receivers:
  chat: [{{kind: webhook, url: "{url}"}}]
people: {{ann: {{receivers: chat}}, bo: {{receivers: chat}}}}
rotas: {{first: {{people: [ann, bo], from: 2026-01-05T09:00, every: 7d}}}}
escalations: {{page: {{steps: [{{notify: {{rota: first}}}}, {{after: 15m, notify: chat}}]}}}}
route: {{receiver: chat, routes: [{{match: {{severity: page}}, escalation: page}}]}}
"""


@needs_browser
async def test_the_rota_page_says_who_has_it_and_lets_somebody_stand_in(
    kafka: str, database_url: str, unique: str, tmp_path: Path, browser: Browser
) -> None:
    async with receiver() as hook:
        file = tmp_path / "routing.yaml"
        file.write_text(ROUTING.format(url=hook.url))
        async with notifier(kafka, database_url, unique, tmp_path, routes=str(file)) as it:
            [turn] = (await it.get("/v1/rotas"))["rotas"]
            other = "bo" if turn["person"] == "ann" else "ann"
            page = await signed_in(browser, it, "responder", [])
            await page.goto(f"{it.url}/rota")
            await expect(page.locator(".duty .figure")).to_have_text(turn["person"])
            await picture(page, "console-duty")
            await fits_a_phone(page)
            await accessible(page)
            await page.locator("summary", has_text="Stand in").click()
            await page.get_by_label("Who").fill(other)
            now = SystemTime().wall()
            for label, at in (("From", now - HOUR), ("To", now + HOUR)):
                await page.get_by_label(label).fill(format_instant(at + 8 * HOUR)[:16])  # the wall time of Shanghai
            await page.get_by_role("button", name="Stand in").click()
            await expect(page.locator(".duty .figure")).to_have_text(other)
            await expect(page.get_by_text("by Ann the responder")).to_be_visible()
            await page.get_by_role("button", name="Remove").click()
            await expect(page.locator(".duty .figure")).to_have_text(turn["person"])


def began(said: Verdict, hours: float) -> Verdict:
    """The same, started so many hours before due."""
    assert said.data.due is not None
    said.data.started = format_instant(round(parse_instant(said.data.due) - hours * HOUR))
    return said


async def say_a_days_work(it: Notifier) -> None:
    """What the pictures show: risks, open breaches, some done, one withdrawn."""
    now = NOW()

    def opened(case: str, overdue: int, **more: Any) -> Verdict:
        at = now - overdue
        return began(verdict("opened", case, revision=0, due=at, decided_at=at + 2 * SECOND, **more), 1)

    pay: dict[str, Any] = {"vendor": "brightpay", "objective": "payroll-run", "agreement": "payroll"}
    parcel: dict[str, Any] = {"vendor": "swiftparcel", "objective": "delivered-on-time", "agreement": "parcels", "severity": "ticket"}
    risks: list[tuple[str, str, int, float, dict[str, Any]]] = [("INC-1052", "80%", 12, 1.0, {}), ("PAY-7", "30m", 26, 4.0, pay)]
    said = [began(verdict("clock.warning", case, threshold=t, due=now + m * MINUTE, **more), h) for case, t, m, h, more in risks]
    said += [opened("INC-1041", 12 * MINUTE), opened("INC-1038", 47 * MINUTE), opened("INC-1033", 190 * MINUTE)]
    said += [opened("PCL-99120", 5 * HOUR, **parcel), opened("INC-1012", 9 * HOUR), opened("INC-1009", DAY)]
    said += [verdict("closed", "INC-1012", revision=1, due=now - 9 * HOUR, stopped=now - 8 * HOUR, decided_at=now - 8 * HOUR)]
    said += [verdict("retracted", "INC-1009", revision=1, due=now - DAY, decided_at=now - 20 * HOUR)]
    await it.say(*said)


async def picture(page: Page, name: str) -> None:
    """The page as it stands, wide, narrow and dark."""
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    for suffix, width, height, scheme in (("", 1280, 860, "light"), ("-phone", 390, 844, "light"), ("-dark", 1280, 860, "dark")):
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await asyncio.sleep(0.4)
        await page.screenshot(path=Path(folder) / f"{name}{suffix}.png", full_page=suffix == "-phone" or name != "console")
    await page.set_viewport_size({"width": 1280, "height": 860})
    await page.emulate_media(color_scheme="light")


async def fits_a_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    wide = await page.evaluate(
        "document.documentElement.scrollWidth > innerWidth && [...document.querySelectorAll('*')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 120)).slice(0, 3).join('\\n')"
    )
    assert not wide, f"{page.url}: {wide}"
    await page.set_viewport_size({"width": 1280, "height": 860})


async def accessible(page: Page) -> None:
    """What a screen reader needs: one heading of the first rank, one main part, a name for everything that can be used."""
    assert await page.locator("h1").count() == 1, page.url
    assert await page.get_by_role("main").count() == 1
    nameless = await page.evaluate(
        """[...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea')].filter(e => !(
            e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && [...e.labels].some(l => l.textContent.trim()))
        )).map(e => e.outerHTML)"""
    )
    assert nameless == [], page.url


@needs_browser
async def test_a_shift_in_the_browser(kafka: str, database_url: str, unique: str, tmp_path: Path, browser: Browser) -> None:
    """A breach appears live, is acknowledged, noted, corrected, excused; its alerts are silenced; every page on a desk and on a phone."""
    async with receiver() as hook, notifier(kafka, database_url, unique, tmp_path, webhooks=[hook.url]) as it:
        complaints: list[str] = []
        page = await signed_in(browser, it, "operator", complaints)
        await expect(page.get_by_text("No open breach.")).to_be_visible()
        await say_a_days_work(it)
        await expect(page.locator("#open .row")).to_have_count(4)
        await page.get_by_role("button", name="Acknowledge the breach of resolution for INC-1038").click()
        await expect(page.locator("#acked").get_by_text("by Ann the operator")).to_be_visible()
        await expect(page.locator("#open .row")).to_have_count(3)
        await hook.wait_for(10)
        await picture(page, "console")
        await fits_a_phone(page)
        await accessible(page)

        await page.get_by_role("link", name="acme · INC-1038").click()
        await page.get_by_label("Note").fill("Called them: a disk is full.")
        await page.get_by_role("button", name="Add a note").click()
        await expect(page.get_by_text("Called them: a disk is full.")).to_be_visible()
        await page.locator("summary", has_text="Assign").click()
        await page.get_by_role("button", name="Take it").click()
        await expect(page.locator("dl.table").get_by_text("Ann the operator")).to_be_visible()
        await page.locator("summary", has_text="Cause and correction").click()
        await page.get_by_label("Root cause").fill("No alarm on disk space")
        await page.get_by_label("Corrective action").fill("Put every volume under watch")
        await page.get_by_label("To be done by").fill("2031-03-02T18:00")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".headline").get_by_text("in correction")).to_be_visible()
        case = await it.get("/v1/breaches/" + page.url.rpartition("/")[2])
        assert case["correction"]["due"] == "2031-03-02T10:00:00Z", "18:00 in Shanghai, where the browser is"
        assert await page.locator(".drawing svg circle.opened").count() == 1
        assert await page.locator(".drawing svg .overtime").count() == 1
        await picture(page, "console-case")
        await fits_a_phone(page)
        await accessible(page)

        await page.goto(f"{it.url}/")
        await expect(page.locator("#corrections").get_by_text("Put every volume under watch")).to_be_visible()
        await page.get_by_role("link", name="acme · INC-1033").click()
        await page.locator("summary", has_text="Excuse").click()
        await page.get_by_label("Reason").and_(page.locator("#excuse")).fill("Power cut in the whole district")
        await page.get_by_label("Approved by").fill("Contract board")
        await page.get_by_role("button", name="Excuse").click()
        await expect(page.get_by_text("Power cut in the whole district (approved by Contract board)")).to_be_visible()
        await expect(page.locator(".headline").get_by_text("excused")).to_be_visible()

        await page.goto(f"{it.url}/")
        await page.get_by_role("link", name="acme · INC-1041").click()
        await page.get_by_role("link", name="Silence its alerts").click()
        await page.get_by_label("Reason").fill("Planned move of the data centre")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Planned move of the data centre")).to_be_visible()
        [silence] = (await it.get("/v1/silences"))["silences"]
        assert silence["match"]["objective"] == ["resolution"]
        assert (silence["author"], silence["active"]) == ("Ann the operator", True)
        await picture(page, "console-silences")
        await page.get_by_role("button", name="End now").click()
        await expect(page.get_by_text("ended by Ann the operator")).to_be_visible()

        await page.wait_for_timeout(100)
        for name in ("breaches", "vendors", "vendors/acme", "rota", "deliveries", "health"):
            await page.goto(f"{it.url}/{name}")
            await page.wait_for_selector('body[data-live="on"]')
            await fits_a_phone(page)
            await accessible(page)
            await picture(page, "console-" + name.replace("/", "-"))
        await page.goto(f"{it.url}/breaches?vendor=acme&status=open")
        await page.wait_for_selector('body[data-live="on"]')
        await it.say(verdict("opened", "INC-1060", revision=0, due=NOW(), decided_at=NOW()))
        await expect(page.get_by_role("link", name="acme · INC-1060")).to_be_visible()
        await expect(page.get_by_label("Vendor")).to_have_value("acme")
        await page.goto(f"{it.url}/deliveries")
        await page.get_by_role("button", name="Send a test message").click()
        await expect(page.get_by_text("took the test message")).to_be_visible()
        await page.goto(f"{it.url}/health")
        await page.get_by_role("button", name="中文").click()
        await expect(page.get_by_role("heading", name="运行状况")).to_be_visible()
        await page.get_by_role("link", name="当前").click()
        await expect(page.get_by_role("heading", name="未完成的违约")).to_be_visible()
        await accessible(page)
        await picture(page, "console-chinese")
        assert complaints == []
