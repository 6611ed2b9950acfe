"""Slack: incoming webhooks (of Slack itself and of those that take the same, such as Mattermost), or `chat.postMessage` with a bot's token,
which answers with the message's `ts`, so that what follows goes into the same thread."""

from collections import OrderedDict
from typing import Any, Final

import msgspec

from services.notifier.channels.base import Notice
from services.notifier.channels.http import JSON, Poster, json_of
from services.notifier.channels.layout import Layout, Markup
from services.notifier.core import Failed, Gone, Result, Sent
from services.notifier.texts import TEXTS, Texts
from shared.alerting.terms import Rate
from shared.language.templates import Template
from shared.sla.instants import SECOND

API: Final = "https://slack.com/api/chat.postMessage"
LIMIT: Final = Rate(1, SECOND)
SIGNS: Final = {"page": ":red_circle:", "ticket": ":large_orange_circle:", "info": ":large_blue_circle:"}
THREADS_MAX: Final = 10_000  # threads whose first message is remembered
# mrkdwn has no escape for its marks: look-alikes. The underline stays: identifiers are full of it, and it only slants.
_MARKS: Final = str.maketrans({"*": "\N{ASTERISK OPERATOR}", "~": "\N{TILDE OPERATOR}", "`": "'"})
_GONE: Final = frozenset(("channel_is_archived", "is_archived", "account_inactive", "token_revoked"))
_BUSY: Final = frozenset(("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"))
_PERMANENT: Final = frozenset(("invalid_payload", "msg_too_long", "no_text", "too_many_attachments", "invalid_blocks"))


def escape(text: str) -> str:
    """Text that comes out as it is: no link, no mention, no formatting, one line."""
    return entities(" ".join(text.split()).translate(_MARKS))


def entities(text: str) -> str:
    """Slack's three control characters, escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


MARKUP: Final = Markup(escape, "*{}*".format, lambda label, url: f"<{entities(url)}|{label}>", "\n", 3_000)


def judge(status: int, body: bytes) -> Result | None:
    """The Web API says `ok` in the body; incoming webhooks say a word with their status."""
    said = json_of(body)
    if status == 200 and said.get("ok") is not False:
        return None
    error = str(said.get("error") or body[:100].decode(errors="replace").strip())
    if error in _GONE:
        return Gone(f"Slack: {error}")
    if status == 200:
        return Failed(f"Slack: {error}", 30_000 if error in _BUSY else None, permanent=error in _PERMANENT)
    return Failed(f"{status} Slack: {error}", permanent=True) if status in (400, 413) and error in _PERMANENT else None


class Threads:
    """The `ts` of each thread's first message; the oldest are forgotten. A restart forgets all: what follows starts a new thread."""

    def __init__(self, most: int = THREADS_MAX) -> None:
        self._most, self._ts = most, OrderedDict[str, str]()

    def get(self, thread: str) -> str:
        return self._ts.get(thread, "")

    def set(self, thread: str, ts: str) -> None:
        self._ts.setdefault(thread, ts)
        while len(self._ts) > self._most:
            self._ts.popitem(last=False)


class Chat:
    """`services.notifier.channels.base.Channel` to one incoming webhook, or with `token` to the channel `to`."""

    lanes = 1  # in a channel, people read in order

    def __init__(
        self,
        name: str,
        poster: Poster,
        texts: Texts = TEXTS,
        *,
        token: str = "",
        to: str = "",
        template: Template | None = None,
        limit: Rate | None = LIMIT,
    ) -> None:
        self.name, self.limit = name, limit
        self._poster, self._layout, self._to = poster, Layout(texts, MARKUP, template, channel=name), to
        self._headers = JSON | ({"authorization": f"Bearer {token}", "content-type": "application/json; charset=utf-8"} if token else {})
        self._threads = Threads()

    async def send(self, notice: Notice) -> Result:
        sign = SIGNS.get(notice.messages[0].severity, "")
        said: dict[str, Any] = {"text": f"{sign} {self._layout.text(notice)}".strip(), "unfurl_links": False, "unfurl_media": False}
        if not self._to:
            return await self._poster.post(msgspec.json.encode(said), self._headers)
        said["channel"] = self._to
        first = self._threads.get(notice.thread)
        if first:
            said |= {"thread_ts": first, "reply_broadcast": notice.reason in ("escalation", "repeat")}
        result, answer = await self._poster.ask(msgspec.json.encode(said), self._headers)
        ts = json_of(answer).get("ts")
        if isinstance(result, Sent) and isinstance(ts, str):
            self._threads.set(notice.thread, ts)
        return result

    async def close(self) -> None:
        await self._poster.close()
