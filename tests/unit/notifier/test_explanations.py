"""The notifier asks the evaluators' own application why a clock stands as it does."""

from collections.abc import Mapping

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from services.evaluator import api
from services.evaluator.core import Partition
from services.notifier.explanations import Explanation, Explanations
from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.memory.time import VirtualTime
from shared.ports.ledger import BreachRow
from shared.runtime.credentials import Authenticator, create_credential
from shared.sla.engine import Engine
from shared.wire.topics import partition_of
from tests.unit.notifier.kit import breach_row
from tests.unit.sla.timeline import Timeline, agreement, instant

PARTITIONS = 4
MINE = partition_of(b"vendor", PARTITIONS)


class Evaluators(httpx2.AsyncBaseTransport):
    """Two evaluators by host name; a third does not answer. `asked`: who was."""

    def __init__(self, applications: Mapping[str, httpx2.ASGITransport]) -> None:
        self._applications, self.asked = applications, list[str]()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.host)
        if request.url.host not in self._applications:
            raise httpx2.ConnectTimeout("too long")
        return await self._applications[request.url.host].handle_async_request(request)


@pytest.fixture
async def asking() -> tuple[Evaluators, dict[str, str]]:
    """The transport, and tokens by role."""
    time, store = VirtualTime(instant("13:00")), MemoryCredentials()
    tokens = {
        role: (await create_credential(store, b"pepper", "local", "token", role, vendors, role, 0))[1]
        for role, vendors in (("viewer", ()), ("vendor", ("another",)))
    }
    history = Timeline(agreement(targets="[{within: 75m}]"))
    for at, kind in (("10:00", "opened"), ("10:30", "paused"), ("11:00", "resumed"), ("11:30", "paused"), ("12:00", "resumed")):
        history.at(at, kind)
    history.at("12:30", "paused", subject="not started")
    history.until("13:00")

    def application(engine: Engine | None) -> httpx2.ASGITransport:
        number = MINE if engine else (MINE + 1) % PARTITIONS
        partition = Partition(number, "log", 300_000, ())
        partition.engine = engine or partition.engine

        async def owners() -> dict[int, str]:
            return {MINE: "http://second:8002"}

        shares = api.Shares(lambda: {number: partition}, lambda: PARTITIONS, owners)
        authenticator = Authenticator(store, b"pepper", "local", time)
        return httpx2.ASGITransport(api.build(shares, authenticator, CollectorRegistry(), dict))

    return Evaluators({"first": application(None), "second": application(history.engine)}), tokens


def breach(**more: object) -> BreachRow:
    fields = {"agreement": "terms", "objective": "clock", "vendor": "vendor", "service": "desk", "case": "case", "cycle": 1}
    return breach_row(**(fields | more))


async def test_the_owner_is_found_and_tells_each_pause_and_each_event(asking: tuple[Evaluators, dict[str, str]]) -> None:
    evaluators, tokens = asking
    found = await Explanations("http://first:8002/", tokens["viewer"], evaluators).of(breach())
    assert isinstance(found, Explanation)
    assert [pause.span for pause in found.pauses] == [(instant("10:30"), instant("11:00")), (instant("11:30"), instant("12:00"))]
    assert [pause.worked_s for pause in found.pauses] == [1800, 1800]
    assert [(step.what, step.instant) for step in found.steps] == [
        ("start", instant("10:00")),
        ("pause", instant("10:30")),
        ("resume", instant("11:00")),
        ("pause", instant("11:30")),
        ("resume", instant("12:00")),
    ]
    assert all(step.event for step in found.steps)
    assert evaluators.asked == ["first", "second"]


@pytest.mark.parametrize(
    "wrong",
    [{"case": "unknown"}, {"case": "not started"}, {"cycle": 2}, {"objective": "other"}, {"agreement": "other"}, {"service": "other"}],
)
async def test_what_is_not_in_memory_is_gone(asking: tuple[Evaluators, dict[str, str]], wrong: dict[str, object]) -> None:
    evaluators, tokens = asking
    assert await Explanations("http://second:8002", tokens["viewer"], evaluators).of(breach(**wrong)) == "gone"


async def test_no_evaluator_no_right_and_no_token_are_told_apart_from_it(asking: tuple[Evaluators, dict[str, str]]) -> None:
    evaluators, tokens = asking
    assert await Explanations("http://third:8002", tokens["viewer"], evaluators).of(breach()) == "away"
    assert await Explanations("http://second:8002", "slw_local_nobody", evaluators).of(breach()) == "away"
    evaluators.asked.clear()
    assert await Explanations("http://second:8002", "", evaluators).of(breach()) == "off"
    assert evaluators.asked == [], "without a token nobody is asked"


async def test_a_vendor_is_told_nothing_of_others(asking: tuple[Evaluators, dict[str, str]]) -> None:
    evaluators, tokens = asking
    async with httpx2.AsyncClient(transport=evaluators, headers={"authorization": f"Bearer {tokens['vendor']}"}) as client:
        for host in ("first", "second"):
            answer = await client.get(f"http://{host}:8002/v1/explain", params={"vendor": "vendor", "case": "case"})
            assert answer.status_code == 404
            assert "owner" not in answer.text
    async with httpx2.AsyncClient(transport=evaluators) as client:
        assert (await client.get("http://second:8002/v1/explain", params={"vendor": "vendor", "case": "case"})).status_code == 401
