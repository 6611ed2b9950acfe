"""The parts of the console that need no server: languages, the drawing, the proxy, panels, the relay between notifiers."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.notifier import page_texts
from services.notifier.cases import MAY
from services.notifier.catalogue import Catalogue
from services.notifier.console.forms import local_instant
from services.notifier.console.panels import Panel, Panels
from services.notifier.console.rendering import language_of, local_path
from services.notifier.console.signin import Refused, TrustedProxy, proxy_of
from services.notifier.console.timeline import MARGIN, WIDTH, Told, bounds, draw, sparkline
from services.notifier.live import Change, Hub, Relay
from services.notifier.texts import LANGUAGES
from shared.adapters.memory.time import VirtualTime, settle
from shared.adapters.system_time import SystemTime
from shared.ports.agreements import AppliedAgreement
from shared.runtime.settings import BadSettings, Settings
from shared.sla.instants import DAY, HOUR, MINUTE, SECOND, parse_instant
from shared.wire.verdicts import VerdictData
from tests.integration.notifier_kit import verdict

TEMPLATES = Path(page_texts.__file__).parent / "console" / "templates"
LABELS = {"started": "started", "due": "due", "stopped": "finished"}


# ---- words


def test_both_languages_say_the_same_with_the_same_gaps() -> None:
    assert page_texts.ENGLISH.keys() == page_texts.CHINESE.keys()
    for key, text in page_texts.ENGLISH.items():
        assert sorted(re.findall(r"{(\w+)}", text)) == sorted(re.findall(r"{(\w+)}", page_texts.CHINESE[key])), key


def test_everything_that_is_written_into_the_audit_trail_has_words() -> None:
    for action in ("acknowledge", "acknowledgement-timed-out", *MAY):
        for texts in LANGUAGES.values():
            assert f"action.{action}" in texts, action


def test_every_word_that_a_page_asks_for_is_there() -> None:
    asked = {key for file in TEMPLATES.iterdir() for key in re.findall(r'\bt\("([^"]+)"[,)]', file.read_text())}
    for texts in LANGUAGES.values():
        assert [key for key in sorted(asked) if key not in texts] == []


@pytest.mark.parametrize(
    ("cookie", "accepted", "expected"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en-GB,zh;q=0.9", "en"),
        ("", "de, zh;q=0.3, en;q=0.5", "en"),
        ("", "zh;q=0, en", "en"),
        ("", "zh;q=rubbish", "en"),
        ("zh", "en", "zh"),
        ("rubbish", "zh", "zh"),
    ],
)
def test_the_language_is_the_cookies_then_the_browsers(cookie: str, accepted: str, expected: str) -> None:
    assert language_of(cookie, accepted) == expected


@pytest.mark.parametrize("text", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\nb", ""])
def test_nobody_is_sent_to_another_site(text: str) -> None:
    assert local_path(text) == "/"


def test_a_forms_time_is_the_browsers() -> None:
    assert local_instant("2026-03-02T08:30", "Asia/Shanghai") == local_instant("2026-03-02T00:30", "UTC")
    assert local_instant(" ", "UTC") is None
    for wrong in (("2026-13-02T08:30", "UTC"), ("2026-03-02T08:30", "../../etc/passwd"), ("2026-03-02T08:30", "Nowhere/Else")):
        with pytest.raises(Refused):
            local_instant(*wrong)


# ---- the drawing


def told(**more: object) -> Told:
    fields: dict[str, object] = {
        "started": 0,
        "due": 4 * HOUR,
        "stopped": None,
        "breached": True,
        "over": False,
        "held": None,
        "happened": (),
    }
    return Told(**(fields | more))  # type: ignore[arg-type]


def test_an_open_breach_is_late_until_now() -> None:
    drawing = draw(told(), 6 * HOUR, [(-DAY, 2 * HOUR), (3 * HOUR, 9 * HOUR)], LABELS)
    assert (drawing.start, drawing.end) == (0, 6 * HOUR)
    assert drawing.used is not None
    assert (drawing.used.start, drawing.used.end) == (0, 4 * HOUR)
    assert drawing.late is not None
    assert (drawing.late.start, drawing.late.end) == (4 * HOUR, 6 * HOUR)
    assert drawing.used.x + drawing.used.width == pytest.approx(drawing.late.x, abs=0.2)
    assert drawing.late.x + drawing.late.width == pytest.approx(WIDTH - MARGIN, abs=0.2)
    assert drawing.hours is not None
    assert all(MARGIN <= s.x <= s.x + s.width <= WIDTH - MARGIN + 0.2 for s in drawing.hours), "hours are cut to the picture"


def test_done_late_ends_there_and_withdrawn_is_not_late() -> None:
    closed = draw(told(stopped=5 * HOUR, over=True), 90 * DAY, None, LABELS)
    assert closed.end == 5 * HOUR
    assert closed.late is not None
    assert closed.late.end == 5 * HOUR
    assert [mark.label for mark in closed.marks] == ["started", "due", "finished"]
    kept = draw(told(stopped=3 * HOUR, breached=False, over=True), 90 * DAY, None, LABELS)
    assert kept.late is None
    assert kept.used is not None
    assert kept.used.end == 3 * HOUR


def test_each_pause_and_each_event_has_its_place() -> None:
    happened = ((HOUR, "evidence", "pause", "paused · e2"), (2 * HOUR, "evidence", "resume", "resumed · e3"))
    drawing = draw(
        told(happened=happened, pauses=[(HOUR, 2 * HOUR, "waiting for you"), (3 * HOUR, 3 * HOUR, "no time")]), 8 * HOUR, None, LABELS
    )
    [pause] = drawing.pauses
    assert (pause.start, pause.end, pause.why) == (HOUR, 2 * HOUR, "waiting for you")
    assert pause.width == pytest.approx((WIDTH - 2 * MARGIN) / 8, abs=0.2)
    marks = [mark for mark in drawing.marks if mark.kind == "evidence"]
    assert [(mark.x, mark.at, mark.label) for mark in marks] == [
        (pause.x, HOUR, "paused · e2"),
        (pytest.approx(pause.x + pause.width, abs=0.2), 2 * HOUR, "resumed · e3"),
    ]


def test_whatever_is_known_can_be_drawn() -> None:
    nothing = told(started=None, due=None, breached=False, over=True)
    for span in (SECOND, MINUTE, HOUR, DAY, 400 * DAY):
        happened = ((span, "statement", "opened", "BREACH"),)
        drawing = draw(told(started=0, due=None, over=True, happened=happened), 0, None, LABELS)
        assert 1 <= len(drawing.ticks) <= 8
    assert draw(nothing, 5, None, LABELS).marks == []
    assert bounds(nothing, 5) == (5, 5 + SECOND)


def test_a_sparkline_keeps_its_frame() -> None:
    for values in ((), (0,), (0, 0), (1, 5, 3), (1e9, 0)):
        for pair in sparkline(values).split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 120
            assert 0 <= y <= 28


AGREEMENT = """
apiVersion: slawatch/v1
kind: Calendar
name: office
timezone: Asia/Shanghai
hours: {mon-fri: ["09:00-12:00", "13:00-18:00"]}
---
apiVersion: slawatch/v1
kind: Agreement
name: desk
version: 3
vendor: acme
timezone: Asia/Shanghai
calendar: office
objectives:
  - {name: one, kind: deadline, start: a, stop: b, targets: [{within: 4h}]}
  - name: two
    kind: deadline
    start: a
    stop: b
    targets: [{when: 'data.p == 1', within: 4h, calendar: 24x7}, {when: 'data.p == 2', within: 8h, calendar: 24x7}, {within: 4h}]
"""


class Applied:
    """A store with one agreement."""

    def __init__(self, document: str) -> None:
        self._document = document

    async def put(self, agreement: AppliedAgreement) -> None: ...

    async def activated(self, name: str, version: int, at: int) -> None: ...

    async def all(self) -> list[AppliedAgreement]:
        return [AppliedAgreement(name="desk", version=3, digest="", document=self._document, applied_by="x", applied_at=0)]


async def test_open_hours_are_drawn_where_one_calendar_fits_and_never_guessed() -> None:
    catalogue = Catalogue(Applied(AGREEMENT), [], VirtualTime(0))
    start, end = parse_instant("2026-03-02T00:00:00Z"), parse_instant("2026-03-02T12:00:00Z")  # a Monday, 8 to 20 in Shanghai

    def data(objective: str, target_s: float | None, version: int = 3) -> VerdictData:
        said = verdict("opened", objective=objective, agreement="desk").data
        said.target_s, said.version = target_s, version
        return said

    assert catalogue.working_hours(data("one", 14_400), start, end) is None, "not read yet"
    await catalogue.read()
    hours = catalogue.working_hours(data("one", 14_400), start, end)
    assert hours == [(start + HOUR, start + 4 * HOUR), (start + 5 * HOUR, start + 10 * HOUR)]
    assert catalogue.working_hours(data("two", 28_800), start, end) == [(start, end)]
    assert catalogue.working_hours(data("two", 14_400), start, end) is None, "two calendars fit"
    assert catalogue.working_hours(data("one", 14_400, version=4), start, end) is None
    broken = Catalogue(Applied("kind: [nonsense"), [], VirtualTime(0))
    await broken.read()
    assert broken.objective_of("desk", 3, "one") is None


# ---- the proxy


def test_roles_of_groups_and_addresses_of_the_proxy() -> None:
    settings = Settings(proxy_addresses=["10.1.0.0/16", "::1"], proxy_roles=["sla-oncall=responder", "cn=boss,ou=x=manager"])
    proxy = proxy_of(settings)
    assert isinstance(proxy, TrustedProxy)
    assert [proxy.trusts(a) for a in ("10.1.2.3", "::1", "10.2.0.1", "127.0.0.1", "", "rubbish")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert proxy.role_of(["staff", "sla-oncall"]) == "responder"
    assert proxy.role_of(["viewer", "cn=boss,ou=x"]) == "manager"
    assert proxy.role_of(["staff", "vendor", "customer"]) is None
    assert proxy_of(Settings()) is None


@pytest.mark.parametrize("wrong", [{"proxy_addresses": ["not-an-address"]}, {"proxy_addresses": ["::1"], "proxy_roles": ["a=root"]}])
def test_wrong_settings_of_the_proxy_are_refused_at_the_start(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(BadSettings):
        proxy_of(Settings.model_validate(wrong))


# ---- panels


async def test_figures_of_gauges_rates_and_quantiles() -> None:
    registry, time = CollectorRegistry(), VirtualTime(0)
    gauge = Gauge("g", "x", ["state"], registry=registry)
    counter = Counter("c", "x", ["outcome"], registry=registry)
    histogram = Histogram("h", "x", buckets=(0.1, 1.0), registry=registry)
    own = [
        Panel("open", "notifier", "g", "gauge", labels={"state": "running"}),
        Panel("failures", "notifier", "c_total", "rate", labels={"outcome": "!sent"}),
        Panel("verdict", "notifier", "h", "p99"),
        Panel("accepted", "ingest", "there_total", "rate"),
        Panel("lag", "evaluator", "missing", "gauge"),
    ]
    panels = Panels(registry, {"ingest": "there", "evaluator": "away"}, time, own)
    served = 100

    async def fetch(url: str) -> str:
        if url == "away":
            raise ValueError("no answer")
        return f'# TYPE there counter\nthere_total{{vendor="a"}} {served}\nthere_total{{vendor="b"}} 1\n'

    gauge.labels("running").set(3)
    gauge.labels("paused").set(9)
    await panels.read(fetch)
    served = 150
    counter.labels("failed").inc(20)
    counter.labels("sent").inc(500)
    for _ in range(100):
        histogram.observe(0.05)
    await time.advance(10)
    await panels.read(fetch)
    figures = {figure.panel.key: figure.now for figure in panels.figures()}
    assert figures["open"] == 3
    assert figures["accepted"] == pytest.approx(5)
    assert figures["verdict"] == pytest.approx(0.099, abs=0.002)
    assert figures["lag"] is None
    assert panels.states == {"ingest": "", "evaluator": "no answer"}


# ---- two notifiers side by side


class Board:
    """A bulletin in memory: what one posts, all hear."""

    bytes_max = 600

    def __init__(self, all_: list["Board"]) -> None:
        self._all = all_
        self._heard: Callable[[str], None] = lambda _: None
        self.posted: list[str] = []

    async def open(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._all.append(self)

    async def post(self, notice: str) -> None:
        assert len(notice.encode()) <= self.bytes_max
        self.posted.append(notice)
        for board in self._all:
            board._heard(notice)

    async def close(self) -> None: ...


async def test_a_page_of_the_other_notifier_hears_of_a_change_once() -> None:
    boards: list[Board] = []
    hubs = [Hub(), Hub()]
    relays = [Relay(hub, Board(boards), SystemTime()) for hub in hubs]
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        await settle()
        assert len(boards) == 2
        with hubs[0].subscribe(None) as here, hubs[1].subscribe("acme") as there:
            for number in range(40):
                hubs[0].publish(Change("action", "acme", f"b{number}", frozenset({"open"}), {"by": "Ann"}))
            hubs[0].publish(Change("action", "acme", "large", frozenset({"open"}), {"text": "x" * 5_000}))
            hubs[0].publish(Change("action", "other", "b", frozenset({"open"}), {"by": "Ann"}))
            heard: list[Change] = []
            async with asyncio.timeout(5):
                while len(heard) < 41:
                    heard += (await there.take(1))[0]
            assert [change.breach_id for change in heard] == [*(f"b{n}" for n in range(40)), "large"]
            assert heard[0].data == {"by": "Ann"}
            assert heard[-1].data == {}, "what does not fit comes without its data: the page knows that it is stale"
            assert len((await here.take(1))[0]) == 42, "one's own come once"
            assert len(boards[0].posted) < 20, "many fit into one notice"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
