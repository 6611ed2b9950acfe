"""Posting as a vendor's integrator should: one event at a time in order, the same id on every attempt, patient while slawatch is away."""

from collections.abc import Callable
from typing import Final

import httpx2

from shared.ports.time import TimeSource

RETRY: Final = frozenset({429, 503})
ATTEMPTS: Final = 60
WORRYING: Final = 3  # attempts after which somebody is told
LONGEST_WAIT_S: Final = 10.0


class Refused(Exception):
    """The event was not taken, and trying again is useless; the message says why."""


class Poster:
    """Posts one vendor's events. `worry` is told when slawatch stays away."""

    def __init__(self, client: httpx2.AsyncClient, url: str, key: str, time: TimeSource, worry: Callable[[str], None]) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/v1/events"
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents+json"}
        self._time = time
        self._worry = worry

    async def post(self, event: dict[str, object]) -> int:
        """Returns the number of attempts it took. Raises Refused, also when ATTEMPTS were in vain."""
        why = "no attempt"
        for attempt in range(1, ATTEMPTS + 1):
            wait_s = min(0.25 * 2**attempt, LONGEST_WAIT_S)
            try:
                response = await self._client.post(self._url, json=event, headers=self._headers)
            except httpx2.TransportError as away:
                why = f"no answer ({away!r})"
            else:
                if response.status_code == 202:
                    return attempt
                why = f"{response.status_code} {response.text[:300]}"
                if response.status_code not in RETRY:
                    break
                wait_s = _retry_after(response, wait_s)
            if attempt == WORRYING:
                self._worry(f"{event['vendor']}: {why}, {attempt} times at {self._url}; trying on")
            await self._time.sleep(wait_s)
        raise Refused(f"{event['type']} of {event['subject']}: {why}")


def _retry_after(response: httpx2.Response, otherwise_s: float) -> float:
    """Seconds to wait by `Retry-After`, bounded; a date or rubbish counts as absent."""
    text = response.headers.get("retry-after", "")
    return min(float(text), 6 * LONGEST_WAIT_S) if text.isdecimal() else otherwise_s
