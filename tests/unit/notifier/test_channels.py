"""Channels: what goes out, how it is signed and escaped, where it may go, what answers mean."""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from services.notifier.channels.base import Notice
from services.notifier.channels.http import PinnedTransport, Poster, Refused, is_public, retry_after_of
from services.notifier.channels.mail import server_of
from services.notifier.channels.setup import channels_of
from services.notifier.channels.webhook import BadSecret, Webhook, key_of
from services.notifier.core import Failed, Gone, Result, Sent
from services.notifier.messages import compose
from shared.adapters.system_time import SystemTime
from shared.runtime.settings import BadSettings, Settings
from shared.wire import verdicts
from tests.integration.notifier_kit import START, WEBHOOK_SECRET, Answer, receiver, verdict

TIME = SystemTime()


def notice(case: str = "INC-42") -> Notice:
    said = verdict("opened", case, revision=0)
    return Notice(said.id, said.data.breach_id, "first", (compose(said, "https://sla.example"),), (verdicts.encode(said),))


def answers(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolver(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolver


class Inner(httpx2.AsyncBaseTransport):
    """Stands where sockets would be opened; notes what for."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(204)


async def post_to(answer: Answer, *, timeout_s: float = 5) -> Result:
    async with receiver(lambda _: answer) as it:
        poster = Poster(it.url, PinnedTransport(allow_private=True), TIME, timeout_s=timeout_s)
        try:
            return await poster.post(b"{}", {})
        finally:
            await poster.close()


async def test_a_webhook_is_the_verdict_signed_and_a_retry_has_the_same_id() -> None:
    async with receiver() as it:
        channel = Webhook("w", Poster(it.url, PinnedTransport(allow_private=True), TIME), WEBHOOK_SECRET, TIME)
        told = notice()
        assert await channel.send(told) == Sent()
        assert await channel.send(told) == Sent()
        await channel.close()
    first, second = it.requests
    assert first.body == told.bodies[0]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == told.key
    key = base64.b64decode(WEBHOOK_SECRET[len("whsec_") :])
    signed = f"{told.key}.{first.headers['webhook-timestamp']}.".encode() + first.body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert first.headers["webhook-signature"] == f"v1,{mac}"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "AA==" * 1])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(BadSecret) as refused:
        key_of(secret)
    assert not secret or secret not in str(refused.value) or secret == "whsec_"


async def test_row_20_answers_and_what_they_mean() -> None:
    assert await post_to((200, {})) == Sent()
    assert isinstance(await post_to((410, {})), Gone)
    assert await post_to((302, {"location": "http://169.254.169.254/"})) == Failed("302: redirects are not followed")
    assert await post_to((429, {"retry-after": "120"})) == Failed("429 Whatever", 120_000)
    assert await post_to((500, {})) == Failed("500 Whatever")
    assert await post_to(None, timeout_s=0.2) == Failed("no answer within 0.2 s")
    nobody = Poster("http://127.0.0.1:1/", PinnedTransport(allow_private=True), TIME)
    assert isinstance(await nobody.post(b"{}", {}), Failed)
    await nobody.close()


def test_retry_after_as_seconds_date_or_rubbish() -> None:
    assert retry_after_of("7", START) == 7_000
    assert retry_after_of("Mon, 02 Mar 2026 08:01:00 GMT", START) == 60_000
    assert retry_after_of("Mon, 02 Mar 2020 08:01:00 GMT", START) == 0
    assert retry_after_of("soon", START) is None
    assert retry_after_of(None, START) is None


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_row_22_webhooks_never_go_to_private_addresses(address: str) -> None:
    assert not is_public(address)
    inner = Inner()
    transport = PinnedTransport(allow_private=False, resolver=answers("93.184.215.14", address), inner=inner)
    with pytest.raises(Refused):
        await transport.handle_async_request(httpx2.Request("POST", "https://innocent.example/hook"))
    assert inner.requests == [], "one bad address among good ones is enough"


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


async def test_row_22_the_address_that_was_checked_is_the_one_connected_to() -> None:
    lookups = []

    async def flipping(host: str, port: int) -> list[str]:
        lookups.append(host)
        return ["93.184.215.14"] if len(lookups) == 1 else ["127.0.0.1"]

    inner = Inner()
    client = httpx2.AsyncClient(transport=PinnedTransport(allow_private=False, resolver=flipping, inner=inner), trust_env=False)
    await client.post("https://innocent.example/hook")
    [request] = inner.requests
    assert request.url.host == "93.184.215.14"
    assert request.headers["host"] == "innocent.example"
    assert request.extensions["sni_hostname"] == "innocent.example"
    with pytest.raises(Refused):
        await client.post("https://innocent.example/hook")
    await client.aclose()


def test_mail_server_addresses() -> None:
    assert server_of("smtp://mail.example")[:3] == ("mail.example", 25, False)
    assert server_of("smtps://u%40x:p%3Aw@mail.example") == ("mail.example", 465, True, "u@x", "p:w")
    with pytest.raises(ValueError, match="SLAWATCH_SMTP") as refused:
        server_of("http://user:hunter2@mail.example")
    assert "hunter2" not in str(refused.value)


def settings(home: Path, **values: object) -> Settings:
    return Settings.model_validate({"home": home, **values})


async def test_channels_are_named_without_secrets_and_the_webhook_secret_is_made_once(tmp_path: Path) -> None:
    secret = "T0/B1/verysecret"
    made = settings(tmp_path, webhooks=["https://h.example/a"], chat_webhooks=[f"https://chat.example/{secret}"])
    first = channels_of(made, None, TIME)
    assert [channel.name.rsplit("-", 1)[0] for channel in first] == ["webhook-h.example", "chat-chat.example"]
    assert not any(secret in channel.name for channel in first)
    assert (tmp_path / "webhook_secret").stat().st_mode & 0o777 == 0o600
    kept = (tmp_path / "webhook_secret").read_text()
    second = channels_of(made, None, TIME)
    assert (tmp_path / "webhook_secret").read_text() == kept
    for channel in (*first, *second):
        await channel.close()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"webhooks": ["ftp://x"]}, "SLAWATCH_WEBHOOKS"),
        ({"smtp": "smtp://mail.example"}, "SLAWATCH_MAIL_TO"),
        ({"smtp": "mail.example", "mail_to": ["a@example.com"]}, "SLAWATCH_SMTP"),
        ({"webhooks": ["https://h.example"], "webhook_secret": "hunter2"}, "SLAWATCH_WEBHOOK_SECRET"),
    ],
)
def test_wrong_settings_are_named_and_secrets_not_quoted(tmp_path: Path, values: dict[str, object], says: str) -> None:
    with pytest.raises(BadSettings, match=says) as refused:
        channels_of(settings(tmp_path, **values), None, TIME)
    assert "hunter2" not in str(refused.value)
