"""Was everything right? What stands in the log, in the output and in the ledger, against one replay of the log and the oracle."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.sla.instants import BadInstant, parse_instant
from shared.wire import verdicts
from tests.acceptance.installation import read_ndjson, replay
from tests.chaos.rig import AGREEMENT, Rig
from tests.oracle.oracle import case_lines

GRACE_MS = 1_000
MAX_SKEW_MS = 300_000
SETTLED_S_MAX = 60.0
BLIND_S_MAX = 240.0  # a fault that kept the door shut for longer than 15 s holds what fell due then for two minutes
_LEDGER = {"breached": "open", "breached_closed": "closed"}  # states of a clock and of the ledger
Line = dict[str, Any]
Timeline = list[tuple[int, str, str | None, str | None]]
"""(revision, type, due, stopped) of each statement of a breach, in order."""


@dataclass
class Findings:
    """Empty lists: right."""

    lost: list[str] = field(default_factory=list)  # acknowledged events, due breaches
    false: list[str] = field(default_factory=list)  # said, or concluded, and not so
    repeats: int = 0  # ids that stand in the output more than once, with one content
    delays_ms: list[tuple[int, int]] = field(default_factory=list)  # (decided at, from there until it stood in the output) of deadlines

    @property
    def problems(self) -> list[str]:
        return self.lost + self.false


class Judge:
    """Of one rig; called after each fault, when traffic has ended. It remembers the timelines that it read."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._timelines: dict[str, tuple[Any, Timeline]] = {}

    async def settled(self, acknowledged: set[str]) -> Findings:
        """What is wrong when all has come to rest; looks again for as long as something is, within the time that it may take."""
        begun = time.monotonic()
        while True:
            await asyncio.sleep(1)
            findings, blind = await self.look(acknowledged)
            spent = time.monotonic() - begun
            if not findings.problems or spent > (BLIND_S_MAX if blind else SETTLED_S_MAX):
                return findings

    async def look(self, acknowledged: set[str]) -> tuple[Findings, bool]:
        """What is wrong now, and whether the log has blind time in it."""
        rig, found = self._rig, Findings()
        export = rig.directory / "export.ndjson"
        export.write_text(await rig.command("export"), "utf-8")
        out = await asyncio.to_thread(replay, rig.directory, "--agreements", rig.agreements, "--events", export)
        log, said = read_ndjson(export), {line["id"]: line for line in read_ndjson(out / "verdicts.ndjson")}
        found.lost += [f"event {name} was acknowledged and is not in the log" for name in acknowledged - {line.get("id") for line in log}]
        stops = {line["id"]: parse_instant(line["time"]) for line in log if line.get("type") == "done" and _usable(line)}
        await self._output(said, stops, found)
        await self._quarantine(log, read_ndjson(out / "rejects.ndjson"), found)
        told = await self._told()
        _compare_ledger(_timelines(said), told, found)
        found.false += _against_oracle(log, read_ndjson(out / "cases.ndjson"), told)
        return found, _blind(log)

    async def _output(self, said: dict[str, Line], stops: dict[str, int], found: Findings) -> None:
        """The topic holds what the replay says, id by id; a repeated id has one content. Nothing is called before due and grace, unless
        one of the stops (the time of each) proved it late, though it was reopened since.
        """
        first: dict[str, bytes] = {}
        for record in await self._rig.records(self._rig.settings.topic_breaches):
            line = json.loads(record.value)
            name = line["id"]
            if name in first:
                found.repeats += 1
                if first[name] != record.value:
                    found.false.append(f"verdict {name} stands with two contents: {first[name]!r}, {record.value!r}")
                continue
            first[name] = record.value
            if line["type"] == "slawatch.breach.opened" and line["data"]["stopped"] is None and line["data"]["cause"] == "deadline":
                decided, due = parse_instant(line["data"]["decided_at"]), parse_instant(line["data"]["due"])
                found.delays_ms.append((decided, record.timestamp - decided))
                proven = any(stops.get(name, 0) > due for name in line["data"]["evidence"])
                if decided < due + GRACE_MS and not proven:
                    found.false.append(f"verdict {name} was called before its time: {line}")
            if name not in said:
                found.false.append(f"verdict {name} is not what a replay says: {line}")
            elif said[name] != line:
                found.false.append(f"verdict {name}: the replay says {said[name]}, the output {line}")
        found.lost += [f"verdict {name} is missing: {line}" for name, line in said.items() if name not in first]

    async def _quarantine(self, log: list[Line], rejects: list[Line], found: Findings) -> None:
        """What the replay could not use stands in quarantine, and nothing else does."""
        lines = {number: (line["partition"], line["offset"]) for number, line in enumerate(log, 1)}
        expected, content = {lines[reject["line"]] for reject in rejects}, dict[tuple[int, int], Any]()
        for record in await self._rig.records(self._rig.settings.topic_quarantine):
            place = (int(record.header("slw-partition") or b"-1"), int(record.header("slw-offset") or b"-1"))
            if place in content and content[place] != (record.value, record.headers):
                found.false.append(f"record {place} stands in quarantine with two contents")
            found.repeats += place in content
            content[place] = (record.value, record.headers)
        found.lost += [f"record {place} is not in quarantine" for place in expected - content.keys()]
        found.false += [f"record {place} is in quarantine" for place in content.keys() - expected]

    async def _told(self) -> dict[str, tuple[Line, Timeline]]:
        """The ledger: (last statement, timeline) by breach id."""
        rig, found = self._rig, dict[str, tuple[Line, Timeline]]()
        for breach_id, breach in (await rig.ledger()).items():
            standing = (breach["revision"], breach["state"])
            if self._timelines.get(breach_id, (None,))[0] != standing:
                answer = await rig.http.get(
                    rig.url("notifier", f"/v1/breaches/{breach_id}"), headers={"authorization": f"Bearer {rig.token}"}
                )
                stated = [entry["verdict"] for entry in answer.json()["timeline"] if entry["kind"] == "statement"]
                self._timelines[breach_id] = (standing, [_statement(v) for v in stated if v["type"] in verdicts.BREACH_TYPES])
            found[breach_id] = (breach, self._timelines[breach_id][1])
        return found


def _statement(verdict: Line) -> tuple[int, str, str | None, str | None]:
    data = verdict["data"]
    return data["revision"], verdict["type"], data["due"], data["stopped"]


def _timelines(said: dict[str, Line]) -> dict[str, Timeline]:
    found: dict[str, Timeline] = {}
    for verdict in said.values():
        if verdict["type"] in verdicts.BREACH_TYPES:
            found.setdefault(verdict["data"]["breach_id"], []).append(_statement(verdict))
    return found


def _compare_ledger(expected: dict[str, Timeline], told: dict[str, tuple[Line, Timeline]], found: Findings) -> None:
    for breach_id, timeline in expected.items():
        if breach_id not in told:
            found.lost.append(f"breach {breach_id} is not in the ledger: {timeline}")
        elif told[breach_id][1] != timeline:
            found.false.append(f"breach {breach_id}: the replay says {timeline}, the ledger {told[breach_id][1]}")
    found.false += [f"breach {breach_id} stands in the ledger, and not so" for breach_id in told.keys() - expected.keys()]


def _against_oracle(log: list[Line], cases: list[Line], told: dict[str, tuple[Line, Timeline]]) -> Iterator[str]:
    """Each clock as the oracle has it; each promise that the oracle finds broken stands in the ledger, and no other."""
    theirs: dict[tuple[Any, ...], Line] = {}
    for _, lines in itertools.groupby(log, key=lambda line: line["partition"]):  # one partition after the other, as exported
        mine = list(lines)
        until = max(line.get("believed") or line["arrival"] for line in mine)
        theirs |= {_key(line): line for line in case_lines([AGREEMENT], [], [line for line in mine if _usable(line)], until)}
    ours = {_key(line): {name: value for name, value in line.items() if name != "revision"} for line in cases}
    for key in theirs.keys() | ours.keys():
        if theirs.get(key) != ours.get(key):
            yield f"case {key}: the oracle says {theirs.get(key)}, the replay {ours.get(key)}"
    broken = sorted(
        (line["objective"], line["vendor"], line["case"], line["due"], _LEDGER[line["state"]])
        for line in theirs.values()
        if line["state"] in _LEDGER
    )
    standing = sorted(
        (breach["objective"], breach["vendor"], breach["case"], breach["due"], breach["state"])
        for breach, _ in told.values()
        if breach["state"] != "retracted"
    )
    for entry in set(broken) ^ set(standing):
        yield f"{entry} is in {'the oracle' if entry in broken else 'the ledger'} only"


def _usable(line: Line) -> bool:
    """An event that is not from the future. What was produced past the door may be anything."""
    if "control" in line or not isinstance(line.get("time"), str):
        return False
    try:
        return parse_instant(line["time"]) <= parse_instant(line["arrival"]) + MAX_SKEW_MS
    except BadInstant:
        return False


def _key(line: Line) -> tuple[Any, ...]:
    return line["objective"], line["vendor"], line["case"], line["cycle"], line["event"]


def _blind(log: list[Line]) -> bool:
    """Whether pulses were missing for longer than 15 s anywhere."""
    last: dict[int, int] = {}
    for line in log:
        if line.get("control") == "pulse":
            arrival = parse_instant(line["arrival"])
            if arrival - last.get(line["partition"], arrival) > 15_000:
                return True
            last[line["partition"]] = arrival
    return False


def first_problems(findings: Findings, most: int = 5) -> str:
    """For a person."""
    return "\n".join([f"{len(findings.problems)} problems", *findings.problems[:most]])
