"""PagerDuty Events v2: an incident per breach, under the breach's id, opened, acknowledged and resolved with it."""

import asyncio
from typing import Any, Final, Literal

import msgspec

from services.notifier.channels.base import Notice
from services.notifier.channels.http import JSON, Poster, json_of
from services.notifier.channels.layout import PLAIN, Layout
from services.notifier.core import Failed, Result, Sent
from services.notifier.messages import Message
from services.notifier.texts import TEXTS, Texts
from shared.alerting.terms import Rate
from shared.language.templates import Template
from shared.sla.instants import MINUTE

TIMEOUT_S: Final = 25.0  # of all events of one notice
LIMIT: Final = Rate(100, MINUTE)  # PagerDuty takes 120 events a minute
SUMMARY_MAX: Final = 1_024
_SEVERITIES: Final = {"page": "critical", "ticket": "error", "info": "info"}


def judge(status: int, body: bytes) -> Result | None:
    """400 is for ever; PagerDuty says why in the body."""
    if status != 400:
        return None
    said = json_of(body)
    return Failed(f"400 PagerDuty: {said.get('message', '')} {said.get('errors', '')}".strip(), permanent=True)


def action_of(notice: Notice, message: Message) -> Literal["trigger", "acknowledge", "resolve"]:
    """What becomes of the incident of one breach."""
    if message.over or (len(notice.messages) == 1 and notice.reason in ("resolved", "retracted")):
        return "resolve"
    return "acknowledge" if message.acknowledged_by and notice.reason in ("acknowledged", "update") else "trigger"


class PagerDuty:
    """`services.notifier.channels.base.Channel` to one integration: an event per breach, so that each incident ends with its own. The
    poster's judge is `judge`."""

    lanes = 4
    by_breach = True

    def __init__(
        self,
        name: str,
        poster: Poster,
        routing_key: str,
        texts: Texts = TEXTS,
        *,
        template: Template | None = None,
        limit: Rate | None = LIMIT,
    ) -> None:
        self.name, self.limit = name, limit
        self._poster, self._routing_key, self._texts = poster, routing_key, texts
        self._layout = Layout(texts, PLAIN._replace(most=SUMMARY_MAX), template, channel=name) if template is not None else None

    async def send(self, notice: Notice) -> Result:
        events = [event for message in notice.messages for event in self._events(notice, message)]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                for event in events:
                    result = await self._poster.post(msgspec.json.encode(event), JSON)
                    if not isinstance(result, Sent):
                        return result
        except TimeoutError:
            return Failed(f"not all events of a notice were taken within {TIMEOUT_S:g} s")
        return Sent()

    async def close(self) -> None:
        await self._poster.close()

    def _events(self, notice: Notice, message: Message) -> list[dict[str, Any]]:
        """An incident that somebody has taken on already is acknowledged as soon as it is there."""
        action = action_of(notice, message)
        taken_on = action == "trigger" and message.acknowledged_by
        return [self._event(notice, message, each) for each in ([action, "acknowledge"] if taken_on else [action])]

    def _event(self, notice: Notice, message: Message, action: str) -> dict[str, Any]:
        test = notice.reason == "test"
        key = notice.key if test else message.breach_id
        event: dict[str, Any] = {"routing_key": self._routing_key, "event_action": action, "dedup_key": key[:255]}
        if action != "trigger":
            return event
        data, words = message.verdict.data, message.words(self._texts)
        one = notice._replace(messages=(message,), bodies=notice.bodies[:1], total=1)
        summary = self._layout.text(one) if self._layout is not None else Layout(self._texts).title(one)
        event["payload"] = {
            "summary": summary[:SUMMARY_MAX],
            "source": data.vendor,
            "severity": "info" if test else "warning" if message.warning else _SEVERITIES.get(data.severity, "error"),
            "timestamp": message.verdict.time,
            "component": data.service,
            "group": data.agreement,
            "class": data.objective,
            "custom_details": dict(words.facts) | ({"test": self._texts("reason.test.text")} if test else {}),
        }
        event["links"] = [{"href": address, "text": label} for label, address in words.links]
        event["client"] = "slawatch"
        if message.link:
            event["client_url"] = message.link
        return event
