"""Channels of a Routing file: each kind is made, with its secrets from where they are named, and what is wrong is said without them."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.notifier.channels.setup import channels_of
from services.notifier.core import Sent
from shared.adapters.memory.time import VirtualTime
from shared.alerting.terms import (
    AlertmanagerTerms,
    AnyChannel,
    AppriseTerms,
    DingtalkTerms,
    FeishuTerms,
    MailTerms,
    PagerdutyTerms,
    Rate,
    Route,
    Routing,
    Secret,
    SlackTerms,
    WebhookTerms,
    WecomTerms,
)
from shared.runtime.settings import BadSettings, Settings
from shared.sla.instants import MINUTE
from tests.integration.notifier_kit import WEBHOOK_SECRET, receiver
from tests.unit.notifier.kit import NOW, notice

ENVIRON = {
    "HOOK": "https://hook.example/T0/hunter2hunter2",
    "KEY": "R0UTINGKEYhunter2",
    "SIGN": "SEChunter2hunter2",
    "EMPTY": "  ",
    "JSON": "jsons://hook.example/hunter2",
    "BAD": "ftp://hunter2",
    "STANDARD": WEBHOOK_SECRET,
}
HOOK, KEY, SIGN = Secret(env="HOOK"), Secret(env="KEY"), Secret(env="SIGN")


def made(home: Path, *terms: AnyChannel, environ: dict[str, str] | None = None, **settings: Any) -> list[Any]:
    values = {"home": home, "smtp": "smtp://mail.example", "mail_from": "sla@example.com"} | settings
    routing = Routing(name="r", receivers={"on-call": terms}, route=Route(name="root"), folder=str(home))
    return list(channels_of(Settings.model_validate(values), routing, VirtualTime(NOW), environ=environ or ENVIRON))


async def test_every_kind_is_made_with_its_name_and_its_limit(tmp_path: Path) -> None:
    (tmp_path / "sign").write_text("SECfromfile\n")
    (tmp_path / "own.txt").write_text("{{ case }}")
    channels = made(
        tmp_path,
        WebhookTerms(name="o/webhook", url="https://hook.example/", secret=Secret(env="STANDARD")),
        SlackTerms(name="o/slack", url=HOOK, template="own.txt", rate=Rate(7, MINUTE)),
        SlackTerms(name="o/slack-2", token=KEY, to="C1"),
        DingtalkTerms(name="o/dingtalk", url=HOOK, secret=Secret(file="sign"), language="zh"),
        WecomTerms(name="o/wecom", url=HOOK),
        FeishuTerms(name="o/feishu", url=HOOK, secret=SIGN),
        PagerdutyTerms(name="o/pagerduty", routing_key=KEY),
        AlertmanagerTerms(name="o/alertmanager", url="https://alerts.example/"),
        MailTerms(name="o/mail", to=("ann@example.com",)),
        AppriseTerms(name="o/apprise", url=Secret(env="JSON")),
    )
    assert [channel.name for channel in channels] == [
        *("o/webhook", "o/slack", "o/slack-2", "o/dingtalk", "o/wecom", "o/feishu", "o/pagerduty", "o/alertmanager", "o/mail", "o/apprise")
    ]
    limits = {channel.name: channel.limit for channel in channels}
    assert limits["o/slack"] == Rate(7, MINUTE)
    assert limits["o/wecom"] == Rate(20, MINUTE)
    assert limits["o/webhook"] is None
    assert [channel.name for channel in channels if channel.resend] == ["o/alertmanager"]
    for channel in channels:
        await channel.close()


async def test_a_channel_of_the_file_sends_with_its_template_to_where_the_variable_says(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine: {{ case }}")
    async with receiver(lambda _: (200, {}, b"ok")) as it:
        terms = SlackTerms(name="o/slack", url=Secret(env="URL"), template="own.txt")
        [channel] = made(tmp_path, terms, environ={"URL": it.url}, allow_private_webhooks=True)
        assert await channel.send(notice()) == Sent()
        await channel.close()
    assert json.loads(it.requests[0].body)["text"] == ":red_circle: mine: INC-42"


async def test_row_22_private_addresses_are_refused_unless_allowed(tmp_path: Path) -> None:
    async with receiver() as it:
        for terms in (
            WebhookTerms(name="w", url=it.url),
            SlackTerms(name="s", url=Secret(env="URL")),
            DingtalkTerms(name="d", url=Secret(env="URL")),
            PagerdutyTerms(name="p", routing_key=Secret(env="URL"), url=it.url),
            AlertmanagerTerms(name="a", url=it.url),
            AppriseTerms(name="x", url=Secret(env="JSON")),
        ):
            [channel] = made(tmp_path, terms, environ={"URL": it.url, "JSON": it.url.replace("http:", "json:")})
            result = await channel.send(notice())
            assert not isinstance(result, Sent), terms
            await channel.close()
    assert it.requests == []


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        (SlackTerms(name="o/slack", url=Secret(env="MISSING")), "o/slack: the environment variable MISSING is empty or missing"),
        (SlackTerms(name="o/slack", url=Secret(env="EMPTY")), "EMPTY is empty or missing"),
        (SlackTerms(name="o/slack", url=Secret(env="BAD")), "o/slack: addresses look like"),
        (SlackTerms(name="o/slack", url=HOOK, token=KEY, to="C1"), "either url"),
        (SlackTerms(name="o/slack", token=KEY), "either url"),
        (WecomTerms(name="o/wecom", url=Secret(file="nowhere")), "o/wecom: the secret nowhere cannot be read"),
        (WecomTerms(name="o/wecom", url=HOOK, template="bad.txt"), r"o/wecom: template bad.txt: line 2"),
        (WecomTerms(name="o/wecom", url=HOOK, template="huge.txt"), "huge.txt: longer than"),
        (WebhookTerms(name="o/webhook", url="https://hook.example/", template="bad.txt"), "takes no template"),
        (WebhookTerms(name="o/webhook", url="https://hook.example/", secret=SIGN), "o/webhook: .*whsec_"),
        (AppriseTerms(name="o/apprise", url=SIGN), "not an address that Apprise knows"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_quoted(tmp_path: Path, terms: AnyChannel, says: str) -> None:
    (tmp_path / "bad.txt").write_text("fine\n{% set x = 1 %}")
    (tmp_path / "huge.txt").write_text("x" * 70_000)
    with pytest.raises(BadSettings, match=says) as refused:
        made(tmp_path, terms)
    assert "hunter2" not in str(refused.value)


def test_mail_needs_a_server(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="SLAWATCH_SMTP"):
        made(tmp_path, MailTerms(name="o/mail", to=("a@example.com",)), smtp="")
