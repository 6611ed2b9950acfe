"""Slack-compatible incoming webhooks: one clear message per verdict, what others wrote escaped."""

from typing import Final

import msgspec

from services.notifier.channels.base import Notice
from services.notifier.channels.http import Poster
from services.notifier.core import Result
from services.notifier.messages import Message
from services.notifier.texts import TEXTS, Texts

SIGNS: Final = {"page": ":red_circle:", "ticket": ":large_orange_circle:", "info": ":large_blue_circle:"}
# mrkdwn has no escape for its marks: look-alikes. The underline stays: identifiers are full of it, and it only slants.
_MARKS: Final = str.maketrans({"*": "\N{ASTERISK OPERATOR}", "~": "\N{TILDE OPERATOR}", "`": "'"})
_CHARACTERS_MAX: Final = 3_000


def escape(text: str) -> str:
    """Text that comes out as it is: no link, no mention, no formatting, one line."""
    safe = " ".join(text.split()).translate(_MARKS)
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def render(message: Message, texts: Texts = TEXTS) -> str:
    """The message as Slack's mrkdwn."""
    facts = "\n".join(f"{escape(label)}: {escape(value)}" for label, value in message.facts)
    text = f"{SIGNS.get(message.severity, '')} *{escape(message.tag)}* {escape(message.headline)}\n{facts}".strip()[:_CHARACTERS_MAX]
    return f"{text}\n<{message.link}|{escape(texts('open'))}>" if message.link else text


class Chat:
    """`services.notifier.channels.base.Channel` to one incoming webhook."""

    lanes = 1  # in a channel, people read in order

    def __init__(self, name: str, poster: Poster) -> None:
        self.name, self._poster = name, poster

    async def send(self, notice: Notice) -> Result:
        body = msgspec.json.encode({"text": render(notice.message)})
        return await self._poster.post(body, {"content-type": "application/json", "user-agent": "slawatch"})

    async def close(self) -> None:
        await self._poster.close()
