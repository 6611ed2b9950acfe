"""Timelines, after Alertmanager's tests: events arrive at instants, and statements come out.

    history = Timeline(agreement(targets="[{within: 1h}]"))
    history.at("10:00", "opened")
    assert history.until("12:00") == [("breach.opened", "11:00", 0, "11:00:02", "breached")]

Instants are written "10:00" (Monday 2 March 2026, UTC), "Tue 10:00" (of that week), or in full.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from shared.language import bundles, load_text
from shared.sla.engine import ClockMode, Engine, Refused
from shared.sla.instants import from_datetime, parse_instant
from shared.sla.statements import Statement
from shared.sla.terms import Bundle
from shared.wire.events import to_evidence
from shared.wire.reports import case_line
from tests.saying import unwritten
from tests.whole import Whole

MONDAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OFFICE: Final = "{apiVersion: slawatch/v1, kind: Calendar, name: office, timezone: UTC, hours: {mon-fri: ['09:00-17:00']}}"
OF_AGREEMENT: Final = {
    "name", "version", "vendor", "service", "effective", "timezone", "calendar", "grace", "horizon", "max_lateness", "apply_to",
}  # fmt: skip
USUAL: Final = {
    "start": "opened",
    "pause": "paused",
    "resume": "resumed",
    "stop": "done",
    "cancel": "cancelled",
    "reset": "rejected",
    "reopen": "{on: reopened}",
    "change": "changed",
    "targets": "[{within: 1h}]",
}
BY_PRIORITY: Final = "[{when: data.p == 1, within: 1h}, {when: data.p == 2, within: 2h}, {within: 4h}]"


def agreement(*calendars: str, **keys: str) -> str:
    """YAML of an agreement `terms` with one deadline objective `clock`; `keys` add to, or replace, what is usual here."""
    top = {"name": "terms", "vendor": "vendor"} | {key: value for key, value in keys.items() if key in OF_AGREEMENT}
    clock = USUAL | {key: value for key, value in keys.items() if key not in OF_AGREEMENT}
    lines = ["apiVersion: slawatch/v1", "kind: Agreement", *(f"{key}: {value}" for key, value in top.items()), "objectives:"]
    lines += ["  - name: clock", "    kind: deadline", *(f"    {key}: {value}" for key, value in clock.items() if value)]
    return "\n---\n".join([*calendars, "\n".join(lines)])


@lru_cache(maxsize=512)
def bundles_of(text: str) -> tuple[Bundle, ...]:
    """What the activation of these documents carries."""
    return bundles(load_text("timeline.yaml", text).or_raise())


def instant(text: str) -> int:
    """Milliseconds of "10:00", "Tue 10:00:02.5" or an RFC 3339 instant."""
    short = re.fullmatch(r"(?:(\w{3}) )?(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)", text)
    if short is None:
        return parse_instant(text)
    day = MONDAY + timedelta(days=DAYS.index(short[1] or "Mon"))
    return parse_instant(f"{day:%Y-%m-%d}T{short[2]}Z")


def shown(moment: int | None) -> str | None:
    """The shortest text that `instant` reads."""
    if moment is None:
        return None
    day, rest = divmod(moment - from_datetime(MONDAY), 86_400_000)
    seconds, millis = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}" + (f":{second:02}" if second or millis else "") + (f".{millis:03}" if millis else "")
    if day == 0:
        return clock
    return f"{DAYS[day]} {clock}" if 0 < day < len(DAYS) else f"{MONDAY + timedelta(days=day):%Y-%m-%d}T{clock}"


class Said(NamedTuple):
    """What tests look at of a statement: its type without `slawatch.`, the instant it speaks of, and so on."""

    type: str
    time: str | None
    revision: int | None
    decided_at: str | None
    state: str


class Timeline:
    """One engine. Every method that lets time pass returns what is said meanwhile."""

    def __init__(self, *texts: str, clock: ClockMode = "log") -> None:
        """`texts`: documents that stand before the log begins."""
        self.clock = clock
        self.engine: Engine = Whole(clock)
        self.statements: list[Statement] = []
        self.refused: list[Refused] = []
        for number, bundle in enumerate(bundle for text in texts for bundle in bundles_of(text)):
            self.engine.activate(bundle, f"standing/{number}")

    def at(self, arrival: str, kind: str, data: dict[str, Any] | None = None, *, dated: str | None = None, **attributes: Any) -> list[Said]:
        """An event arrives; it happened then too, unless it is `dated` otherwise. Its id is made of both, unless given."""
        time = arrival if dated is None else dated
        event = {
            "specversion": "1.0",
            "id": f"{kind} {time}",
            "source": "/tests",
            "type": kind,
            "subject": "case",
            "vendor": "vendor",
            "service": "desk",
            "time": f"{datetime.fromtimestamp(instant(time) / 1000, UTC).isoformat()}",
            "data": data or {},
        }
        said, refused = self.engine.take(to_evidence(event | attributes), instant(arrival))
        if refused is not None:
            self.refused.append(refused)
        return self._said(unwritten(said))

    def until(self, moment: str, vendor: str | None = None) -> list[Said]:
        """Log time moves on: by a tick, or by an advance in event mode."""
        to = instant(moment)
        return self._said(unwritten(self.engine.tick(to) if self.clock == "log" else self.engine.advance(to, vendor)))

    def activate(self, arrival: str, text: str, *, restate: bool = False) -> list[Said]:
        """An activation arrives."""
        said: list[Said] = []
        for bundle in bundles_of(text):
            activation = f"{arrival} {bundle.agreement.name} {bundle.agreement.version}"
            said += self._said(unwritten(self.engine.activate(bundle, activation, instant(arrival), restate=restate)))
        return said

    def settle(self) -> list[Said]:
        """The end of a history."""
        return self._said(unwritten(self.engine.settle()))

    def _said(self, statements: list[Statement]) -> list[Said]:
        self.statements += statements
        return [
            Said(s.type.removeprefix("slawatch."), shown(s.time), s.revision, shown(s.decided_at), s.state) for s in statements
        ]  # fmt: skip

    def lines(self) -> list[dict[str, Any]]:
        """The lines of `cases.ndjson`, instants as short as they are written here."""
        found = [case_line(line) for line in self.engine.case_lines()]
        for line in found:
            for field in ("started", "due", "stopped"):
                line[field] = None if line[field] is None else shown(parse_instant(line[field]))
        return found

    def line(self, **wanted: Any) -> dict[str, Any]:
        """The last line with these fields."""
        return [line for line in self.lines() if all(line[field] == value for field, value in wanted.items())][-1]
