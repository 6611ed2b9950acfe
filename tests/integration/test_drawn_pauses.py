"""The case page draws each pause and each event: real evaluator, real notifier, real browser."""

import time
from pathlib import Path

from playwright.async_api import Browser, expect

from shared.sla.instants import MINUTE, format_instant
from tests.acceptance.installation import Event, installed
from tests.integration.console_kit import needs_browser

TERMS = """
apiVersion: slawatch/v1
kind: Agreement
name: desk
vendor: acme
objectives:
  - name: fixed
    kind: deadline
    start: opened
    pause: {on: waiting, reason: data.why}
    resume: resumed
    stop: done
    targets: [{within: 75m}]
"""
LIFE = ((180, "opened", ""), (150, "waiting", "spare part"), (120, "resumed", ""), (90, "waiting", "access to site"), (60, "resumed", ""))

pytestmark = needs_browser


def _event(kind: str, why: str, minutes_ago: int) -> Event:
    moment = time.time_ns() // 1_000_000 - minutes_ago * MINUTE
    event = {"specversion": "1.0", "id": f"{kind}-{minutes_ago}", "source": "/s", "type": kind, "subject": "INC-1", "vendor": "acme"}
    return event | {"service": "desk", "time": format_instant(moment), "data": {"why": why}}


async def test_two_pauses_are_drawn_with_reasons_and_without_the_evaluator_the_page_says_so(
    tmp_path: Path, kafka: str, database_url: str, browser: Browser
) -> None:
    terms = tmp_path / "terms.yaml"
    terms.write_text(TERMS, "utf-8")
    async with installed(tmp_path, kafka, database_url) as site:
        await site.command("agreements", "apply", str(terms))
        await site.post([_event(kind, why, ago) for ago, kind, why in LIFE])
        [breach_id] = await site.ledger_of(1)
        page = await (await browser.new_context(timezone_id="UTC")).new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        await page.goto(site.url("notifier", f"/login#{site.token}"))
        await page.wait_for_selector('body[data-live="on"]')
        await page.goto(site.url("notifier", f"/breaches/{breach_id}"))
        await expect(page.locator("svg rect.pause")).to_have_count(2)
        titles = [await one.text_content() or "" for one in await page.locator("svg rect.pause title").all()]
        assert ["spare part" in titles[0], "access to site" in titles[1]] == [True, True], titles
        await expect(page.locator("svg path.evidence")).to_have_count(5)
        await page.get_by_text("How the time counts").click()
        await expect(page.locator(".explained")).to_contain_text("waiting-150")
        await expect(page.locator(".explained").get_by_text("30 min of working time")).to_have_count(2)
        await page.screenshot(path=tmp_path / "desktop.png", full_page=True)
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.screenshot(path=tmp_path / "phone.png", full_page=True)

        await site.post([_event("done", "", 0)])
        await expect(page.locator(".headline .standing")).to_contain_text("closed")
        await expect(page.locator("svg rect.pause")).to_have_count(2)

        site.kill("evaluator")
        await page.reload()
        await expect(page.get_by_text("the evaluator does not answer")).to_be_visible()
        await expect(page.locator("svg rect.pause")).to_have_count(0)
        await expect(page.locator("svg rect.used")).to_have_count(1)
        assert complaints == []
