"""E-mail by SMTP: plain text and simple HTML, all mails of one breach in one thread."""

import asyncio
import re
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from html import escape
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib

from services.notifier.channels.base import Notice
from services.notifier.core import Failed, Result, Sent
from services.notifier.messages import Message
from services.notifier.texts import TEXTS, Texts
from shared.ports.time import TimeSource

TIMEOUT_S: Final = 20.0
_DOMAIN: Final = "slawatch.invalid"  # of message ids: unique by their first half, and nobody's
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


class Server(NamedTuple):
    """Where mail is handed in."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None


def server_of(url: str) -> Server:
    """`smtp://[user:password@]host[:port]`, `smtps://` for TLS from the start. Raises ValueError, which does not quote the URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("SLAWATCH_SMTP must be smtp://[user:password@]host:port or smtps://…")
    tls = parts.scheme == "smtps"
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    return Server(parts.hostname, parts.port or (465 if tls else 587 if username else 25), tls, username, password)


def line(text: str) -> str:
    """A text for a header: one line, so that nobody can add headers of his own."""
    return _CONTROLS.sub(" ", text).strip()[:250]


def render(notice: Notice, sender: str, recipients: Sequence[str], date_s: float, texts: Texts = TEXTS) -> EmailMessage:
    """The mail of a notice. Its id is that of the verdict, so that a mail sent twice can be told from two mails."""
    message = notice.message
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Subject"] = line(f"[slawatch] {message.subject}")
    mail["Date"] = formatdate(date_s)
    mail["Message-ID"] = f"<{line(notice.verdict_id)}@{_DOMAIN}>"
    thread = f"<{line(message.thread)}@{_DOMAIN}>"
    mail["In-Reply-To"], mail["References"] = thread, thread
    mail["Auto-Submitted"] = "auto-generated"
    facts = "\n".join(f"{label + ':':14} {line(value)}" for label, value in message.facts)
    link = f"\n\n{texts('open')}: {message.link}" if message.link else ""
    mail.set_content(f"{line(message.subject)}\n\n{facts}{link}\n\n-- \n{texts('why.mail')}\n")
    mail.add_alternative(_html(message, texts), subtype="html")
    return mail


def _html(message: Message, texts: Texts) -> str:
    cell = "padding:2px 16px 2px 0;vertical-align:top"
    rows = "".join(
        f'<tr><td style="{cell};color:#555">{escape(label)}</td><td style="{cell}">{escape(value)}</td></tr>'
        for label, value in message.facts
    )
    link = f'<p><a href="{escape(message.link)}">{escape(texts("open"))}</a></p>' if message.link else ""
    return (
        f'<html lang="{texts.language}"><body style="font-family:sans-serif;font-size:15px;color:#111">'
        f'<h1 style="font-size:18px">{escape(message.tag)}: {escape(message.headline)}</h1>'
        f'<table style="border-collapse:collapse;font-size:15px">{rows}</table>{link}'
        f'<p style="color:#777;font-size:12px">{escape(texts("why.mail"))}</p></body></html>'
    )


class Mail:
    """`services.notifier.channels.base.Channel` to a mail server; one connection per mail."""

    lanes = 2

    def __init__(self, name: str, server: Server, sender: str, recipients: Sequence[str], time: TimeSource) -> None:
        self.name, self._server, self._sender, self._recipients, self._time = name, server, sender, list(recipients), time

    async def send(self, notice: Notice) -> Result:
        server = self._server
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await aiosmtplib.send(
                    render(notice, self._sender, self._recipients, self._time.wall() / 1000),
                    sender=self._sender,
                    recipients=self._recipients,
                    hostname=server.host,
                    port=server.port,
                    use_tls=server.tls,
                    username=server.username,
                    password=server.password,
                    timeout=TIMEOUT_S,
                )
        except aiosmtplib.SMTPResponseException as wrong:
            return Failed(f"{wrong.code} {wrong.message}", permanent=500 <= wrong.code < 600)
        except aiosmtplib.SMTPRecipientsRefused as wrong:
            codes = [refused.code for refused in wrong.recipients]
            return Failed(f"recipients refused: {codes}", permanent=all(500 <= code < 600 for code in codes))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as wrong:
            return Failed(f"{type(wrong).__name__}: {wrong}".rstrip(": "))
        return Sent()

    async def close(self) -> None:
        """Nothing is kept open."""
