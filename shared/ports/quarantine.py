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


REDRIVEN = "slw-redriven"  # on a record that went out again: where it stood in quarantine; on the trace of that, the same
HEADERS = ("slw-reason", "slw-detail", "slw-topic", "slw-partition", "slw-offset", "slw-reader", "slw-cut", REDRIVEN)  # ours


class NotRedrivable(ValueError):
    """A quarantined record that cannot go to the events topic again; the message says why."""


def redriven_entry(record: Record, events: str) -> Entry:
    """The original key, bytes and headers of a quarantined record, for the events topic. Raises NotRedrivable."""
    said = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    if "slw-cut" in said:
        raise NotRedrivable("it was too large for quarantine, which holds its beginning only")
    if said.get("slw-topic") != events:
        raise NotRedrivable(f"it stood in topic {said.get('slw-topic')}, not among the events")
    headers = [(name, value) for name, value in record.headers if name not in HEADERS]
    where = None if record.key is not None else int(said["slw-partition"])
    return Entry(record.key, record.value, (*headers, (REDRIVEN, place_in_quarantine(record).encode())), where)


def trace_entry(record: Record, to: str, by: str) -> Entry:
    """What the quarantine topic keeps of a redrive: of which record, to where (`partition/offset` of the events), by whom."""
    told = ((REDRIVEN, place_in_quarantine(record).encode()), ("slw-to", to.encode()), ("slw-by", by.encode()))
    return Entry(record.key, b"", told)


def redriven_place(record: Record) -> str | None:
    """Of a trace, which record it is of; None: it is no trace, but a quarantined record."""
    found = record.header(REDRIVEN) if record.header("slw-to") is not None and not record.value else None
    return None if found is None else found.decode("ascii", "replace")


def place_in_quarantine(record: Record) -> str:
    """How people name a quarantined record: `partition/offset`."""
    return f"{record.partition}/{record.offset}"
