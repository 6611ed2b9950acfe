"""E-mail by SMTP: plain text and simple HTML with the timeline, all mails of one breach in one thread."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from html import escape
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from services.notifier.channels.base import Notice
from services.notifier.channels.http import masked
from services.notifier.channels.layout import PLAIN, Layout, is_group
from services.notifier.core import Failed, Result, Sent
from services.notifier.messages import Past, clean, instant
from services.notifier.texts import TEXTS, Texts
from shared.alerting.terms import Rate
from shared.language.templates import Template
from shared.ports.time import TimeSource
from shared.sla.instants import MINUTE, format_instant

TIMEOUT_S: Final = 20.0
LIMIT: Final = Rate(60, MINUTE)
History = Callable[[str], Awaitable[tuple[Past, ...] | None]]
log = structlog.get_logger()
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


def _message_id(text: str, sender: str) -> str:
    """An id of ours: the same for the same text, so that a mail sent twice can be told from two mails."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return f"<{hashlib.sha256(text.encode()).hexdigest()[:40]}@{line(domain) or 'slawatch.invalid'}>"


def _told(past: Past, texts: Texts) -> tuple[str, str]:
    """A line of the timeline: when, and what in words."""
    what = texts("tag." + past.what) if "tag." + past.what in texts else past.what
    if past.who:
        action = texts("timeline." + past.what) if "timeline." + past.what in texts else past.what
        what = texts("timeline.action", action=action, who=clean(past.who))
    return instant(format_instant(past.at)), f"{what}: {clean(past.text)}" if past.text else what


class Letter(NamedTuple):
    """What a mail is made of. `history`: None: it could not be read."""

    notice: Notice
    history: tuple[Past, ...] | None = ()


def render(letter: Letter, sender: str, recipients: Sequence[str], date_s: float, layout: Layout) -> EmailMessage:
    """The mail of a notice."""
    notice, texts = letter.notice, layout.texts
    title = layout.title(notice)
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = line(sender), ", ".join(line(recipient) for recipient in recipients)
    mail["Subject"] = line(f"[slawatch] {title}")
    mail["Date"] = formatdate(date_s)
    mail["Message-ID"] = _message_id(notice.key, sender)
    mail["In-Reply-To"] = mail["References"] = _message_id(notice.thread, sender)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    text = layout.text(notice)
    told = [_told(past, texts) for past in letter.history or ()]
    rows = "\n".join(f"{at}  {what}" for at, what in told) if letter.history is not None else texts("timeline.away")
    timeline = f"\n\n{texts('timeline')}\n{rows}" if rows else ""
    mail.set_content(f"{text}{timeline}\n\n-- \n{texts('why.mail')}\n")
    mail.add_alternative(_html(letter, title, text, told, layout), subtype="html")
    return mail


def _html(letter: Letter, title: str, text: str, told: list[tuple[str, str]], layout: Layout) -> str:
    texts, notice = layout.texts, letter.notice
    if layout.own or is_group(notice) or notice.reason == "test":
        main = f'<p style="white-space:pre-wrap">{escape(text)}</p>'
    else:
        words = notice.messages[0].words(texts)
        main = f'<h1 style="font-size:18px">{escape(title)}</h1>{_table(words.facts)}'
        main += "".join(f'<p><a href="{escape(address)}">{escape(label)}</a></p>' for label, address in words.links)
    if told:
        main += f'<h2 style="font-size:15px">{escape(texts("timeline"))}</h2>{_table(told)}'
    elif letter.history is None:
        main += f"<p>{escape(texts('timeline.away'))}</p>"
    return (
        f'<html lang="{texts.language}"><body style="font-family:sans-serif;font-size:15px;color:#111">{main}'
        f'<p style="color:#777;font-size:12px">{escape(texts("why.mail"))}</p></body></html>'
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cell = "padding:2px 16px 2px 0;vertical-align:top"
    lines = (f'<tr><td style="{cell};color:#555">{escape(left)}</td><td style="{cell}">{escape(right)}</td></tr>' for left, right in rows)
    return f'<table style="border-collapse:collapse;font-size:15px">{"".join(lines)}</table>'


async def no_history(breach_id: str) -> tuple[Past, ...] | None:
    """Where there is no ledger to ask."""
    return ()


class Mail:
    """`services.notifier.channels.base.Channel` to a mail server; one connection per mail. `history` gives a breach's timeline, or None
    where it cannot be read."""

    lanes = 2

    def __init__(
        self,
        name: str,
        server: Server,
        sender: str,
        recipients: Sequence[str],
        time: TimeSource,
        texts: Texts = TEXTS,
        *,
        history: History = no_history,
        template: Template | None = None,
        limit: Rate | None = LIMIT,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name, self.limit, self._timeout_s = name, limit, timeout_s
        self._server, self._sender, self._recipients, self._time, self._history = server, sender, list(recipients), time, history
        self._layout = Layout(texts, PLAIN._replace(most=50_000), template, channel=name)

    async def send(self, notice: Notice) -> Result:
        server = self._server
        try:
            async with asyncio.timeout(self._timeout_s):
                history = () if is_group(notice) or notice.reason == "test" else await self._history(notice.messages[0].breach_id)
                mail = render(Letter(notice, history), self._sender, self._recipients, self._time.wall() / 1000, self._layout)
                refused, _ = await aiosmtplib.send(
                    mail,
                    sender=parseaddr(self._sender)[1],
                    recipients=self._recipients,
                    hostname=server.host,
                    port=server.port,
                    use_tls=server.tls,
                    username=server.username,
                    password=server.password,
                    timeout=self._timeout_s,
                )
        except aiosmtplib.SMTPResponseException as wrong:
            return self._failed(f"{wrong.code} {wrong.message}", permanent=500 <= wrong.code < 600)
        except aiosmtplib.SMTPRecipientsRefused as wrong:
            codes = [refusal.code for refusal in wrong.recipients]
            return self._failed(f"recipients refused: {codes}", permanent=all(500 <= code < 600 for code in codes))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as wrong:
            return self._failed(f"{type(wrong).__name__}: {wrong}".rstrip(": "))
        if refused:  # the others have it: to try again would tell them twice
            log.error("the mail server refused some recipients", channel=self.name, refused=len(refused), of=len(self._recipients))
        return Sent()

    async def close(self) -> None:
        """Nothing is kept open."""

    def _failed(self, error: str, *, permanent: bool = False) -> Failed:
        return Failed(masked(error, [secret for secret in (self._server.password,) if secret]), permanent=permanent)
