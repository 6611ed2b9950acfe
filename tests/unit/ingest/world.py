"""ingest over memory adapters: the same application as in production, without broker and database."""

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.ingest import api
from services.ingest.core import Rules
from services.ingest.intake import Intake, Limits
from services.ingest.metrics import Metrics
from services.ingest.pipeline import InFlight, Pipeline
from services.ingest.probes import Probes
from services.ingest.quota import Quotas
from shared.adapters.memory.credentials import MemoryCredentials
from shared.adapters.memory.log import MemoryLog, MemoryWriter
from shared.adapters.memory.time import VirtualTime
from shared.ports.credentials import Kind
from shared.runtime.credentials import Authenticator, create_credential
from shared.sla.instants import parse_instant

TOPIC = "events"
NOW = parse_instant("2026-03-02T10:00:00Z")
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
PEPPER = b"pepper of the tests"


def event(**changes: Any) -> dict[str, Any]:
    """An acceptable event; None takes an attribute away."""
    made = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/acme/desk",
        "type": "ticket.opened",
        "subject": "INC-1",
        "time": "2026-03-02T09:00:00Z",
        "vendor": "acme",
        "service": "helpdesk",
        "data": {"priority": "P1"},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def ndjson(events: Sequence[Any]) -> bytes:
    """One line each."""
    return "".join(json.dumps(one) + "\n" for one in events).encode()


class World:
    """Everything that a test may turn."""

    def __init__(
        self, *, quota: float = 1e6, in_flight: int = 10_000_000, limits: Limits | None = None, skew_ms: int | None = 300_000
    ) -> None:
        self.time = VirtualTime(NOW)
        self.log = MemoryLog(self.time, {TOPIC: 4})
        self.store = MemoryCredentials()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.limits = limits or Limits(event_bytes=10_000, body_bytes=100_000, batch_events=100, body_timeout_s=5)
        self.authenticator = Authenticator(self.store, PEPPER, "test", self.time)
        writer = MemoryWriter(self.log)
        self.pipeline = Pipeline(writer, TOPIC, self.time, self.metrics)
        self.quotas = Quotas(quota, self.time)
        self.in_flight = InFlight(in_flight, self.metrics)
        rules = Rules(self.limits.event_bytes, skew_ms)
        self.intake = Intake(self.pipeline, self.in_flight, self.quotas, rules, self.limits, self.time, self.metrics)
        self.probes = Probes(writer, TOPIC, self.store, self.authenticator, self.time, self.metrics)
        self.app: FastAPI = api.build(self.intake, self.authenticator, self.registry, self.probes.missing)

    async def key(self, role: str = "vendor", *vendors: str, kind: Kind = "key", name: str = "k") -> str:
        """The text of a new key (or token)."""
        given = vendors or (("acme",) if role == "vendor" else ())
        return (await create_credential(self.store, PEPPER, "test", kind, role, given, name, NOW))[1]

    def client(self, key: str = "") -> httpx2.AsyncClient:
        """An HTTP client that sends this key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://ingest", headers=headers)

    def written(self) -> list[dict[str, Any]]:
        """The events in the log, by arrival."""
        records = [record for p in range(4) for record in self.log.records(TOPIC, p)]
        return [json.loads(record.value) for record in sorted(records, key=lambda record: record.timestamp)]

    def metric(self, name: str, **labels: str) -> float:
        """The value that /metrics shows."""
        return self.registry.get_sample_value(name, labels) or 0

    @contextmanager
    def broker_away(self) -> Iterator[None]:
        self.log.available = False
        yield
        self.log.available = True


async def post(client: httpx2.AsyncClient, body: Any, content_type: str | None = STRUCTURED, **headers: str) -> httpx2.Response:
    """Post JSON, or bytes as they are; `Content_Encoding="gzip"` compresses."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if named.get("Content-Encoding") == "gzip" and not content.startswith(b"\x1f\x8b"):
        content = gzip.compress(content)
    if content_type is not None:
        named["Content-Type"] = content_type
    return await client.post("/v1/events", content=content, headers=named)
