"""ingest over HTTP, on memory adapters: what a vendor's integrator gets for what."""

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.ingest import core
from services.ingest.intake import Limits
from tests.unit.ingest.world import BATCH, NDJSON, NOW, STRUCTURED, World, event, ndjson, post


@pytest.fixture
def world() -> World:
    return World()


BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "b1",
    "ce-source": "/acme/desk",
    "ce-type": "ticket.opened",
    "ce-subject": "INC-1",
    "ce-time": "2026-03-02T09:00:00Z",
    "ce-service": "helpdesk",
}


class TestModes:
    async def test_one_event(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            answer = await post(client, event())
        assert answer.status_code == 202
        assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected_count": 0, "rejected": []}
        assert world.written() == [event(slwrole="vendor")]
        assert answer.headers["x-request-id"]

    async def test_batch_says_which_were_rejected_and_why(self, world: World) -> None:
        batch = [event(id="1"), event(id="2", time="yesterday"), event(id="3", vendor="other"), event(id="4"), 7]
        async with world.client(await world.key()) as client:
            answer = await post(client, batch, BATCH)
        assert answer.status_code == 202
        said = answer.json()
        assert (said["accepted"], said["rejected_count"]) == (2, 3)
        assert [(r["index"], r["id"], r["type"], r["pointer"]) for r in said["rejected"]] == [
            (1, "2", "urn:slawatch:problem:not-an-event", "/time"),
            (2, "3", "urn:slawatch:problem:foreign-vendor", "/vendor"),
            (4, None, "urn:slawatch:problem:not-an-event", ""),
        ]
        assert {e["id"] for e in world.written()} == {"1", "4"}

    async def test_a_batch_of_nothing_acceptable_is_still_answered_with_a_receipt(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            assert (await post(client, [{}], BATCH)).json()["rejected_count"] == 1
            assert (await post(client, [], BATCH)).json()["accepted"] == 0

    async def test_stream(self, world: World) -> None:
        lines = ndjson([event(id=str(n)) for n in range(3)]) + b"\r\n\nnot json\n" + ndjson([event(id="last")]).rstrip()
        async with world.client(await world.key()) as client:
            answer = await post(client, lines, NDJSON)
        assert answer.status_code == 202
        said = answer.json()
        assert (said["accepted"], said["lines"], said["rejected_count"]) == (4, 7, 1)
        assert said["rejected"][0]["index"] == 5

    async def test_binary(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            headers = {**BINARY, "ce-subject": "caf%C3%A9%20%E2%82%AC", "ce-type": '"quoted \\"type\\""'}
            answer = await post(client, {"p": 1}, "application/json", **headers)
        assert answer.status_code == 202
        (written,) = world.written()
        assert written["subject"] == "café €"
        assert written["type"] == 'quoted "type"'
        assert written["data"] == {"p": 1}
        assert written["vendor"] == "acme"

    async def test_binary_without_data(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            answer = await post(client, b"", None, **BINARY)
        assert answer.status_code == 202
        assert "data" not in world.written()[0]

    @pytest.mark.parametrize("content_type", [STRUCTURED, BATCH, NDJSON])
    async def test_gzip(self, world: World, content_type: str) -> None:
        body = {STRUCTURED: json.dumps(event()).encode(), BATCH: json.dumps([event()]).encode(), NDJSON: ndjson([event()])}[content_type]
        async with world.client(await world.key()) as client:
            answer = await post(client, body, content_type, Content_Encoding="gzip")
        assert answer.json()["accepted"] == 1

    async def test_two_gzip_members_are_one_body(self, world: World) -> None:
        body = gzip.compress(ndjson([event(id="1")])) + gzip.compress(ndjson([event(id="2")]))
        async with world.client(await world.key()) as client:
            assert (await post(client, body, NDJSON, Content_Encoding="gzip")).json()["accepted"] == 2

    async def test_unicode_is_kept_as_it_is(self, world: World) -> None:
        sent = event(subject="工单-42 🎫", data={"原因": "e\u0301 stays two characters"})
        async with world.client(await world.key()) as client:
            assert (await post(client, sent)).status_code == 202
        assert world.written() == [{**sent, "slwrole": "vendor"}]


RUBBISH: list[tuple[str, Any, int, str]] = [
    ("nothing", b"", 400, "not-json"),
    ("text", b"hello", 400, "not-json"),
    ("half an event", json.dumps(event()).encode()[:-1], 400, "not-json"),
    ("NaN", b'{"data": {"x": NaN}}', 400, "not-json"),
    ("Infinity", b'{"data": {"x": -Infinity}}', 400, "not-json"),
    ("a number out of range", b'{"data": {"x": 1e999}}', 400, "not-json"),
    ("a number of 5000 digits", b'{"data": {"x": ' + b"1" * 5000 + b"}}", 400, "not-json"),
    ("a duplicate key", b'{"id": "1", "id": "2"}', 400, "not-json"),
    ("a duplicate key deep inside", b'{"data": {"a": [{"b": 1, "b": 1}]}}', 400, "not-json"),
    ("a duplicate key, escaped", b'{"id": "1", "\\u0069d": "2"}', 400, "not-json"),
    ("bad UTF-8", b'{"id": "\xff\xfe"}', 400, "not-json"),
    ("UTF-16", json.dumps(event()).encode("utf-16"), 400, "not-json"),
    ("half a surrogate pair in an attribute", json.dumps(event(subject="\ud800")).encode(), 400, "not-json"),
    ("half a surrogate pair in data", json.dumps(event(data={"x": "\ud800"})).encode(), 400, "not-json"),
    ("half a surrogate pair in a name", json.dumps({**event(), "\ud800": 1}).encode(), 422, "not-an-event"),
    ("too deep", b'{"data": {"x": ' + b"[" * 40 + b"]" * 40 + b"}}", 400, "not-json"),
    ("deep enough to hurt", b"[" * 9_000, 400, "not-json"),
    ("too large", json.dumps(event(data={"x": "x" * 10_000})).encode(), 413, "too-large"),
    ("a list", [event()], 422, "not-an-event"),
    ("a number", 7, 422, "not-an-event"),
    ("null", None, 422, "not-an-event"),
    ("no specversion", event(specversion=None), 422, "not-an-event"),
    ("another specversion", event(specversion="0.3"), 422, "not-an-event"),
    ("specversion a number", event(specversion=1.0), 422, "not-an-event"),
    *((f"no {name}", event(**{name: None}), 422, "not-an-event") for name in ("id", "source", "type", "subject", "time", "service")),
    *((f"empty {name}", event(**{name: ""}), 422, "not-an-event") for name in ("id", "source", "type", "subject", "service", "vendor")),
    ("id a number", event(id=7), 422, "not-an-event"),
    ("id an object", event(id={}), 422, "not-an-event"),
    ("an endless subject", event(subject="x" * 1_025), 422, "not-an-event"),
    ("a line break in the subject", event(subject="INC-1\r\nX-Evil: 1"), 422, "not-an-event"),
    ("time without offset", event(time="2026-03-02T09:00:00"), 422, "not-an-event"),
    ("no such day", event(time="2026-02-30T09:00:00Z"), 422, "not-an-event"),
    ("the last second of the calendar", event(time="9999-12-31T23:59:60Z"), 422, "not-an-event"),
    ("the edge of the calendar", event(time="0001-01-01T00:00:00+23:00"), 422, "not-an-event"),
    ("time in the future", event(time="2026-03-02T10:05:00.001Z"), 422, "future-time"),
    ("data a string", event(data="x"), 422, "not-an-event"),
    ("data a list", event(data=[]), 422, "not-an-event"),
    ("data of XML", event(datacontenttype="text/xml"), 422, "not-an-event"),
    ("binary data", event(data=None, data_base64="eA=="), 422, "not-an-event"),
    ("an attribute in capitals", event(Priority="P1"), 422, "not-an-event"),
    ("an attribute that is an object", event(region={"x": 1}), 422, "not-an-event"),
    ("an attribute that is a fraction", event(region=1.5), 422, "not-an-event"),
    ("slawatch's own type", event(type="slawatch.breach.opened"), 422, "not-an-event"),
    ("a forged role", event(slwrole="customer"), 422, "not-an-event"),
    ("another vendor", event(vendor="globex"), 403, "foreign-vendor"),
]


class TestRubbish:
    @pytest.mark.parametrize(("body", "status", "name"), [case[1:] for case in RUBBISH], ids=[case[0] for case in RUBBISH])
    async def test_gets_the_specified_answer(self, world: World, body: Any, status: int, name: str) -> None:
        async with world.client(await world.key()) as client:
            answer = await post(client, body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        problem = answer.json()
        assert problem["type"] == f"urn:slawatch:problem:{name}"
        assert problem["status"] == status
        assert problem["detail"]
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert world.written() == []

    @pytest.mark.parametrize(("body", "name"), [(case[1], case[3]) for case in RUBBISH[1:]], ids=[case[0] for case in RUBBISH[1:]])
    async def test_spoils_nothing_else_of_a_stream(self, world: World, body: Any, name: str) -> None:
        line = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with world.client(await world.key()) as client:
            answer = await post(client, ndjson([event(id="a")]) + line + b"\n" + ndjson([event(id="b")]), NDJSON)
        assert answer.status_code == 202
        assert answer.json()["accepted"] == 2
        assert [r["type"] for r in answer.json()["rejected"]] == [f"urn:slawatch:problem:{name}"]

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (b"[{}", BATCH, 400),
            (b"{}", BATCH, 422),
            (b"[" * 50_000, BATCH, 400),
            (b"[NaN]", BATCH, 400),
            (json.dumps([{}] * 101).encode(), BATCH, 413),
            (b"[" + b" " * 100_000 + b"]", BATCH, 413),
            (b"{}", "text/plain", 415),
            (b"{}", "application/json", 415),
            (b"{}", "application/cloudevents+xml", 415),
            (b"{}", STRUCTURED + "; charset=latin-1", 415),
            (b"", None, 415),
        ],
    )
    async def test_bodies(self, world: World, body: bytes, content_type: str | None, status: int) -> None:
        async with world.client(await world.key()) as client:
            answer = await post(client, body, content_type)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("headers", "body", "status"),
        [
            ({"ce-id": "%ff"}, b"", 422),
            ({"ce-data": "{}"}, b"", 422),
            ({"ce-slwrole": "customer"}, b"", 422),
            ({"ce-My_Ext": "1"}, b"", 422),
            ({}, b"[1]", 422),
            ({}, b"{", 400),
            ({"content-type": "text/xml"}, b"<x/>", 415),
            ({"ce-specversion": "2.0"}, b"", 422),
        ],
    )
    async def test_binary_mode(self, world: World, headers: dict[str, str], body: bytes, status: int) -> None:
        async with world.client(await world.key()) as client:
            content_type = headers.get("content-type", "application/json")
            answer = await post(client, body, content_type, **{**BINARY, **headers})
        assert answer.status_code == status

    async def test_encodings(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            assert (await post(client, event(), STRUCTURED, Content_Encoding="br")).status_code == 415
            whole = gzip.compress(json.dumps(event()).encode())
            cut = await post(client, whole[:-9], STRUCTURED, Content_Encoding="gzip")
            junk = await post(client, b"\x1f\x8bjunk", STRUCTURED, Content_Encoding="gzip")
        assert (cut.status_code, junk.status_code) == (400, 400)

    async def test_a_gzip_bomb_is_refused_before_it_unfolds(self, world: World) -> None:
        bomb = gzip.compress(b" " * 50_000_000)
        async with world.client(await world.key()) as client:
            for content_type in (STRUCTURED, BATCH):
                assert (await post(client, bomb, content_type, Content_Encoding="gzip")).status_code == 413
            line = await post(client, bomb, NDJSON, Content_Encoding="gzip")
        assert line.json()["rejected"][0]["type"] == "urn:slawatch:problem:too-large"
        assert world.metric("slawatch_ingest_in_flight_bytes") == 0


class TestKeys:
    async def test_without_one(self, world: World) -> None:
        async with world.client() as client:
            answer = await post(client, event())
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("text", ["nonsense", "slw_test_000000000000_" + "0" * 40 + "_00000000", "\u00e9"])
    async def test_wrong(self, world: World, text: str) -> None:
        async with world.client() as client:
            answer = await client.post("/v1/events", headers=[(b"Authorization", f"Bearer {text}".encode("latin-1"))])
        assert answer.status_code == 401

    async def test_a_persons_token_does_not_post_events(self, world: World) -> None:
        async with world.client(await world.key("operator", kind="token")) as client:
            answer = await post(client, event())
        assert answer.status_code == 403

    async def test_roles_are_stamped(self, world: World) -> None:
        for role, sent in (("vendor", "1"), ("customer", "2"), ("operator", "3")):
            async with world.client(await world.key(role)) as client:
                assert (await post(client, event(id=sent))).status_code == 202
        assert {e["id"]: e["slwrole"] for e in world.written()} == {"1": "vendor", "2": "customer", "3": "operator"}

    async def test_a_customer_posts_for_the_vendors_it_names(self, world: World) -> None:
        async with world.client(await world.key("customer", "acme", "globex")) as client:
            assert (await post(client, event(vendor="globex"))).status_code == 202
            assert (await post(client, event(vendor="initech"))).status_code == 403
            assert (await post(client, event(vendor=None))).status_code == 422

    async def test_the_vendor_is_the_keys_own_where_left_out(self, world: World) -> None:
        async with world.client(await world.key("vendor", "globex")) as client:
            assert (await post(client, event(vendor=None))).status_code == 202
        assert world.written()[0]["vendor"] == "globex"

    async def test_nothing_but_health_metrics_and_docs_is_open(self, world: World) -> None:
        async with world.client() as client:
            for path in ("/healthz", "/metrics", "/docs", "/openapi.json"):
                assert (await client.get(path)).status_code == 200, path
            assert (await client.post("/v1/events")).status_code == 401

    async def test_while_the_store_is_away_known_keys_go_on_and_unknown_ones_wait(self, world: World) -> None:
        known, unknown = await world.key(name="known"), await world.key(name="unknown")
        async with world.client(known) as client:
            assert (await post(client, event(id="1"))).status_code == 202
            world.store.available = False
            await world.time.advance(60)
            assert (await post(client, event(id="2"))).status_code == 202
        async with world.client(unknown) as client:
            answer = await post(client, event(id="3"))
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0


class TestErrors:
    async def test_unknown_routes_and_methods_are_problems_and_never_redirects(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            for method, path, status in (("GET", "/nope", 404), ("GET", "/v1/events", 405), ("POST", "/v1/events/", 404)):
                answer = await client.request(method, path)
                assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")

    async def test_the_callers_request_id_is_kept_if_it_is_harmless(self, world: World) -> None:
        async with world.client() as client:
            assert (await client.get("/nope", headers={"X-Request-Id": "abc-1"})).json()["request_id"] == "abc-1"
            assert (await client.get("/nope", headers={"X-Request-Id": "a b<>"})).json()["request_id"] != "a b<>"


class TestRepetition:
    async def test_the_same_event_again_is_a_duplicate(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            await post(client, event())
            again = await post(client, {**dict(reversed(event().items())), "datacontenttype": None})
            assert again.json()["duplicates"] == 1
            batch = await post(client, [event(), event(id="n"), event(id="n")], BATCH)
        assert (batch.json()["accepted"], batch.json()["duplicates"]) == (1, 2)
        assert len(world.written()) == 2

    async def test_the_same_id_with_other_content_is_a_conflict(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            await post(client, event())
            answer = await post(client, event(data={"priority": "P2"}))
            batch = await post(client, [event(subject="other"), event(id="new"), event(id="new", subject="x")], BATCH)
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["pointer"] == "/id"
        assert [(r["index"], r["type"]) for r in batch.json()["rejected"]] == [
            (0, "urn:slawatch:problem:conflict"),
            (2, "urn:slawatch:problem:conflict"),
        ]

    async def test_what_was_never_acknowledged_is_not_a_duplicate(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            with world.broker_away():
                assert (await post(client, event())).status_code == 503
            assert (await post(client, event())).json()["accepted"] == 1

    async def test_another_vendor_or_source_may_use_the_same_id(self, world: World) -> None:
        async with world.client(await world.key("customer")) as client:
            for other in ({}, {"vendor": "globex"}, {"source": "/acme/other"}):
                assert (await post(client, event(**other))).json()["accepted"] == 1


class TestBrokerAway:
    @pytest.mark.parametrize("content_type", [STRUCTURED, BATCH, NDJSON])
    async def test_503_and_back_again(self, world: World, content_type: str) -> None:
        body = {STRUCTURED: json.dumps(event()).encode(), BATCH: json.dumps([event()]).encode(), NDJSON: ndjson([event()])}[content_type]
        async with world.client(await world.key()) as client:
            with world.broker_away():
                answer = await post(client, body, content_type)
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
            assert (await post(client, body, content_type)).status_code == 202
        assert world.metric("slawatch_produce_failures_total") == 1

    async def test_a_stream_says_where_to_go_on(self) -> None:
        world = World()
        lines = [event(id=str(n)) for n in range(1_000)]

        async def body() -> Any:
            yield ndjson(lines[:600])
            world.log.available = False
            yield ndjson(lines[600:])

        key = await world.key()
        async with world.client(key) as client:
            answer = await client.post("/v1/events", content=body(), headers={"Content-Type": NDJSON})
            assert answer.status_code == 503
            said = answer.json()
            assert said["accepted"] == said["lines"] == 500
            world.log.available = True
            rest = await post(client, ndjson(lines[said["lines"] :]), NDJSON)
        assert rest.json()["accepted"] == 500
        assert len(world.written()) == 1_000

    async def test_ready_says_what_is_missing(self, world: World) -> None:
        async with world.client() as client:
            await world.probes.ask()
            assert (await client.get("/readyz")).status_code == 200
            with world.broker_away():
                await world.probes.ask()
                answer = await client.get("/readyz")
                assert (answer.status_code, list(answer.json()["missing"])) == (503, ["broker"])
            world.store.available = False
            await world.probes.ask()
            assert list((await client.get("/readyz")).json()["missing"]) == ["database"]
            assert (await client.get("/healthz")).status_code == 200


class TestLimits:
    async def test_a_flooding_vendor_is_held_and_its_neighbours_are_not(self) -> None:
        world = World(quota=10)
        flooder, neighbour = await world.key("vendor", "acme"), await world.key("vendor", "globex")
        async with world.client(flooder) as client:
            for first in (0, 100):  # the burst, and a debt of one batch
                batch = [event(id=str(n)) for n in range(first, first + 100)]
                assert (await post(client, batch, BATCH)).status_code == 202
            answer = await post(client, event(id="more"))
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) == 10
            async with world.client(neighbour) as other:
                assert (await post(other, event(vendor="globex"))).status_code == 202
            await world.time.advance(10.1)
            assert (await post(client, event(id="more"))).status_code == 202

    async def test_a_stream_beyond_the_quota_is_slowed_down_not_refused(self) -> None:
        world = World(quota=100)
        async with world.client(await world.key()) as client:
            running = asyncio.ensure_future(post(client, ndjson([event(id=str(n)) for n in range(2_000)]), NDJSON))
            await world.time.advance(1)
            assert 1_000 <= len(world.written()) < 2_000
            await world.time.advance(30)
            assert (await running).json()["accepted"] == 2_000

    async def test_bytes_in_flight_are_bounded_per_poster_and_in_all(self) -> None:
        world = World(in_flight=20_000)
        body = json.dumps([event(data={"x": "x" * 9_000})] * 2).encode()
        async with world.client(await world.key()) as client:
            assert (await post(client, body, BATCH)).status_code == 429
            world.in_flight.change("somebody else", 9_000)
            world.in_flight.change("a third one", 9_000)
            answer = await post(client, event(data={"x": "x" * 3_000}))
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
        assert world.metric("slawatch_ingest_in_flight_bytes") == 18_000

    async def test_a_body_that_does_not_come(self) -> None:
        world = World(limits=Limits(10_000, 100_000, 100, body_timeout_s=0.05))

        async def body() -> Any:
            yield b'{"specversion":'
            await asyncio.sleep(1)
            yield b'"1.0"}'

        async with world.client(await world.key()) as client:
            answer = await client.post("/v1/events", content=body(), headers={"Content-Type": STRUCTURED})
        assert answer.status_code == 408

    async def test_the_list_of_rejected_lines_is_bounded(self, world: World) -> None:
        async with world.client(await world.key()) as client:
            said = (await post(client, b"{}\n" * 3_000, NDJSON)).json()
        assert (said["rejected_count"], len(said["rejected"])) == (3_000, 1_000)


class TestEventTimeMode:
    async def test_no_time_is_too_far_ahead(self) -> None:
        world = World(skew_ms=None)
        async with world.client(await world.key()) as client:
            assert (await post(client, event(time="2036-01-01T00:00:00Z"))).status_code == 202

    async def test_in_log_mode_the_skew_is_allowed(self, world: World) -> None:
        assert world.time.wall() == NOW
        async with world.client(await world.key()) as client:
            assert (await post(client, event(time="2026-03-02T10:05:00Z"))).status_code == 202


async def test_metrics_count_what_happened(world: World) -> None:
    async with world.client(await world.key()) as client:
        await post(client, [event(id="1"), event(id="1"), {}], BATCH)
        text = (await client.get("/metrics")).text
    assert 'slawatch_events_accepted_total{vendor="acme"} 1.0' in text
    assert 'slawatch_events_duplicate_total{vendor="acme"} 1.0' in text
    assert 'slawatch_events_rejected_total{reason="not-an-event",vendor="acme"} 1.0' in text
    assert 'slawatch_ingest_requests_total{mode="batch",status="202"} 1.0' in text
    assert "slawatch_produce_seconds_count 1.0" in text


async def test_the_guide_for_integrators_says_what_is_so() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "integrator.md").read_text()
    commands = [command.split("\n\n")[0] for command in guide.split("curl -i")[1:]]
    posts = [command for command in commands if " -d '" in command]
    assert (len(commands), len(posts)) == (4, 3)
    for command in posts:
        world = World()
        body = command.partition(" -d '")[2].rpartition("'")[0]
        async with world.client(await world.key()) as client:
            answer = await client.post("/v1/events", content=body.encode(), headers=dict(re.findall(r"-H '([\w-]+): (.*?)'", command)))
        assert answer.status_code == 202, command
        assert answer.json()["accepted"] == max(1, body.count("specversion"))
        assert answer.json()["rejected"] == []
    reasons = (core.NOT_JSON, core.TOO_LARGE, core.NOT_AN_EVENT, core.FUTURE_TIME, core.FOREIGN_VENDOR, core.CONFLICT)
    assert {reason.name for reason in reasons} <= set(re.findall(r"`([a-z-]+)`", guide))
