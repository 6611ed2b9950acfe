"""The console in a real browser: how tests open one and sign in."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.integration.notifier_kit import Notifier

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium: apt-get install chromium")


async def signed_in(browser: Browser, running: Notifier, token: str, complaints: list[str]) -> Page:
    """A page that is live; what the browser complains of (scripts refused, errors) goes to `complaints`."""
    context = await browser.new_context(timezone_id="Asia/Shanghai")
    page = await context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda wrong: complaints.append(str(wrong)))
    await page.goto(f"{running.url}/login#{running.tokens[token]}")
    await page.wait_for_selector('body[data-live="on"]')
    assert running.tokens[token] not in page.url
    return page
