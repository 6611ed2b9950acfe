"""The channels that this installation's settings name."""

import base64
import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from services.notifier.channels.base import Channel
from services.notifier.channels.chat import Chat
from services.notifier.channels.http import PinnedTransport, Poster
from services.notifier.channels.mail import Mail, server_of
from services.notifier.channels.webhook import PREFIX, Webhook
from shared.ports.time import TimeSource
from shared.runtime.credentials import secret_file
from shared.runtime.settings import BadSettings, Settings

SECRET_FILE = "webhook_secret"  # noqa: S105  # the file's name


def webhook_secret(settings: Settings) -> str:
    """`SLAWATCH_WEBHOOK_SECRET`, else that of a file in the home directory (mode 0600), made once: `whsec_…`."""
    given = settings.webhook_secret.get_secret_value()
    return given or secret_of(settings.home / SECRET_FILE)


def secret_of(path: Path) -> str:
    """The secret in Standard Webhooks' form that a file's random hex digits stand for."""
    return PREFIX + base64.b64encode(bytes.fromhex(secret_file(path).decode().strip())).decode()


def name_of(kind: str, url: str) -> str:
    """A channel's name: kind, host and a few digits of the address's hash, since addresses may hold secrets. Order does not matter."""
    return f"{kind}-{urlsplit(url).hostname}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"


def channels_of(settings: Settings, time: TimeSource) -> list[Channel]:
    """One channel per address. Raises BadSettings, which names the variable and quotes no secret."""
    try:
        for variable, urls in (("SLAWATCH_WEBHOOKS", settings.webhooks), ("SLAWATCH_CHAT_WEBHOOKS", settings.chat_webhooks)):
            for url in urls:
                if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                    raise BadSettings(f"{variable}: addresses look like https://host/path")

        def poster(url: str) -> Poster:
            return Poster(url, PinnedTransport(allow_private=settings.allow_private_webhooks), time)

        secret = webhook_secret(settings) if settings.webhooks else ""
        channels: list[Channel] = [Webhook(name_of("webhook", url), poster(url), secret, time) for url in dict.fromkeys(settings.webhooks)]
        channels += [Chat(name_of("chat", url), poster(url)) for url in dict.fromkeys(settings.chat_webhooks)]
        smtp = settings.smtp.get_secret_value()
        if smtp:
            if not settings.mail_to:
                raise BadSettings("SLAWATCH_MAIL_TO: say who gets the mails, or leave SLAWATCH_SMTP empty")
            server = server_of(smtp)
            channels.append(Mail(f"mail-{server.host}", server, settings.mail_from, settings.mail_to, time))
    except ValueError as wrong:
        raise BadSettings(str(wrong)) from None
    return channels
