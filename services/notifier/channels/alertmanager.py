"""Alertmanager's v2 API: an alert per breach, whose labels never change, so that the one that ends it is the same."""

from typing import Any, Final

import msgspec

from services.notifier.channels.base import Notice
from services.notifier.channels.http import JSON, Poster
from services.notifier.channels.layout import PLAIN, Layout
from services.notifier.core import Failed, Result
from services.notifier.messages import Message
from services.notifier.texts import TEXTS, Texts
from shared.alerting.terms import Rate
from shared.language.templates import Template
from shared.ports.time import TimeSource
from shared.sla.instants import DAY, HOUR, MINUTE, format_instant, parse_instant
from shared.wire.verdicts import CORRECTION_TYPES

PATH: Final = "/api/v2/alerts"
RESEND: Final = MINUTE  # Alertmanager forgets alerts when it restarts
RESOLVED_FOR: Final = 5 * MINUTE  # how long a resolved alert is told again: an Alertmanager that was away must hear of it
OPEN_FOR: Final = DAY  # an open breach stays open when slawatch is away: each telling makes it last so much longer
WARNING_FOR: Final = HOUR


def judge(status: int, body: bytes) -> Result | None:
    """400 says that the alerts are not acceptable, and will never be."""
    return Failed(f"400 Alertmanager: {body[:200].decode(errors='replace')}", permanent=True) if status == 400 else None


class Alertmanager:
    """`services.notifier.channels.base.Channel` to one Alertmanager.

    `resend`: every so many ms all open alerts, and those resolved within RESOLVED_FOR, are told again in notices of reason `repeat`,
    outside of the delivery ledger (`services.notifier.resending`). The poster's judge is `judge`.
    """

    lanes = 1
    by_breach = True
    resend: int | None = RESEND

    def __init__(
        self,
        name: str,
        poster: Poster,
        time: TimeSource,
        texts: Texts = TEXTS,
        *,
        template: Template | None = None,
        limit: Rate | None = None,
    ) -> None:
        self.name, self.limit = name, limit
        self._poster, self._time, self._texts = poster, time, texts
        self._layout = Layout(texts, PLAIN, template, channel=name)

    async def send(self, notice: Notice) -> Result:
        alerts = [self._alert(notice, message) for message in notice.messages]
        return await self._poster.post(msgspec.json.encode(alerts), JSON)

    async def close(self) -> None:
        await self._poster.close()

    def _alert(self, notice: Notice, message: Message) -> dict[str, Any]:
        data, words, now = message.verdict.data, message.words(self._texts), self._time.wall()
        one = notice._replace(messages=(message,), bodies=notice.bodies[:1], total=1)
        name = _name(notice, message)
        labels = {
            "alertname": name,
            "breach_id": data.breach_id,
            "agreement": data.agreement,
            "objective": data.objective,
            "vendor": data.vendor,
            "service": data.service,
            "case": data.case or "",
            "severity": data.severity,
        }
        annotations = {
            "summary": words.headline,
            "description": self._layout.text(one, linked=False, titled=False),
            "runbook_url": message.runbook,
            "dashboard_url": message.dashboard,
        }
        starts = min(parse_instant(data.due or message.verdict.time), now)
        return {
            "labels": {key: PLAIN.escape(value) for key, value in labels.items() if value},
            "annotations": {key: value for key, value in annotations.items() if value},
            "startsAt": format_instant(starts if not message.warning else min(parse_instant(message.verdict.time), now)),
            "endsAt": format_instant(self._end(notice, message, now)),
            **({"generatorURL": message.link} if message.link else {}),
        }

    @staticmethod
    def _end(notice: Notice, message: Message, now: int) -> int:
        if message.over or (len(notice.messages) == 1 and notice.reason in ("resolved", "retracted")):
            return now
        if notice.reason == "test":
            return now + MINUTE
        return now + (WARNING_FOR if message.warning and message.verdict.type not in CORRECTION_TYPES else OPEN_FOR)


def _name(notice: Notice, message: Message) -> str:
    if notice.reason == "test":
        return "SlawatchTest"
    if message.verdict.type in CORRECTION_TYPES:
        return "SlawatchCorrection"
    return "SlawatchWarning" if message.warning else "SlawatchBreach"
