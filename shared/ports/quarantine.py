"""Records for the quarantine topic: what could not be used, as it was, with the reason and where it stood."""

from shared.ports.log import Entry, Record

DETAIL_MAX = 1_000


def quarantine_entry(record: Record, reason: str, detail: str, reader: str) -> Entry:
    """The original key, bytes and headers; beside them why, where it stood, and which service could not read it."""
    said = {
        "reason": reason,
        "detail": detail[:DETAIL_MAX],
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "reader": reader,
    }
    ours = tuple((f"slw-{name}", value.encode("utf-8", "replace")) for name, value in said.items())
    return Entry(record.key, record.value, (*record.headers, *ours))


def place_of(entry: Entry | Record) -> bytes:
    """Where a quarantined record stood: topic, partition and offset. Its original headers stand first and may hold anything."""
    found = dict(entry.headers)
    return b"/".join(found.get(f"slw-{name}") or b"?" for name in ("topic", "partition", "offset"))
