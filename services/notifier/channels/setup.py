"""The channels of an installation: those of its Routing file, or without one those that the settings name."""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.notifier.channels import alertmanager, chat, pagerduty
from services.notifier.channels.alertmanager import Alertmanager
from services.notifier.channels.anything import LIMIT as APPRISE_LIMIT
from services.notifier.channels.anything import Anything
from services.notifier.channels.base import Channel
from services.notifier.channels.breaker import Breaker
from services.notifier.channels.chat import Chat
from services.notifier.channels.http import Judge, PinnedTransport, Poster
from services.notifier.channels.layout import PLAIN, markdown_escape
from services.notifier.channels.mail import LIMIT as MAIL_LIMIT
from services.notifier.channels.mail import History, Mail, Server, no_history, server_of
from services.notifier.channels.pagerduty import PagerDuty
from services.notifier.channels.robots import Kind, Robot, judge_of
from services.notifier.channels.webhook import PREFIX, Webhook
from services.notifier.texts import LANGUAGES
from shared.alerting.terms import (
    AlertmanagerTerms,
    AnyChannel,
    AppriseTerms,
    DingtalkTerms,
    FeishuTerms,
    MailTerms,
    PagerdutyTerms,
    Routing,
    Secret,
    SlackTerms,
    WebhookTerms,
    WecomTerms,
)
from shared.language.templates import BadTemplate, Template, read_template
from shared.ports.time import TimeSource
from shared.runtime.credentials import secret_file
from shared.runtime.settings import BadSettings, Settings

SECRET_FILE: Final = "webhook_secret"  # noqa: S105  # the file's name
FILE_BYTES_MAX: Final = 65_536


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


def channels_of(
    settings: Settings,
    routing: Routing | None,
    time: TimeSource,
    *,
    history: History = no_history,
    environ: Mapping[str, str] = os.environ,
) -> list[Channel]:
    """One channel per address, each behind its circuit breaker. `history` gives mails their timeline.

    Raises BadSettings, which names the variable, file or channel and quotes no secret.
    """
    maker = _Maker(settings, time, history, environ, Path(routing.folder) if routing is not None else Path())
    if routing is None:
        made = maker.of_settings()
    else:
        made = [maker.of_terms(terms) for receiver in routing.receivers.values() for terms in receiver]
    return [Breaker(channel, time) for channel in made]


class _Maker:
    """Makes channels from what the settings and a Routing file say."""

    def __init__(self, settings: Settings, time: TimeSource, history: History, environ: Mapping[str, str], folder: Path) -> None:
        self._settings, self._time, self._history, self._environ, self._folder = settings, time, history, environ, folder

    def of_settings(self) -> list[Channel]:
        settings, channels = self._settings, list[Channel]()
        for url in dict.fromkeys(settings.webhooks):
            poster = self._poster("SLAWATCH_WEBHOOKS", url)
            channels.append(self._webhook(name_of("webhook", url), poster, ""))
        for url in dict.fromkeys(settings.chat_webhooks):
            channels.append(Chat(name_of("chat", url), self._poster("SLAWATCH_CHAT_WEBHOOKS", url, chat.judge)))
        if settings.smtp.get_secret_value():
            if not settings.mail_to:
                raise BadSettings("SLAWATCH_MAIL_TO: say who gets the mails, or leave SLAWATCH_SMTP empty")
            server = self._server()
            channels.append(Mail(f"mail-{server.host}", server, settings.mail_from, settings.mail_to, self._time, history=self._history))
        return channels

    def of_terms(self, terms: AnyChannel) -> Channel:
        name, texts, time = terms.name, LANGUAGES[terms.language], self._time
        match terms:
            case WebhookTerms():
                if terms.template is not None:
                    raise BadSettings(f"{name}: a webhook is the verdict itself and takes no template")
                channel: Channel = self._webhook(
                    name, self._poster(name, self._text(name, terms.url)), self._secret(name, terms.secret), terms
                )
            case SlackTerms():
                channel = self._slack(terms)
            case DingtalkTerms() | WecomTerms() | FeishuTerms():
                kind: Kind = "dingtalk" if isinstance(terms, DingtalkTerms) else "wecom" if isinstance(terms, WecomTerms) else "feishu"
                secret = "" if isinstance(terms, WecomTerms) else self._secret(name, terms.secret)
                poster = self._poster(name, self._text(name, terms.url), judge_of(kind), secret)
                channel = Robot(name, kind, poster, time, texts, secret=secret, template=self._template(terms), limit=terms.rate)
            case PagerdutyTerms():
                key = self._secret(name, terms.routing_key)
                poster = self._poster(name, terms.url, pagerduty.judge, key)
                channel = PagerDuty(name, poster, key, texts, template=self._template(terms), limit=terms.rate or pagerduty.LIMIT)
            case AlertmanagerTerms():
                url = self._text(name, terms.url).rstrip("/").removesuffix(alertmanager.PATH) + alertmanager.PATH
                poster = self._poster(name, url, alertmanager.judge)
                channel = Alertmanager(name, poster, time, texts, template=self._template(terms), limit=terms.rate)
            case MailTerms():
                if not self._settings.smtp.get_secret_value():
                    raise BadSettings(f"{name}: set SLAWATCH_SMTP, the mail server")
                server, sender = self._server(), self._settings.mail_from
                template, limit = self._template(terms), terms.rate or MAIL_LIMIT
                channel = Mail(name, server, sender, terms.to, time, texts, history=self._history, template=template, limit=limit)
            case AppriseTerms():
                private, limit = self._settings.allow_private_webhooks, terms.rate or APPRISE_LIMIT
                address = self._secret(name, terms.url)
                try:
                    channel = Anything(name, address, texts, allow_private=private, template=self._template(terms), limit=limit)
                except ValueError as wrong:
                    raise BadSettings(str(wrong)) from None
        return channel

    def _slack(self, terms: SlackTerms) -> Channel:
        name, token = terms.name, self._secret(terms.name, terms.token)
        if (terms.url is None) == (terms.token is None) or (terms.to is None) != (terms.token is None):
            raise BadSettings(f"{name}: write either url (an incoming webhook), or token and to (a bot and the channel's id)")
        poster = self._poster(name, chat.API if terms.url is None else self._secret(name, terms.url), chat.judge, token)
        return Chat(
            name,
            poster,
            LANGUAGES[terms.language],
            token=token,
            to=terms.to or "",
            template=self._template(terms),
            limit=terms.rate or chat.LIMIT,
        )

    def _webhook(self, name: str, poster: Poster, secret: str, terms: WebhookTerms | None = None) -> Webhook:
        try:
            return Webhook(
                name, poster, secret or webhook_secret(self._settings), self._time, limit=terms.rate if terms is not None else None
            )
        except ValueError as wrong:
            raise BadSettings(f"{name}: {wrong}") from None

    def _poster(self, where: str, url: str, judge: Judge = lambda status, body: None, *secrets: str) -> Poster:
        try:
            parts = urlsplit(url)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and parts.port != 0
        except ValueError:
            fine = False
        if not fine:
            raise BadSettings(f"{where}: addresses look like https://host/path")
        transport = PinnedTransport(allow_private=self._settings.allow_private_webhooks)
        return Poster(url, transport, self._time, judge=judge, secrets=secrets)

    def _server(self) -> Server:
        try:
            return server_of(self._settings.smtp.get_secret_value())
        except ValueError as wrong:
            raise BadSettings(str(wrong)) from None

    def _text(self, name: str, value: str | Secret) -> str:
        return value if isinstance(value, str) else self._secret(name, value)

    def _secret(self, name: str, secret: Secret | None) -> str:
        """What a secret's place holds; empty: there is none."""
        if secret is None:
            return ""
        if secret.env is not None:
            value, place = self._environ.get(secret.env, "").strip(), f"environment variable {secret.env}"
        else:
            value, place = self._read(name, secret.file or "", "secret").strip(), f"file {secret.file}"
        if not value:
            raise BadSettings(f"{name}: the {place} is empty or missing")
        return value

    def _template(self, terms: AnyChannel) -> Template | None:
        if terms.template is None:
            return None
        escape = (
            chat.escape
            if isinstance(terms, SlackTerms)
            else markdown_escape
            if isinstance(terms, DingtalkTerms | WecomTerms)
            else PLAIN.escape
        )
        try:
            return read_template(self._folder / terms.template, escape)
        except BadTemplate as wrong:
            raise BadSettings(f"{terms.name}: template {terms.template}: {wrong}") from None

    def _read(self, name: str, file: str, what: str) -> str:
        path = self._folder / file
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise BadSettings(f"{name}: the {what} {file} has more than {FILE_BYTES_MAX} bytes")
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as wrong:
            raise BadSettings(
                f"{name}: the {what} {file} cannot be read: {wrong.strerror if isinstance(wrong, OSError) else wrong}"
            ) from None
