"""The group robots of DingTalk, WeCom and Feishu. They answer 200 whatever happens: the code in the body is what counts."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.notifier.channels.base import Notice
from services.notifier.channels.http import JSON, Judge, Poster, json_of
from services.notifier.channels.layout import PLAIN, Layout, Markup, markdown_escape
from services.notifier.core import Failed, Gone, Result
from services.notifier.texts import TEXTS, Texts
from shared.alerting.terms import Rate
from shared.language.templates import Template
from shared.ports.time import TimeSource
from shared.sla.instants import MINUTE, SECOND

Kind = Literal["dingtalk", "wecom", "feishu"]


class Codes(NamedTuple):
    """What a vendor's codes mean. What is not named is tried again. `busy`: too many messages, and how long to leave it alone (ms)."""

    field: str
    busy: Mapping[int, int]
    gone: frozenset[int]
    permanent: frozenset[int]


# DingTalk locks a robot for ten minutes when it wrote more than 20 messages in one
CODES: Final[dict[Kind, Codes]] = {
    "dingtalk": Codes(
        "errcode",
        {130101: 10 * MINUTE, 410100: 10 * MINUTE, 90018: MINUTE, -1: 30 * SECOND},
        frozenset((400013, 400102)),  # the group was dissolved; the robot was stopped
        frozenset((300005, 400101, 400105, 400106, 430101, 430102, 430103, 430104, 40035)),  # no such token or robot; refused content
    ),
    "wecom": Codes(
        "errcode", {45009: MINUTE, 45033: 10 * SECOND, -1: 30 * SECOND}, frozenset(), frozenset((93000, 40008, 40058, 44004, 45002))
    ),
    "feishu": Codes("code", {11232: MINUTE, 9499: MINUTE, 11233: MINUTE}, frozenset(), frozenset((19001, 19002, 230001, 11246))),
}
LIMITS: Final[dict[Kind, Rate]] = {"dingtalk": Rate(20, MINUTE), "wecom": Rate(20, MINUTE), "feishu": Rate(100, MINUTE)}
_BOLD: Final = "**{}**".format


def _bytes(text: str) -> int:
    return len(text.encode())


MARKUPS: Final[dict[Kind, Markup]] = {
    "dingtalk": Markup(markdown_escape, _BOLD, "[{}]({})".format, "\n\n", 15_000, _bytes),
    "wecom": Markup(markdown_escape, _BOLD, "[{}]({})".format, "\n", 4_000, _bytes),
    "feishu": Markup(PLAIN.escape, str, PLAIN.link, "\n", 12_000, _bytes),  # plain text elements know no mark-up at all
}
_COLOURS: Final = {"page": "red", "ticket": "orange", "info": "blue"}


def judge_of(kind: Kind) -> Judge:
    """Reads the code in an answer's body."""
    codes = CODES[kind]

    def judge(status: int, body: bytes) -> Result | None:
        if status != 200:
            return None
        said = json_of(body)
        code = said.get(codes.field, said.get("StatusCode"))  # Feishu's older answers
        if code == 0:
            return None
        if not isinstance(code, int):
            return Failed(f"{kind}: an answer without {codes.field}: is this the robot's address?")
        error = f"{kind} {code}: {said.get('errmsg') or said.get('msg') or 'no reason given'}"
        if code in codes.gone:
            return Gone(error)
        return Failed(error, codes.busy.get(code), permanent=code in codes.permanent)

    return judge


def dingtalk_sign(secret: str, timestamp_ms: int) -> str:
    """Base64 of HMAC-SHA256 under the secret over `timestamp\\nsecret`."""
    return base64.b64encode(hmac.digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)).decode()


def feishu_sign(secret: str, timestamp_s: int) -> str:
    """Base64 of HMAC-SHA256 over nothing, under the key `timestamp\\nsecret`: so it is documented."""
    return base64.b64encode(hmac.digest(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256)).decode()


class Robot:
    """`services.notifier.channels.base.Channel` to one robot; `secret` where it wants signatures. The poster's judge: `judge_of`."""

    lanes = 1  # in a group, people read in order

    def __init__(
        self,
        name: str,
        kind: Kind,
        poster: Poster,
        time: TimeSource,
        texts: Texts = TEXTS,
        *,
        secret: str = "",
        template: Template | None = None,
        limit: Rate | None = None,
    ) -> None:
        self.name, self.limit = name, limit or LIMITS[kind]
        self._kind, self._poster, self._time, self._secret = kind, poster, time, secret
        self._layout = Layout(texts, MARKUPS[kind], template, channel=name)

    async def send(self, notice: Notice) -> Result:
        now, params = self._time.wall(), None
        body = {"dingtalk": self._dingtalk, "wecom": self._wecom, "feishu": self._feishu}[self._kind](notice)
        if self._secret and self._kind == "dingtalk":
            params = {"timestamp": str(now), "sign": dingtalk_sign(self._secret, now)}
        elif self._secret and self._kind == "feishu":
            body = {"timestamp": str(now // 1000), "sign": feishu_sign(self._secret, now // 1000)} | body
        return await self._poster.post(msgspec.json.encode(body), JSON, params)

    async def close(self) -> None:
        await self._poster.close()

    def _dingtalk(self, notice: Notice) -> dict[str, Any]:
        title = markdown_escape(self._layout.title(notice))[:100]  # shown in the list of chats
        return {"msgtype": "markdown", "markdown": {"title": title, "text": self._layout.text(notice)}, "at": {"isAtAll": False}}

    def _wecom(self, notice: Notice) -> dict[str, Any]:
        return {"msgtype": "markdown", "markdown": {"content": self._layout.text(notice)}}

    def _feishu(self, notice: Notice) -> dict[str, Any]:
        message = notice.messages[0]
        head = {
            "title": _plain(self._layout.title(notice)[:200]),
            "template": "green" if message.over else _COLOURS.get(message.severity, "grey"),
        }
        elements: list[dict[str, Any]] = [{"tag": "div", "text": _plain(self._layout.text(notice, linked=False, titled=False))}]
        links = message.words(self._layout.texts).links if len(notice.messages) == 1 else []
        if links:
            buttons = [{"tag": "button", "type": "default", "text": _plain(label), "url": address} for label, address in links]
            elements.append({"tag": "action", "actions": buttons})
        return {"msg_type": "interactive", "card": {"config": {"wide_screen_mode": True}, "header": head, "elements": elements}}


def _plain(text: str) -> dict[str, str]:
    return {"tag": "plain_text", "content": text}
