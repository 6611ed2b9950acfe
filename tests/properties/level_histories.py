"""Agreements of windowed levels, recurring deliverables and violations, and histories for them; drawn so that edges are hit."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.oracle.units import wall, written
from tests.properties.histories import WEEKS, WINDOWS, Document, History

DAYS = 9  # of a history
KINDS = ["checked", "checked", "down", "down", "up", "up", "from", "to", "opened", "done", "changed", "reported", "noise"]
OF_CLOCKS = ["opened", "opened", "done", "done", "changed", "rejected", "reopened", "cancelled"]
WHEN = ["data.p == 1", "has(data.p) && data.p != 2"]


def _maybe(draw: st.DrawFn, chance: int, key: str, values: st.SearchStrategy[Any]) -> Document:
    """{key: one of the values} one time in `chance`, else nothing."""
    return {key: draw(values)} if draw(st.integers(1, chance)) == 1 else {}


def _window(draw: st.DrawFn) -> Document:
    level = {"window": draw(st.sampled_from(["period", "tumbling 1d", "tumbling 8h", "tumbling 90m"]))}
    level |= {"on_empty": draw(st.sampled_from(["met", "no_data", "breach"]))}
    return level | _maybe(draw, 3, "min_events", st.integers(0, 3)) | _maybe(draw, 3, "calendar", st.sampled_from(["24x7", "office"]))


def _events(draw: st.DrawFn, **more: Any) -> Document:
    return {"events": {"on": "checked", **more, **_maybe(draw, 4, "when", st.sampled_from(WHEN))}}


@st.composite
def _objectives(draw: st.DrawFn) -> list[Document]:
    ratio = {"name": "ratio", "kind": "ratio", "of": _events(draw, good="data.n < 3")}
    ratio["target"] = draw(st.sampled_from([">= 50%", "> 75%"]))
    aggregate: Document = {
        "name": "aggregate",
        "kind": "aggregate",
        "of": _events(draw),
        "target": draw(st.sampled_from(["<= 2", ">= 2.5"])),
    }
    aggregate["aggregate"] = draw(st.sampled_from(["avg", "sum", "min", "max", "count", "p50", "p95"]))
    if aggregate["aggregate"] != "count":
        aggregate["field"] = "data.n"
    uptime: Document = {"name": "uptime", "kind": "availability", "down": "down", "up": "up", "target": ">= 90%"}
    uptime |= _maybe(draw, 2, "exclude", st.just({"from": "from", "to": "to"}))
    uptime |= _window(draw) | {"on_empty": "met", "min_events": 0}  # the oracle takes a window without events as known to be up
    clock: Document = {"name": "clock", "kind": "deadline", "start": "opened", "stop": "done", "change": "changed"}
    clock["targets"] = [{"when": "data.p == 1", "within": "4h"}, {"within": draw(st.sampled_from(["2h", "8h", "1bd"]))}]
    clock |= _maybe(draw, 2, "reset", st.just("rejected")) | _maybe(draw, 2, "cancel", st.just("cancelled"))
    clock |= _maybe(draw, 2, "reopen", st.sampled_from([{"on": "reopened", "as": how} for how in ("continue", "count_all", "new_cycle")]))
    clock |= _maybe(draw, 4, "when", st.sampled_from(WHEN))
    share: Document = {"name": "share", "kind": "ratio", "of": {"objective": draw(st.sampled_from(["clock", "beat"]))}, "target": ">= 50%"}
    beat: Document = {"name": "beat", "kind": "heartbeat", "on": "reported"}
    beat["every"] = draw(st.sampled_from(["1d", "12h", "36h"]))
    beat |= _maybe(draw, 4, "when", st.sampled_from(WHEN)) | _maybe(draw, 4, "calendar", st.just("24x7"))
    beat |= _maybe(draw, 2, "on_closed", st.sampled_from(["next", "previous"]))
    defect: Document = {"name": "defect", "kind": "violation", "on": "checked", "unless": "data.n < 3"}
    defect |= _maybe(draw, 3, "when", st.sampled_from(WHEN))
    return [level | _window(draw) for level in (ratio, aggregate, share)] + [uptime, clock, beat, defect]


@st.composite
def _event(draw: st.DrawFn, number: int, times: list[int], kinds: list[str]) -> Document:
    data: Document = _maybe(draw, 2, "p", st.sampled_from([1, 2, 3]))
    data |= _maybe(draw, 2, "n", st.sampled_from([1, 2, 3, 2.5, -1, 0.1, "4"])) if draw(st.booleans()) else {"n": draw(st.integers(0, 5))}
    event: Document = {"specversion": "1.0", "id": f"e{number}", "source": draw(st.sampled_from(["/a", "/a", "/b"]))}
    event |= {"subject": draw(st.sampled_from(["one", "one", "two", "three"])), "type": draw(st.sampled_from(kinds))}
    event |= {"time": written(draw(st.sampled_from(times))), "vendor": "acme", "service": draw(st.sampled_from(["desk"] * 5 + ["line"]))}
    return (
        event | {"data": data} | (_maybe(draw, 8, "replaces", st.sampled_from([f"e{other}" for other in range(number)])) if number else {})
    )


@st.composite
def level_histories(draw: st.DrawFn) -> History:
    """A history of one vendor's two services, in order of arrival."""
    zone = draw(st.sampled_from(sorted(WEEKS)))
    week = date.fromisoformat(draw(st.sampled_from(WEEKS[zone])))
    calendar: Document = {"apiVersion": "slawatch/v1", "kind": "Calendar", "name": "office", "timezone": zone}
    calendar["hours"] = {draw(st.sampled_from(["mon-fri", "mon-sun"])): draw(st.sampled_from(WINDOWS[:4]))}
    agreement: Document = {"apiVersion": "slawatch/v1", "kind": "Agreement", "name": "acme", "version": 1, "vendor": "acme"}
    agreement |= {"service": draw(st.sampled_from(["desk", "*"])), "timezone": zone, "calendar": draw(st.sampled_from(["24x7", "office"]))}
    agreement |= {"period": draw(st.sampled_from(["week", "month"])), "horizon": "400d"}
    agreement["effective"] = {"from": (week + timedelta(days=draw(st.integers(-2, 2)))).isoformat()}
    agreement["objectives"] = draw(_objectives())
    middle = ZoneInfo(zone)
    midnights = [wall(week + timedelta(days=day), 0, middle) for day in range(DAYS)]
    grid = [wall(week, 30 * half, middle) for half in range(48 * (DAYS - 1))]
    edges = [midnight + shift for midnight in midnights for shift in (-1, 0, 0, 1)]
    pool = st.sampled_from([grid, grid, edges])
    kinds = draw(st.sampled_from([KINDS, KINDS, OF_CLOCKS]))
    events = [draw(_event(number, draw(pool), kinds)) for number in range(draw(st.integers(1, 14)))]
    last = max(str(event["time"]) for event in events)
    begin = written(wall(date.fromisoformat(agreement["effective"]["from"]), 0, middle))  # before it no slot has begun
    until = max(last, str(begin), str(written(draw(st.sampled_from([*edges, *grid[::7], *[midnight + 2_001 for midnight in midnights]])))))
    return History(agreement, [calendar], events, until)
