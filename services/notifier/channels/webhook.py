"""Signed webhooks: the verdict as it stands on the topic, signed by Standard Webhooks."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from services.notifier.channels.base import Notice
from services.notifier.channels.http import Poster
from services.notifier.core import Result
from shared.alerting.terms import Rate
from shared.ports.time import TimeSource

PREFIX: Final = "whsec_"
MEDIA_TYPE: Final = "application/cloudevents+json"
BATCH_MEDIA_TYPE: Final = "application/cloudevents-batch+json"


class BadSecret(ValueError):
    """Not a Standard Webhooks secret."""


def key_of(secret: str) -> bytes:
    """The key bytes of `whsec_<base64>`; 24 to 64 bytes. Raises BadSecret, which does not quote the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise BadSecret("SLAWATCH_WEBHOOK_SECRET must be whsec_ and the base64 of 24 to 64 bytes")
    return key


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,<base64>`: HMAC-SHA256 over `id.timestamp.body`."""
    digest = hmac.digest(key, f"{message_id}.{timestamp_s}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


class Webhook:
    """`services.notifier.channels.base.Channel` to one URL. A notice of many breaches is a CloudEvents batch."""

    lanes = 8

    def __init__(self, name: str, poster: Poster, secret: str, time: TimeSource, *, limit: Rate | None = None) -> None:
        self.name, self._poster, self._key, self._time, self.limit = name, poster, key_of(secret), time, limit

    async def send(self, notice: Notice) -> Result:
        timestamp_s = self._time.wall() // 1000
        one = len(notice.bodies) == 1
        body = notice.bodies[0] if one else b"[" + b",".join(notice.bodies) + b"]"
        headers = {
            "content-type": MEDIA_TYPE if one else BATCH_MEDIA_TYPE,
            "user-agent": "slawatch",
            "webhook-id": notice.key,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signature(self._key, notice.key, timestamp_s, body),
        }
        return await self._poster.post(body, headers)

    async def close(self) -> None:
        await self._poster.close()
