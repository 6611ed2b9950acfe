"""Agreements of rolling windows and burn rates, and histories for them: in order, or late and disordered."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.oracle.units import duration, instant, wall, written
from tests.properties.level_histories import WHEN, _maybe

Document = dict[str, Any]

ZONES = ["UTC", "UTC", "Asia/Shanghai", "Asia/Shanghai", "Europe/Berlin"]
DAY = date(2026, 3, 4)  # a Wednesday without a change of clocks or a holiday
HOUR = 3_600_000
LENGTHS = ["1h", "1h", "6h", "90m", "10m"]
PAIRS = [
    {"long": "1h", "short": "5m", "factor": 5, "severity": "page"},
    {"long": "6h", "short": "30m", "factor": "2.5", "severity": "ticket"},
    {"long": "1h", "short": "45m", "factor": 1, "severity": "ticket"},
    {"long": "30m", "short": "50s", "factor": 4, "severity": "page"},
]
SUBJECTS = ["one", "one", "two", "three", "four", "five", "six", "seven"]
KINDS = {
    "ratio": ["checked"],
    "aggregate": ["checked"],
    "share": ["opened"] * 4 + ["done"] * 3 + ["changed", "rejected", "reopened", "cancelled"],
    "uptime": ["down", "down", "up", "up", "from", "to"],
}


@dataclass(frozen=True)
class Heard:
    """What engine and oracle are both given: events as they arrive, ticks between them, and log time at the end."""

    agreement: Document
    calendars: list[Document]
    arrivals: list[tuple[int, Document]]
    ticks: list[int]
    until: int

    @property
    def events(self) -> list[Document]:
        """The events in order of arrival."""
        return [event for _, event in self.arrivals]

    @property
    def levels(self) -> list[Document]:
        """The objectives that are levels."""
        return [objective for objective in self.agreement["objectives"] if objective["kind"] != "deadline"]

    def __repr__(self) -> str:
        """Readable when it fails: pasted into a file it is the test again."""
        lines = [f"agreement = {self.agreement!r}", f"calendars = {self.calendars!r}", "arrivals = ["]
        lines += [f"    ({at}, {event!r}),  # {written(at)}" for at, event in self.arrivals]
        return "\n".join(["", *lines, "]", f"ticks = {self.ticks!r}", f"until = {self.until}  # {written(self.until)}"])


def _level(draw: st.DrawFn, length: str) -> Document:
    """What levels of all kinds share."""
    level: Document = {"on_empty": draw(st.sampled_from(["met", "no_data", "breach"]))}
    level["window"] = draw(st.sampled_from([f"rolling {length}"] * 3 + ["period"]))
    if level["window"] == "period":
        level["burn_rate"] = True  # drawn below
    level |= _maybe(draw, 3, "burn_rate", st.just(True)) | _maybe(draw, 3, "min_events", st.integers(0, 3))
    shares = st.lists(st.sampled_from(["40%", "50%", "80%"]), min_size=1, max_size=2, unique=True)
    return level | _maybe(draw, 3, "warn_at", shares) | _maybe(draw, 3, "calendar", st.sampled_from(["24x7", "office"]))


def _burning(draw: st.DrawFn, level: Document) -> Document:
    """The level with pairs, if it shall have them, that can fire."""
    if level.pop("burn_rate", None):
        level["burn_rate"] = draw(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=2, unique_by=str))
        level["target"] = draw(st.sampled_from([">= 90%", "> 85%", ">= 99%"]))
    return level


def _events(draw: st.DrawFn, **more: Any) -> Document:
    return {"events": {"on": "checked", **more, **_maybe(draw, 4, "when", st.sampled_from(WHEN))}}


def _ratio(draw: st.DrawFn, length: str) -> list[Document]:
    level: Document = {"name": "ratio", "kind": "ratio", "of": _events(draw, good="data.n < 3")}
    level["target"] = draw(st.sampled_from([">= 50%", "> 75%", ">= 60%"]))
    return [_burning(draw, level | _level(draw, length))]


def _aggregate(draw: st.DrawFn, length: str) -> list[Document]:
    level: Document = {"name": "aggregate", "kind": "aggregate", "of": _events(draw)}
    level["target"] = draw(st.sampled_from(["<= 2", ">= 2.5", "< 3"]))
    level["aggregate"] = draw(st.sampled_from(["avg", "sum", "min", "max", "count", "p50", "p95"]))
    if level["aggregate"] != "count":
        level["field"] = "data.n"
    level |= _level(draw, length) | {"window": f"rolling {length}"}
    level.pop("burn_rate", None)
    return [level]


def _share(draw: st.DrawFn, length: str) -> list[Document]:
    clock: Document = {"name": "clock", "kind": "deadline", "start": "opened", "stop": "done", "change": "changed"}
    clock["targets"] = [{"when": "data.p == 1", "within": "20m"}, {"within": draw(st.sampled_from(["10m", "1h", "2h"]))}]
    clock |= _maybe(draw, 2, "reset", st.just("rejected")) | _maybe(draw, 2, "cancel", st.just("cancelled"))
    clock |= _maybe(draw, 2, "reopen", st.sampled_from([{"on": "reopened", "as": how} for how in ("continue", "count_all", "new_cycle")]))
    level: Document = {"name": "share", "kind": "ratio", "of": {"objective": "clock"}, "target": draw(st.sampled_from([">= 50%", "> 75%"]))}
    level |= _level(draw, length) | {"window": f"rolling {length}"}
    level.pop("burn_rate", None)
    return [clock, level]


def _uptime(draw: st.DrawFn, length: str) -> list[Document]:
    level: Document = {"name": "uptime", "kind": "availability", "down": "down", "up": "up"}
    level["target"] = draw(st.sampled_from([">= 90%", "> 75%", ">= 50%"]))
    level |= _maybe(draw, 2, "exclude", st.just({"from": "from", "to": "to"}))
    level = _burning(draw, level | _level(draw, length))
    level.pop("min_events", None)
    return [level]


@st.composite
def _event(draw: st.DrawFn, number: int, times: list[int], kinds: list[str]) -> Document:
    data: Document = _maybe(draw, 2, "p", st.sampled_from([1, 2, 3]))
    data |= _maybe(draw, 2, "n", st.sampled_from([1, 2, 3, 2.5, -1, 0.1, "4"])) if draw(st.booleans()) else {"n": draw(st.integers(0, 5))}
    event: Document = {"specversion": "1.0", "id": f"e{number}", "source": draw(st.sampled_from(["/a", "/a", "/b"]))}
    event |= {"subject": draw(st.sampled_from(SUBJECTS[: 8 if "opened" in kinds else 4])), "type": draw(st.sampled_from(kinds))}
    return event | {"time": written(draw(st.sampled_from(times))), "vendor": "acme", "service": "desk", "data": data}


@st.composite
def _tail(draw: st.DrawFn, number: int, after: int, gaps: list[int]) -> list[tuple[int, Document]]:
    """In the end, and on time: nothing is down any more, and then something is bad again."""
    calm = [("up", subject) for subject in draw(st.sampled_from([sorted(set(SUBJECTS[:4])), []]))]
    bad = [("checked", "one"), ("down", draw(st.sampled_from(["one", "four"])))]
    start = after + draw(st.sampled_from([0, 1, 1_500]))
    moments = [(start, *event) for event in calm] + [(start + draw(st.sampled_from(gaps)), *event) for event in bad]
    head: Document = {"specversion": "1.0", "source": "/a", "vendor": "acme", "service": "desk", "data": {"n": 5, "p": 1}}
    return sorted(
        (
            (at, head | {"id": f"e{number + place}", "subject": subject, "type": kind, "time": written(at)})
            for place, (at, kind, subject) in enumerate(moments)
        ),
        key=lambda arrival: arrival[0],
    )


@st.composite
def heard(draw: st.DrawFn, *, late: bool = False) -> Heard:
    """A history of one vendor's service over some windows' lengths, with as many arrivals late as may be."""
    zone = draw(st.sampled_from(ZONES))
    place, length = ZoneInfo(zone), draw(st.sampled_from(LENGTHS))
    calendar: Document = {"apiVersion": "slawatch/v1", "kind": "Calendar", "name": "office", "timezone": zone}
    calendar["hours"] = {
        "mon-fri": draw(st.sampled_from([["09:00-17:00"], ["09:00-12:00", "13:30-18:00"], ["00:00-24:00"], ["22:00-06:00"]]))
    }
    agreement: Document = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "acme", "version": 1, "vendor": "acme"}
    agreement |= {"service": "desk", "timezone": zone, "calendar": draw(st.sampled_from(["24x7", "24x7", "office"]))}
    agreement |= {
        "period": "month",
        "horizon": "400d",
        "max_lateness": "90d",
        "grace": draw(st.sampled_from(["2s", "2s", "0s", "30s", "3m"])),
    }
    begin = draw(st.sampled_from([None, 0, 0, 0, 1, -20]))  # days
    agreement |= {} if begin is None else {"effective": {"from": (DAY + timedelta(days=begin)).isoformat()}}
    makers = {"ratio": _ratio, "aggregate": _aggregate, "share": _share, "uptime": _uptime}
    names = draw(
        st.sampled_from([["ratio"], ["aggregate"], ["share"], ["uptime"], ["uptime"], ["ratio", "uptime"], ["share", "aggregate"]])
    )
    agreement["objectives"] = [objective for name in names for objective in makers[name](draw, length)]

    size = duration(length)
    bucket, grace = size // 60, duration(agreement["grace"])
    around = 24 * 60 if begin == 1 else draw(st.sampled_from([0, 0, 9 * 60, 17 * 60]))
    base = wall(DAY, around, place) - draw(st.sampled_from([0, size // 2, 2 * size]))
    coarse = [base + size * step // 8 for step in range(36)]
    fine = [at + shift for at in coarse for shift in (-1, 1, bucket, bucket + 1, bucket * 5 // 2, -bucket * 7 - 500)]
    kinds = [kind for name in names for kind in KINDS[name]] + ["noise"]
    times = draw(st.sampled_from([coarse, coarse, coarse + fine, fine]))
    events = [draw(_event(number, times, kinds)) for number in range(draw(st.integers(1, 14)))]
    delays = [1_000, bucket, 3 * bucket + 1, size // 2, size, 2 * size, 5 * size]
    lateness = st.sampled_from(draw(st.sampled_from([[0, 0, 0, *delays], [0] * 20 + delays, [0, bucket, size // 2]])) if late else [0])
    arrivals = sorted(((instant(event["time"]) + draw(lateness), event) for event in events), key=lambda arrival: arrival[0])
    if draw(st.sampled_from([False, True, True])):
        arrivals += draw(_tail(len(events), arrivals[-1][0], [bucket, size // 8, HOUR // 2, HOUR, 2 * HOUR]))
    last = arrivals[-1][0] + (grace + 2 * max(bucket, 45_000) if late else 0)
    afters = [0, 1, bucket, grace, grace + bucket, size // 2, size - 1, size + grace + 1, 2 * size + bucket + grace, 2 * size + 1, 3 * size]
    after = draw(st.sampled_from([*afters, HOUR, 2 * HOUR]))
    ticks = draw(st.lists(st.sampled_from([at + shift for at in coarse for shift in (0, grace, grace + 1, bucket)]), max_size=3))
    return Heard(agreement, [calendar], arrivals, sorted(ticks), last + after + 1)
