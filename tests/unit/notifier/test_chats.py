"""Slack, DingTalk, WeCom and Feishu: the exact request, what their answers mean, and that nothing hostile comes through."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.notifier.channels import chat
from services.notifier.channels.base import Channel
from services.notifier.channels.chat import Chat
from services.notifier.channels.robots import MARKUPS, Kind, Robot, dingtalk_sign, feishu_sign, judge_of
from services.notifier.core import Failed, Gone, Sent
from services.notifier.messages import compose
from services.notifier.texts import TEXTS_ZH
from shared.alerting.terms import Rate
from shared.sla.instants import MINUTE, SECOND
from tests.integration.notifier_kit import Answer, verdict
from tests.unit.notifier.kit import EVIL, NOW, PUBLIC_URL, TOKEN, answered, channel_to, clock, digest, linked, notice, notice_of, poster_to

SECRET = "SECdead1234567890"
KINDS: list[Kind] = ["dingtalk", "wecom", "feishu"]


def slack(url: str) -> Channel:
    return Chat("s", poster_to(url, clock(), chat.judge))


def bot(url: str) -> Channel:
    return Chat("s", poster_to(url, clock(), chat.judge, "xoxb-secret-1"), token="xoxb-secret-1", to="C42")


def robot(kind: Kind, secret: str = "", **more: Any) -> Any:
    return lambda url: Robot(
        "r", kind, poster_to(f"{url}?access_token=verysecret", clock(), judge_of(kind), secret), clock(), secret=secret, **more
    )


def everything(kind: Kind, body: bytes) -> str:
    """All that people would read of a message."""
    said = json.loads(body)
    if kind == "dingtalk":
        return str(said["markdown"]["title"] + "\n" + said["markdown"]["text"])
    if kind == "wecom":
        return str(said["markdown"]["content"])
    return str(said["card"]["header"]["title"]["content"] + "\n" + said["card"]["elements"][0]["text"]["content"])


# ---- Slack


async def test_slack_gets_one_text_with_facts_and_links() -> None:
    async with channel_to(slack, lambda _: (200, {}, b"ok")) as (channel, it):
        assert await channel.send(linked()) == Sent()
    [request] = it.requests
    said = json.loads(request.body)
    assert request.headers["content-type"] == "application/json"
    assert set(said) == {"text", "unfurl_links", "unfurl_media"}
    assert (said["unfurl_links"], said["unfurl_media"]) == (False, False), "nobody follows the links before people do"
    lines = said["text"].split("\n")
    assert lines[0] == ":red_circle: *BREACH* acme broke “resolution” for INC-42"
    assert "Due: 2026-03-02 09:00:00 UTC" in lines
    assert lines[-5:] == [
        "<https://sla.example/act/AAA|Acknowledge>",
        "<https://sla.example/act/BBB|Snooze for 2 h>",
        f"<{linked().messages[0].link}|Open it in slawatch>",
        "<https://wiki.example/run?a=1&amp;b=2|Runbook>",
        "<https://grafana.example/d/1|Dashboard>",
    ]


async def test_a_slack_bot_answers_in_the_thread_of_the_first_message() -> None:
    answers: list[Answer] = [(200, {}, b'{"ok":true,"ts":"1700000000.000100"}'), (200, {}, b'{"ok":true,"ts":"1700000009.000900"}')]
    async with channel_to(bot, lambda number: answers[min(number, 1)]) as (channel, it):
        first, closed = notice(), notice_of(verdict("closed", revision=1, stopped=NOW), "resolved")
        for told in (first, first._replace(reason="repeat"), closed, notice("another")):
            assert await channel.send(told) == Sent()
    said = [json.loads(request.body) for request in it.requests]
    assert [each.get("thread_ts") for each in said] == [None, "1700000000.000100", "1700000000.000100", None]
    assert [each.get("reply_broadcast") for each in said] == [None, True, False, None]
    assert {each["channel"] for each in said} == {"C42"}
    assert it.requests[0].headers["authorization"] == "Bearer xoxb-secret-1"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ((200, {}, b"ok"), Sent()),
        ((200, {}, b'{"ok":false,"error":"ratelimited"}'), Failed("Slack: ratelimited", 30_000)),
        ((200, {}, b'{"ok":false,"error":"channel_not_found"}'), Failed("Slack: channel_not_found")),
        ((200, {}, b'{"ok":false,"error":"is_archived"}'), Gone("Slack: is_archived")),
        ((200, {}, b'{"ok":false,"error":"msg_too_long"}'), Failed("Slack: msg_too_long", permanent=True)),
        ((400, {}, b"invalid_payload"), Failed("400 Slack: invalid_payload", permanent=True)),
        ((429, {"retry-after": "7"}, b""), Failed("429 Whatever", 7_000)),
        ((500, {}, b""), Failed("500 Whatever")),
        ((410, {}, b"channel_is_archived"), Gone("Slack: channel_is_archived")),
        ((404, {}, b"no_service"), Failed("404 Whatever")),
    ],
)
async def test_slacks_answers(answer: Answer, result: object) -> None:
    assert await answered(slack, answer) == result


async def test_row_24_slack_shows_what_others_wrote_as_it_is() -> None:
    async with channel_to(slack) as (channel, it):
        await channel.send(notice(EVIL))
    text = json.loads(it.requests[0].body)["text"]
    assert "<!channel>" not in text
    assert "<https://evil" not in text
    assert "&lt;!channel&gt;" in text
    assert text.count("*") == 2, "only our own bold"
    assert TOKEN[-20:] not in text
    assert text.endswith(f"<https://sla.example/breaches/{notice(EVIL).thread}|Open it in slawatch>")


async def test_a_message_that_is_too_long_loses_lines_and_keeps_its_links_whole() -> None:
    case = "&" * 5_000  # each becomes five characters
    async with channel_to(slack) as (channel, it):
        await channel.send(notice(case))
    text = json.loads(it.requests[0].body)["text"]
    assert len(text) < 3_100
    assert "…" in text
    assert text.endswith("|Open it in slawatch>")


# ---- robots


async def test_dingtalk_signs_in_the_query() -> None:
    async with channel_to(robot("dingtalk", SECRET)) as (channel, it):
        assert await channel.send(linked()) == Sent()
    [request] = it.requests
    query = parse_qs(urlsplit(request.target).query)
    assert query == {
        "access_token": ["verysecret"],
        "timestamp": ["1772442010000"],
        "sign": ["8N/rLGQcP8MQzpX7Wo+dgT3EbLE1Y77wvHD/bWfesUI="],
    }
    said = json.loads(request.body)
    assert said["msgtype"] == "markdown"
    assert said["at"] == {"isAtAll": False}
    assert said["markdown"]["title"] == "BREACH: acme broke “resolution” for INC-42"
    assert said["markdown"]["text"].startswith("**BREACH** acme broke “resolution” for INC-42\n\nPromise: ")
    assert "[Acknowledge](https://sla.example/act/AAA)" in said["markdown"]["text"]


async def test_feishu_signs_in_the_body_and_links_are_buttons() -> None:
    async with channel_to(robot("feishu", SECRET)) as (channel, it):
        assert await channel.send(linked()) == Sent()
    said = json.loads(it.requests[0].body)
    assert (said["timestamp"], said["sign"]) == ("1772442010", "mCCxkb2hI502/YvmPVCSmIvqKzEVKZqOb/wPhSFunGo=")
    assert said["msg_type"] == "interactive"
    head, [text, actions] = said["card"]["header"], said["card"]["elements"]
    assert head == {"title": {"tag": "plain_text", "content": "BREACH: acme broke “resolution” for INC-42"}, "template": "red"}
    assert text["text"]["tag"] == "plain_text"
    button = actions["actions"][0]
    assert (button["text"]["content"], button["url"]) == ("Acknowledge", "https://sla.example/act/AAA")


async def test_wecom_gets_markdown_and_none_sign_where_no_secret_is_set() -> None:
    for kind in KINDS:
        async with channel_to(robot(kind)) as (channel, it):
            assert await channel.send(notice()) == Sent()
        assert parse_qs(urlsplit(it.requests[0].target).query) == {"access_token": ["verysecret"]}
        assert "sign" not in json.loads(it.requests[0].body)
        if kind == "wecom":
            assert json.loads(it.requests[0].body)["msgtype"] == "markdown"


def test_signatures_are_those_that_openssl_makes() -> None:
    assert dingtalk_sign(SECRET, 1772442010000) == "8N/rLGQcP8MQzpX7Wo+dgT3EbLE1Y77wvHD/bWfesUI="
    assert feishu_sign(SECRET, 1772442010) == "mCCxkb2hI502/YvmPVCSmIvqKzEVKZqOb/wPhSFunGo="


@pytest.mark.parametrize(
    ("kind", "said", "result"),
    [
        ("dingtalk", {"errcode": 0, "errmsg": "ok"}, Sent()),
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, Failed("dingtalk 130101: send too fast", 10 * MINUTE)),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, Failed("dingtalk 310000: sign not match")),
        ("dingtalk", {"errcode": 400013, "errmsg": "群已被解散"}, Gone("dingtalk 400013: 群已被解散")),
        ("dingtalk", {"errcode": 430104, "errmsg": "x"}, Failed("dingtalk 430104: x", permanent=True)),
        ("dingtalk", {"errcode": -1}, Failed("dingtalk -1: no reason given", 30 * SECOND)),
        ("wecom", {"errcode": 0}, Sent()),
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, Failed("wecom 45009: api freq out of limit", MINUTE)),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, Failed("wecom 93000: invalid webhook url", permanent=True)),
        ("feishu", {"code": 0, "msg": "success"}, Sent()),
        ("feishu", {"StatusCode": 0, "StatusMessage": "success"}, Sent()),
        ("feishu", {"code": 11232, "msg": "frequency limited"}, Failed("feishu 11232: frequency limited", MINUTE)),
        ("feishu", {"code": 9499, "msg": "too many request"}, Failed("feishu 9499: too many request", MINUTE)),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, Failed("feishu 19021: sign match fail")),
        ("feishu", {"code": 77777, "msg": "new"}, Failed("feishu 77777: new")),
    ],
)
async def test_200_is_not_success_the_code_in_the_body_is(kind: Kind, said: dict[str, object], result: object) -> None:
    assert await answered(robot(kind), (200, {}, json.dumps(said, ensure_ascii=False).encode())) == result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b"<html>login</html>", b"[]", b'{"errcode":"0"}', b'{"errcode":null}', b"\xff\xfe"])
async def test_an_answer_that_is_no_robots_is_no_success(kind: Kind, body: bytes) -> None:
    assert isinstance(await answered(robot(kind), (200, {}, body)), Failed)


@pytest.mark.parametrize("kind", KINDS)
async def test_row_20_what_status_codes_mean_for_robots(kind: Kind) -> None:
    assert await answered(robot(kind), (429, {"retry-after": "3"}, b"")) == Failed("429 Whatever", 3_000)
    assert await answered(robot(kind), (500, {}, b"")) == Failed("500 Whatever")
    assert isinstance(await answered(robot(kind), (410, {}, b"")), Gone)
    assert await answered(robot(kind), (302, {"location": "http://169.254.169.254/"}, b"")) == Failed("302: redirects are not followed")
    slow = lambda url: Robot("r", kind, poster_to(url, clock(), timeout_s=0.1), clock())  # noqa: E731
    assert await answered(slow, None) == Failed("no answer within 0.1 s")


@pytest.mark.parametrize("kind", KINDS)
async def test_row_24_robots_show_what_others_wrote_as_it_is(kind: Kind) -> None:
    async with channel_to(robot(kind)) as (channel, it):
        await channel.send(notice(EVIL))
    text = everything(kind, it.requests[0].body)
    assert TOKEN[-20:] not in text
    assert "\r" not in text
    assert "Bcc: eve@example.com\n" not in text
    if kind != "feishu":  # whose plain text element takes everything as it is
        assert not set("<>`~#") & set(text)
        assert "@all" not in text
        assert text.count("](") == 1, "only our own link"


@pytest.mark.parametrize("kind", KINDS)
async def test_row_24_an_error_that_quotes_the_address_is_masked(kind: Kind) -> None:
    echo = json.dumps({"errcode": 40035, "code": 40035, "errmsg": "bad url ?access_token=verysecret\r\nX: y", "msg": "verysecret"}).encode()
    result = await answered(robot(kind, SECRET), (200, {}, echo))
    assert isinstance(result, Failed)
    assert "verysecret" not in result.error
    assert not set("\r\n") & set(result.error)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_digest_fits_says_how_many_and_links_each(kind: Kind) -> None:
    async with channel_to(robot(kind)) as (channel, it):
        assert await channel.send(digest(50, total=10_000)) == Sent()
    [request] = it.requests
    assert MARKUPS[kind].size(everything(kind, request.body)) <= MARKUPS[kind].most + 500
    text = everything(kind, request.body)
    assert "10000 alerts of acme" in text
    assert "34 of these 50 still open" in text
    assert "more: see slawatch" in text
    assert "/breaches/" in text


@pytest.mark.parametrize("kind", KINDS)
async def test_chinese_within_wecoms_bytes(kind: Kind) -> None:
    said = verdict("opened", "工单" * 2_000, revision=0)
    make = lambda url: Robot("r", kind, poster_to(url, clock(), judge_of(kind)), clock(), TEXTS_ZH)  # noqa: E731
    async with channel_to(make) as (channel, it):
        assert await channel.send(notice_of(said, "escalation", compose(said, PUBLIC_URL))) == Sent()
    text = everything(kind, it.requests[0].body)
    assert "升级 · 违约" in text
    assert kind != "wecom" or len(text.encode()) <= 4_096
    assert "在 slawatch 中打开" in it.requests[0].body.decode()


def test_each_kind_has_the_limit_of_its_vendor() -> None:
    poster = poster_to("http://127.0.0.1:1/", clock())
    limits = {kind: Robot("r", kind, poster, clock()).limit for kind in KINDS}
    assert limits == {"dingtalk": Rate(20, MINUTE), "wecom": Rate(20, MINUTE), "feishu": Rate(100, MINUTE)}
    assert Robot("r", "wecom", poster, clock(), limit=Rate(5, MINUTE)).limit == Rate(5, MINUTE)
    assert Chat("s", poster).limit == Rate(1, SECOND)
