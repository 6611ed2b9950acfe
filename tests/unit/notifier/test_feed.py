"""The terminal's lines, and what slow readers of the live stream get."""

from datetime import UTC

from services.notifier.feed import line
from services.notifier.live import QUEUE_MAX, Change, Hub, feed, signals
from services.notifier.pipeline import summary
from shared.sla.instants import SECOND
from tests.integration.notifier_kit import START, verdict

DUE = START + 3_600 * SECOND


def change(number: int, vendor: str = "acme") -> Change:
    return Change("verdict", vendor, "b", frozenset({"open"}), {"number": number})


def test_a_line_says_time_what_who_which_and_how() -> None:
    said = line("verdict", summary(verdict("opened", revision=0), DUE + 2_004), UTC)
    assert said is not None
    words = " ".join(said.plain.split())
    assert words == "09:00:02 BREACH acme resolution INC-42 promised within 1 h, said after 4 ms"
    delivery = {"type": "slawatch.breach.opened", "vendor": "acme", "objective": "resolution", "case": "INC-42", "channel": "webhook-x"}
    told = line("delivery", {**delivery, "state": "sent", "at": DUE, "latency_ms": 12, "error": ""}, UTC)
    assert told is not None
    assert told.plain.endswith("BREACH to webhook-x in 12 ms")


def test_a_vendor_cannot_steer_the_terminal() -> None:
    said = line("verdict", summary(verdict("opened", "\x1b[2J\x07 [red]x", revision=0), DUE), UTC)
    assert said is not None
    assert "\x1b" not in said.plain
    assert "[red]x" in said.plain


def test_verdicts_that_wake_nobody_make_no_line() -> None:
    assert line("verdict", summary(verdict("clock.met"), DUE), UTC) is None


async def test_the_feed_gives_all_and_only_the_readers_own_vendor() -> None:
    hub = Hub()
    stream = feed(hub, "acme")
    await anext(stream)
    hub.publish(change(1))
    hub.publish(change(2, "other"))
    hub.publish(change(3))
    assert [await anext(stream), await anext(stream)] == [
        b'event: verdict\ndata: {"number":1}\n\n',
        b'event: verdict\ndata: {"number":3}\n\n',
    ]
    await stream.aclose()


async def test_a_slow_reader_costs_bounded_memory_and_is_told_what_it_missed() -> None:
    hub = Hub()
    stream = feed(hub, None)
    await anext(stream)
    for number in range(QUEUE_MAX + 7):
        hub.publish(change(number))
    assert await anext(stream) == b'event: missed\ndata: {"missed":7}\n\n'
    assert b'{"number":7}' in await anext(stream)
    await stream.aclose()


async def test_a_page_hears_once_of_a_flood_and_streams_end_when_the_process_stops() -> None:
    hub = Hub()
    stream = signals(hub, None)
    assert [await anext(stream), await anext(stream)] == [b"retry: 1000\n\n", b"event: hello\ndata: \n\n"]
    for number in range(500):
        hub.publish(change(number))
    assert await anext(stream) == b"event: open\ndata: \n\n"
    hub.close()
    assert [rest async for rest in stream if not rest.startswith(b":")] == []
