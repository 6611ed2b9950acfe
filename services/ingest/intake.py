"""One post to /v1/events, in any of the four content modes: read, judge, append, answer."""

import math
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from fastapi import Request

from services.ingest import core
from services.ingest.body import BadEncoding, Body, Decoder, Disconnected, Gunzip, Lines, Plain, TooSlow, pieces
from services.ingest.core import Admitted, Poster, Refused, Rules
from services.ingest.metrics import Metrics
from services.ingest.pipeline import Full, Hold, InFlight, Pipeline
from services.ingest.quota import Quotas
from shared.ports.credentials import Credential
from shared.ports.log import LogUnavailable, RecordTooLarge
from shared.ports.time import TimeSource
from shared.runtime.problems import TYPE_PREFIX, Problem, too_many, unavailable
from shared.runtime.settings import Settings

Mode = Literal["structured", "batch", "stream", "binary"]
MEDIA_TYPES: Final[dict[str, Mode]] = {
    "application/cloudevents+json": "structured",
    "application/cloudevents-batch+json": "batch",
    "application/x-ndjson": "stream",
}
MOST_REJECTED_LISTED: Final = 1_000  # entries of `rejected`; `rejected_count` counts them all
CHUNK_LINES: Final = 500  # of a stream: appended together
CHUNK_BYTES: Final = 256_000
IDLE_S: Final = 0.2  # a stream that pauses this long has what it sent so far appended
JUDGED_AT_ONCE: Final = 200  # events of a batch, before other requests get their turn


class Limits(NamedTuple):
    """What a request may hold, in bytes, events and seconds."""

    event_bytes: int
    body_bytes: int
    batch_events: int
    body_timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Those that the settings name."""
        return cls(settings.max_event_bytes, settings.max_body_bytes, settings.max_batch_events, settings.body_timeout_s)


class Tally:
    """What became of the events of one request so far. `vendor`: whose key posts them; None: a key of others."""

    def __init__(self, metrics: Metrics, vendor: str | None) -> None:
        self._metrics, self._vendor = metrics, vendor
        self.accepted = self.duplicates = self.rejected_count = 0
        self.rejected: list[dict[str, Any]] = []

    def reject(self, index: int, refused: Refused) -> None:
        """An event that is not let in, by its place in the request."""
        self.refuse(refused)
        self.rejected_count += 1
        if len(self.rejected) < MOST_REJECTED_LISTED:
            entry = {
                "index": index,
                "id": refused.event_id,
                "type": TYPE_PREFIX + refused.reason.name,
                "title": refused.reason.title,
                "detail": refused.detail,
                "pointer": refused.pointer,
            }
            self.rejected.append(entry)

    def refuse(self, refused: Refused) -> None:
        """Count an event that is not let in, without a line for it."""
        self._metrics.count_rejected(refused.reason.name, self._vendor, refused.vendor)

    def receipt(self) -> dict[str, Any]:
        """The answer's body."""
        counts = {"accepted": self.accepted, "duplicates": self.duplicates}
        return {**counts, "rejected_count": self.rejected_count, "rejected": self.rejected}


def problem_of(refused: Refused) -> Problem:
    """The answer to a request that is one event, or is refused as a whole."""
    reason = refused.reason
    errors = [(refused.pointer, refused.detail)] if refused.pointer else []
    return Problem(reason.status, reason.name, reason.title, refused.detail, errors=errors)


def mode_of(request: Request) -> Mode:
    """The content mode. Raises Problem 415."""
    content_type, _, parameters = request.headers.get("content-type", "").partition(";")
    media_type = content_type.strip().lower()
    charset = next((value for name, _, value in (p.partition("=") for p in parameters.split(";")) if name.strip().lower() == "charset"), "")
    if charset.strip(' "').lower() not in ("", "utf-8", "utf8", "us-ascii"):
        raise _unsupported(f"the charset must be UTF-8, not {charset.strip()}")
    mode = MEDIA_TYPES.get(media_type)
    if mode is not None:
        return mode
    if media_type.startswith("application/cloudevents"):
        raise _unsupported(f"{media_type} is not taken: one of {', '.join(MEDIA_TYPES)}")
    if any(name.startswith("ce-") for name in request.headers):
        if media_type and not core.is_json_type(media_type):
            raise _unsupported(f"data of an event is JSON: Content-Type application/json, not {media_type}")
        return "binary"
    what = f"Content-Type {media_type}" if media_type else "a body without Content-Type"
    raise _unsupported(f"{what} is not taken: one of {', '.join(MEDIA_TYPES)}, or application/json with ce-* headers")


def _unsupported(detail: str, **headers: str) -> Problem:
    return Problem(415, "unsupported-media-type", "Unsupported media type", detail, headers=headers or {"Accept": ", ".join(MEDIA_TYPES)})


def _own_vendor(credential: Credential) -> str | None:
    """The vendor that posts for itself; None: a key that posts for others."""
    return credential.vendors[0] if credential.role == "vendor" and credential.vendors else None


def _decoder(request: Request) -> Decoder:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return Gunzip()
    if encoding in ("identity", ""):
        return Plain()
    raise _unsupported(f"Content-Encoding {encoding} is not taken: gzip or none", **{"Accept-Encoding": "gzip, identity"})


def _too_large(what: str) -> Problem:
    return Problem(core.TOO_LARGE.status, core.TOO_LARGE.name, core.TOO_LARGE.title, what)


class Intake:
    """What all requests share."""

    def __init__(
        self, pipeline: Pipeline, in_flight: InFlight, quotas: Quotas, rules: Rules, limits: Limits, time: TimeSource, metrics: Metrics
    ) -> None:
        self.pipeline, self.in_flight, self.quotas = pipeline, in_flight, quotas
        self.rules, self.limits, self.time, self.metrics = rules, limits, time, metrics

    async def post(self, request: Request, credential: Credential) -> dict[str, Any]:
        """The receipt, once the broker has every accepted event. Raises Problem."""
        mode: Mode | Literal["unknown"] = "unknown"
        status = 500
        try:
            mode = mode_of(request)
            bucket = Quotas.bucket_of(credential)
            self._check_quota(bucket, _own_vendor(credential))
            with self.in_flight.hold(bucket) as hold:
                receipt = await _Post(self, request, credential, bucket, hold).run(mode)
            status = 202
            return receipt
        except Problem as wrong:
            status = wrong.status
            raise
        finally:
            self.metrics.requests.labels(mode, str(status)).inc()

    def _check_quota(self, bucket: str, vendor: str | None) -> None:
        wait = self.quotas.wait_s(bucket)
        if wait > 0:
            self.metrics.count_rejected("quota", vendor)
            raise too_many("more events than the quota allows", retry_after_s=math.ceil(wait))


class _Post:
    """One request."""

    def __init__(self, intake: Intake, request: Request, credential: Credential, bucket: str, hold: Hold) -> None:
        self._intake, self._request, self._bucket, self._hold = intake, request, bucket, hold
        self._poster = Poster(credential.role, credential.vendors)
        self._body = Body(request.receive)
        self._decoder = _decoder(request)
        self._tally = Tally(intake.metrics, _own_vendor(credential))
        self._stream: _Stream | None = None

    async def run(self, mode: Mode) -> dict[str, Any]:
        """Raises Problem."""
        reading = {"structured": self._structured, "binary": self._binary, "batch": self._batch, "stream": self._lines}
        try:
            return await reading[mode]()
        except Refused as wrong:
            self._tally.refuse(wrong)
            raise problem_of(wrong) from None
        except BadEncoding as wrong:
            raise Problem(400, "bad-encoding", "Not decodable", str(wrong), more=self._so_far()) from None
        except TooSlow:
            raise Problem(408, "timeout", "The body did not come", "send it without pauses", more=self._so_far()) from None
        except Disconnected:
            raise Problem(400, "disconnected", "The client is gone", "nobody reads this", more=self._so_far()) from None
        except RecordTooLarge as wrong:
            raise _too_large(f"the broker takes no record of this size: {wrong}") from None
        except Full as full:
            if full.own:
                raise too_many("your requests under way hold as many bytes as one poster may", retry_after_s=1) from None
            raise unavailable("too many bytes are under way; nothing more was taken", more=self._so_far()) from None
        except LogUnavailable:
            raise unavailable("the broker does not answer; send again what is not acknowledged", more=self._so_far()) from None

    def _so_far(self) -> dict[str, Any]:
        """Extension members of a problem: of a stream, what stands in the log already."""
        return {} if self._stream is None else {**self._tally.receipt(), "lines": self._stream.done}

    async def _read(self, most: int) -> bytes:
        """The whole decoded body, at most so many bytes. Raises Problem 413 and what `pieces` raises, Full."""
        declared = self._request.headers.get("content-length", "")
        if isinstance(self._decoder, Plain) and declared.isdecimal() and int(declared) > most:
            raise _too_large(f"at most {most} bytes; this is {declared}")
        read = bytearray()
        async for piece in pieces(self._body, self._decoder, self._intake.limits.body_timeout_s):
            if len(read) + len(piece) > most:
                raise _too_large(f"at most {most} bytes after decompression")
            read += piece
            self._hold.resize(len(read))
        return bytes(read)

    async def _structured(self) -> dict[str, Any]:
        raw = await self._read(self._intake.limits.event_bytes)
        self._intake.quotas.take(self._bucket, 1)
        return await self._single(core.parse(raw, self._intake.rules))

    async def _binary(self) -> dict[str, Any]:
        raw = await self._read(self._intake.limits.event_bytes)
        self._intake.quotas.take(self._bucket, 1)
        headers = [(name.decode("latin-1"), value) for name, value in self._request.headers.raw]
        content_type = self._request.headers.get("content-type", "application/json")
        return await self._single(core.from_headers(headers, content_type, raw, self._intake.rules))

    async def _single(self, event: Any) -> dict[str, Any]:
        admitted = core.admit(event, self._poster, self._intake.rules, self._intake.time.wall())
        outcome = await self._intake.pipeline.append([admitted])
        if outcome.refused:
            raise outcome.refused[0][1]
        self._tally.accepted, self._tally.duplicates = outcome.accepted, outcome.duplicates
        return self._tally.receipt()

    async def _batch(self) -> dict[str, Any]:
        raw = await self._read(self._intake.limits.body_bytes)
        elements = core.split_batch(raw)
        if len(elements) > self._intake.limits.batch_events:
            raise _too_large(f"at most {self._intake.limits.batch_events} events in a batch; this one has {len(elements)}")
        self._intake.quotas.take(self._bucket, len(elements))
        judged = _Judged()
        for first in range(0, len(elements), JUDGED_AT_ONCE):
            self._judge(judged, first, elements[first : first + JUDGED_AT_ONCE])
            await self._intake.time.sleep(0)
        self._hold.resize(len(raw) + judged.bytes)
        await self._append(judged)
        return self._tally.receipt()

    def _judge(self, judged: "_Judged", first: int, elements: Sequence[msgspec.Raw | bytes | None]) -> None:
        """Sort elements, of which the first has the place `first`. None is a line too long to keep; empty ones are skipped."""
        rules, now = self._intake.rules, self._intake.time.wall()
        for index, element in enumerate(elements, first):
            if element == b"":
                continue
            try:
                if element is None:
                    raise Refused(core.TOO_LARGE, f"an event has at most {rules.max_event_bytes} bytes")
                event = core.admit(core.parse(bytes(element), rules), self._poster, rules, now)
            except Refused as wrong:
                judged.refused.append((index, wrong))
            else:
                judged.admitted.append(event)
                judged.places.append(index)

    async def _append(self, judged: "_Judged") -> None:
        """Append, then tally: what failed is sent again, so its rejected ones are not counted now. Raises LogUnavailable."""
        outcome = await self._intake.pipeline.append(judged.admitted)
        self._tally.accepted += outcome.accepted
        self._tally.duplicates += outcome.duplicates
        conflicts = [(judged.places[position], refused) for position, refused in outcome.refused]
        for index, refused in sorted(judged.refused + conflicts, key=lambda one: one[0]):
            self._tally.reject(index, refused)

    async def _lines(self) -> dict[str, Any]:
        stream = self._stream = _Stream(self._intake.limits)
        while (part := await self._next_part(stream)) is not None:
            for piece in self._decoder.feed(part):
                stream.feed(piece)
                while stream.full:
                    await self._flush(stream)
        self._decoder.end()
        stream.end()
        await self._flush_all(stream)
        return self._so_far()

    async def _next_part(self, stream: "_Stream") -> bytes | None:
        """The next part of the body; while none comes, what came before is appended. Raises TooSlow, Disconnected, LogUnavailable."""
        try:
            return await self._body.next(IDLE_S)
        except TooSlow:
            await self._flush_all(stream)
            return await self._body.next(self._intake.limits.body_timeout_s)

    async def _flush_all(self, stream: "_Stream") -> None:
        while stream.pending:
            await self._flush(stream)

    async def _flush(self, stream: "_Stream") -> None:
        lines = stream.chunk()
        await self._intake.time.sleep(0)  # other requests get their turn
        while (wait := self._intake.quotas.wait_s(self._bucket)) > 0:
            await self._intake.time.sleep(wait)  # a stream is slowed down, not refused
        self._intake.quotas.take(self._bucket, sum(line != b"" for line in lines))
        self._hold.resize(2 * sum(len(line or b"") for line in lines))
        judged = _Judged()
        self._judge(judged, stream.done, lines)
        await self._append(judged)
        stream.dealt_with(len(lines))


class _Judged:
    """Elements of a batch or stream, sorted: `places` are those of the admitted ones."""

    def __init__(self) -> None:
        self.admitted: list[Admitted] = []
        self.places: list[int] = []
        self.refused: list[tuple[int, Refused]] = []

    @property
    def bytes(self) -> int:
        """Size of what will be appended."""
        return sum(len(event.value) for event in self.admitted)


class _Stream:
    """The lines of an NDJSON stream: `done` are dealt with, `pending` wait."""

    def __init__(self, limits: Limits) -> None:
        self._lines = Lines(limits.event_bytes)
        self.done = 0
        self.pending: list[bytes | None] = []
        self._pending_bytes = 0

    @property
    def full(self) -> bool:
        """Whether a chunk waits."""
        return len(self.pending) >= CHUNK_LINES or self._pending_bytes >= CHUNK_BYTES

    def feed(self, piece: bytes) -> None:
        self._add(list(self._lines.feed(piece)))

    def end(self) -> None:
        self._add(list(self._lines.end()))

    def _add(self, lines: list[bytes | None]) -> None:
        self.pending += lines
        self._pending_bytes += sum(len(line or b"") for line in lines)

    def chunk(self) -> list[bytes | None]:
        """The first of the pending lines, as many as are appended together."""
        count = size = 0
        while count < min(CHUNK_LINES, len(self.pending)) and size < CHUNK_BYTES:
            size += len(self.pending[count] or b"")
            count += 1
        return self.pending[:count]

    def dealt_with(self, count: int) -> None:
        """The first `count` pending lines stand in the log, or are rejected."""
        self._pending_bytes -= sum(len(line or b"") for line in self.pending[:count])
        del self.pending[:count]
        self.done += count
