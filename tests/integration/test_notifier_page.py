"""The console in a real browser: a breach arrives live, acknowledging works and all see it, nothing a vendor writes runs."""

from playwright.async_api import Browser, expect

from shared.adapters.system_time import SystemTime
from shared.sla.instants import MINUTE
from tests.integration.console_kit import needs_browser, signed_in
from tests.integration.notifier_kit import Notifier, verdict

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"

pytestmark = needs_browser


async def test_a_breach_arrives_live_and_one_persons_acknowledgement_is_seen_by_all(running: Notifier, browser: Browser) -> None:
    complaints: list[str] = []
    responder, viewer = [await signed_in(browser, running, token, complaints) for token in ("responder", "viewer")]
    now = SystemTime().wall()
    await running.say(verdict("clock.warning", "INC-7", threshold="80%", due=now + 10 * MINUTE))
    await expect(viewer.locator("#risk").get_by_text("INC-7")).to_be_visible()
    await running.say(verdict("opened", "INC-7", revision=0, due=now - MINUTE), verdict("opened", EVIL, revision=0))
    for page in (responder, viewer):
        await expect(page.locator("#open .row")).to_have_count(2)
        await expect(page.locator("#risk .row")).to_have_count(0)
        await expect(page.locator("#open").get_by_text(EVIL)).to_be_visible()
    assert await viewer.get_by_role("button", name="Acknowledge").count() == 0, "a viewer only looks"

    await responder.get_by_role("button", name="Acknowledge the breach of resolution for INC-7").click()
    for page in (responder, viewer):
        await expect(page.locator(".row", has_text="INC-7").get_by_text("by Ann the responder")).to_be_visible()

    await responder.get_by_role("link", name="acme · INC-7").click()
    await responder.get_by_label("Note").fill("<b>called</b> them")
    await responder.get_by_role("button", name="Add a note").click()
    await expect(responder.get_by_text("<b>called</b> them")).to_be_visible()
    await running.say(verdict("retracted", "INC-7", revision=1, due=now - MINUTE))
    await expect(responder.locator(".headline .standing")).to_contain_text("withdrawn")
    await expect(viewer.locator("#recent").get_by_text("withdrawn")).to_be_visible()

    assert await viewer.title() == "Now · slawatch", "a script of a vendor's ran"
    assert complaints == []


async def test_it_fits_a_phone_and_can_be_used_by_keyboard(running: Notifier, browser: Browser) -> None:
    await running.say(verdict("opened", "INC-" + "7" * 200, revision=0))
    page = await signed_in(browser, running, "responder", [])
    await page.set_viewport_size({"width": 390, "height": 844})
    await expect(page.locator("#open .row")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("button", name="Acknowledge the breach").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".acked")).to_be_visible()
    assert await page.get_by_role("main").count() == 1
    assert await page.locator("h1").count() == 1


async def test_the_page_says_so_when_the_connection_is_gone_and_comes_back_by_itself(running: Notifier, browser: Browser) -> None:
    page = await signed_in(browser, running, "viewer", [])
    await running.stop()
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    await running.start()
    await running.say(verdict("opened", "after", revision=0))
    await expect(page.locator("#open").get_by_text("after")).to_be_visible(timeout=20_000)


async def test_who_is_not_signed_in_sees_nothing_and_other_sites_can_post_nothing(running: Notifier) -> None:
    await running.say(verdict("opened", revision=0))
    client = running.client
    for path in ("/", "/breaches/ab", "/parts/open"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")
    assert (await client.get("/live")).status_code == 401
    for wrong in ("rubbish", running.tokens["key"], ""):
        answer = await client.post("/login", data={"token": wrong})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    form = {"token": running.tokens["responder"], "to": "https://evil.example/"}
    assert (await client.post("/login", data=form, headers={"origin": "https://evil.example"})).status_code == 403
    answer = await client.post("/login", data=form)
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert running.tokens["responder"] not in answer.headers["set-cookie"]

    page = await client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text

    async def there() -> list[str]:
        return [b["breach_id"] for b in (await running.get("/v1/breaches"))["breaches"]]

    [breach_id] = await running.until(there)
    for forged in ({}, {"csrf": "0" * 64}):
        assert (await client.post(f"/breaches/{breach_id}/acknowledge", data=forged)).status_code == 403
    crossed = await client.post(f"/breaches/{breach_id}/acknowledge", headers={"sec-fetch-site": "cross-site"})
    assert crossed.status_code == 403
    assert (await running.get(f"/v1/breaches/{breach_id}"))["acknowledged"] is None


async def test_a_vendors_page_shows_its_own_breaches_only(running: Notifier, browser: Browser) -> None:
    await running.say(verdict("opened", "theirs", vendor="other", revision=0), verdict("opened", "ours", revision=0))
    page = await signed_in(browser, running, "acme", [])
    await expect(page.locator("#open .row")).to_have_count(1)
    await expect(page.locator("#open").get_by_text("ours")).to_be_visible()
    await running.say(verdict("opened", "theirs too", vendor="other", revision=0), verdict("opened", "ours too", revision=0))
    await expect(page.locator("#open .row")).to_have_count(2)
    assert "theirs" not in await page.content()
