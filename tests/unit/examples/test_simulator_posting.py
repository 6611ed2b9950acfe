"""The simulator as an integrator's model: keys, retries, one lane per vendor."""

import json
from collections.abc import Callable, Iterable

import httpx2
import pytest

from examples.simulator.keys import MissingKeys, keys_of, variable
from examples.simulator.play import LANE, Tally, play
from examples.simulator.poster import ATTEMPTS, Poster, Refused
from examples.simulator.script import Step

EVENT: dict[str, object] = {"id": "e-1", "type": "ticket.opened", "subject": "INC-1", "vendor": "acme-desk"}


class Clock:
    """A time source whose sleeps pass at once and are remembered, in seconds."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def wall(self) -> int:
        return round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


Answer = httpx2.Response | httpx2.TransportError


def door(answers: Iterable[Answer]) -> tuple[httpx2.AsyncClient, list[httpx2.Request]]:
    """A client whose requests get these answers in turn, and the requests it made."""
    turn, seen = iter(answers), list[httpx2.Request]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        given = next(turn)
        if isinstance(given, httpx2.TransportError):
            raise given
        return given

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer)), seen


def poster(client: httpx2.AsyncClient, clock: Clock, url: str = "http://ingest", worries: list[str] | None = None) -> Poster:
    return Poster(client, url, "slw_key", clock, ([] if worries is None else worries).append)


async def test_posts_with_the_vendors_key() -> None:
    client, seen = door([httpx2.Response(202)])
    assert await poster(client, Clock(), "http://ingest:8001/").post(EVENT) == 1
    [request] = seen
    assert str(request.url) == "http://ingest:8001/v1/events"
    assert request.headers["authorization"] == "Bearer slw_key"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert json.loads(request.content) == EVENT


async def test_waits_as_long_as_slawatch_asks_and_repeats_the_same_event() -> None:
    clock = Clock()
    client, seen = door(
        [httpx2.Response(503, headers={"retry-after": "7"}), httpx2.Response(429, headers={"retry-after": "2"}), httpx2.Response(202)]
    )
    assert await poster(client, clock).post(EVENT) == 3
    assert clock.slept == [7, 2]
    assert len({request.content for request in seen}) == 1


async def test_backs_off_while_nobody_answers() -> None:
    clock = Clock()
    client, _ = door([httpx2.ConnectError("refused")] * 3 + [httpx2.Response(202)])
    assert await poster(client, clock).post(EVENT) == 4
    assert clock.slept == [0.5, 1, 2]


async def test_says_once_that_nobody_answers() -> None:
    worries: list[str] = []
    client, _ = door([httpx2.ConnectError("refused")] * 10 + [httpx2.Response(202)])
    await poster(client, Clock(), worries=worries).post(EVENT)
    [worry] = worries
    assert "acme-desk: no answer" in worry
    assert "http://ingest/v1/events" in worry


async def test_does_not_repeat_what_is_refused_for_good() -> None:
    clock = Clock()
    client, seen = door([httpx2.Response(422, text="time lies in the future")])
    with pytest.raises(Refused, match=r"ticket\.opened of INC-1: 422 time lies in the future"):
        await poster(client, clock).post(EVENT)
    assert len(seen) == 1
    assert clock.slept == []


async def test_gives_up_in_the_end() -> None:
    client, seen = door([httpx2.Response(503) for _ in range(ATTEMPTS)])
    with pytest.raises(Refused, match="503"):
        await poster(client, Clock()).post(EVENT)
    assert len(seen) == ATTEMPTS


def steps(count: int, vendors: tuple[str, ...]) -> list[Step]:
    return [Step(float(n), EVENT | {"id": f"e-{n}", "vendor": vendors[n % len(vendors)]}) for n in range(count)]


async def played(
    script: list[Step], answer: Callable[[httpx2.Request], httpx2.Response], until_s: float | None = None
) -> tuple[Tally, list[str], Clock]:
    clock, tally, told = Clock(), Tally(), list[str]()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        posters = {vendor: Poster(client, "http://ingest", vendor, clock, told.append) for vendor in ("acme-desk", "payday")}
        await play(script, posters, clock, tally, told.append, until_s)
    return tally, told, clock


async def test_plays_every_step_at_its_time() -> None:
    tally, told, clock = await played(steps(5, ("acme-desk", "payday")), lambda _: httpx2.Response(202))
    assert tally == Tally(posted=5, refused=0)
    assert clock.slept == [0, 1, 1, 1, 1]
    assert len(told) == 5


async def test_stops_after_the_duration() -> None:
    tally, _, _ = await played(steps(50, ("acme-desk",)), lambda _: httpx2.Response(202), until_s=9.5)
    assert tally.posted == 10


async def test_one_vendors_refusals_do_not_hold_up_the_other() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(403 if request.headers["authorization"] == "Bearer payday" else 202)

    tally, told, _ = await played(steps(6, ("acme-desk", "payday")), answer)
    assert tally == Tally(posted=3, refused=3)
    assert sum("NOT TAKEN" in line for line in told) == 3


async def test_a_full_lane_loses_nothing() -> None:
    tally, _, _ = await played(steps(LANE + 50, ("acme-desk",)), lambda _: httpx2.Response(202))
    assert tally.posted == LANE + 50


def test_keys_come_from_either_variable_and_the_vendors_own_comes_first() -> None:
    environ = {"SIM_KEYS": '{"payday": "slw_together", "acme-desk": "slw_old"}', variable("acme-desk"): "slw_own"}
    assert keys_of(["payday", "acme-desk"], environ) == {"payday": "slw_together", "acme-desk": "slw_own"}


def test_missing_keys_are_named() -> None:
    with pytest.raises(MissingKeys, match="SIM_KEY_SWIFT_PARCELS for swift-parcels"):
        keys_of(["payday", "swift-parcels"], {"SIM_KEY_PAYDAY": "slw_x"})


@pytest.mark.parametrize("text", ["{", "[]"])
def test_unreadable_keys_are_refused(text: str) -> None:
    with pytest.raises(MissingKeys, match="SIM_KEYS"):
        keys_of(["payday"], {"SIM_KEYS": text})
