"""Timelines: what happens at which minute, and who hears what when. Time is virtual; the store is a few dictionaries."""

from typing import NamedTuple

from shared.alerting.decisions import Alerting
from shared.alerting.groups import Alert, Facts, Group, Silence, Status
from shared.alerting.terms import Match
from shared.alerting.turns import Turn
from shared.language import load_text
from shared.sla.instants import MINUTE, parse_instant

START = parse_instant("2026-03-02T08:00:00Z")  # a Monday

HEAD = """
apiVersion: slawatch/v1
kind: Routing
name: test
receivers:
  chat: [{kind: webhook, url: "http://chat.example"}]
  boss: [{kind: webhook, url: "http://boss.example"}]
  ann: [{kind: webhook, url: "http://ann.example"}]
  bo: [{kind: webhook, url: "http://bo.example"}]
"""


def alerting(text: str) -> Alerting:
    """The routing of a YAML text that goes on after `HEAD`."""
    return Alerting(load_text("routing.yaml", HEAD + text).or_raise().routings[0])


class Heard(NamedTuple):
    """A message: the minute, who, why, and which cases, the most severe first."""

    minute: float
    who: str
    why: str
    cases: tuple[str, ...]


class Timeline:
    """Minutes from `start` on; whatever is due before an instant happens before it."""

    def __init__(self, text: str, start: str = "") -> None:
        self.alerting = alerting(text)
        self.start = parse_instant(start) if start else START
        self.heard: list[Heard] = []
        self.keys: list[str] = []
        self.threads: list[str] = []
        self.groups: dict[str, Group] = {}
        self._facts = Facts()
        self._sent: set[tuple[str, str]] = set()
        self._wakes: dict[str, int] = {}
        self._held: set[str] = set()
        self._revisions: dict[str, int] = {}
        self._labels: dict[str, dict[str, str]] = {}

    # ---- what happens

    def opened(self, minute: float, *cases: str, **labels: str) -> None:
        self._say(minute, "open", cases, labels)

    def amended(self, minute: float, *cases: str) -> None:
        self._say(minute, "open", cases, {})

    def warned(self, minute: float, *cases: str, **labels: str) -> None:
        self._say(minute, "warning", cases, {"type": "warning"} | labels)

    def closed(self, minute: float, *cases: str, **labels: str) -> None:
        self._say(minute, "closed", cases, labels)

    def retracted(self, minute: float, *cases: str) -> None:
        self._say(minute, "retracted", cases, {})

    def reopened(self, minute: float, *cases: str) -> None:
        self._say(minute, "open", cases, {}, reopened=True)

    def final(self, minute: float, *cases: str) -> None:
        self._say(minute, "final", cases, {})

    def overdue(self, minute: float, *cases: str, **labels: str) -> None:
        """Their corrective actions: alerts of their own, with the labels of a breach."""
        self._say(minute, "overdue", cases, labels)

    def met(self, minute: float, *cases: str) -> None:
        self._say(minute, "cleared", cases, {})

    def acknowledged(self, minute: float, *cases: str) -> None:
        now = self.until(minute)
        for case in cases:
            self._facts.acknowledged.setdefault(case, now)
        self._wake(now, set(self.groups))

    def excused(self, minute: float, *cases: str) -> None:
        """Or closed: by people, which acknowledges, too."""
        self._facts.dealt_with.update(cases)
        self.acknowledged(minute, *cases)

    def taken_up_again(self, minute: float, *cases: str) -> None:
        """Their cases, by people."""
        now = self.until(minute)
        self._facts.dealt_with.difference_update(cases)
        self._wake(now, set(self.groups))

    def silenced(self, minute: float, to: float, **labels: str) -> None:
        now = self.until(minute)
        match = Match(labels={name: (value,) for name, value in labels.items()})
        silence = Silence(id="s", match=match, starts_at=now, ends_at=self._at(to), author="Ann", reason="known")
        self._facts.silences = (*self._facts.silences, silence)

    def unsilenced(self, minute: float) -> None:
        now = self.until(minute)
        self._facts.silences = ()
        self._wake(now, self._held)

    def rerouted(self, minute: float, text: str) -> None:
        """The Routing file changed: all groups are looked at."""
        now = self.until(minute)
        self.alerting = alerting(text)
        self._wake(now, set(self.groups))

    def until(self, minute: float) -> int:
        """Let time pass; the instant."""
        now = self._at(minute)
        while self._wakes and (first := min(self._wakes.values())) <= now:
            self._wake(first, {key for key, at in self._wakes.items() if at == first})
        return now

    # ---- how

    def _at(self, minute: float) -> int:
        return self.start + round(minute * MINUTE)

    def _say(self, minute: float, status: Status, cases: tuple[str, ...], labels: dict[str, str], *, reopened: bool = False) -> None:
        now = self.until(minute)
        turn = Turn(self.alerting, self.groups, self._facts, now)
        for case in cases:
            known = self._labels.setdefault(case, {"vendor": "acme", "objective": "resolution", "severity": "page", "case": case})
            known.update({"type": "breach"} | labels)
            self._revisions[case] = self._revisions.get(case, -1) + 1
            alert = Alert(breach_id=case, verdict_id=f"{case}#{self._revisions[case]}", status=status, labels=dict(known))
            turn.take(alert, reopened=reopened)
        turn.finish()
        self._after(turn, now)

    def _wake(self, now: int, keys: set[str]) -> None:
        turn = Turn(self.alerting, {key: self.groups[key] for key in sorted(keys)}, self._facts, now)
        turn.wake()
        self._after(turn, now)

    def _after(self, turn: Turn, now: int) -> None:
        for notice in turn.notices:
            self.heard.append(Heard((now - self.start) / MINUTE, notice.recipient, notice.reason, tuple(notice.verdicts)))
            assert (notice.key, notice.recipient) not in self._sent, "no two notifications to one recipient have one key"
            self._sent.add((notice.key, notice.recipient))
            self.keys.append(notice.key)
            self.threads.append(notice.thread)
        for key, decision in turn.decisions.items():
            self._wakes.pop(key, None)
            self._held.discard(key)
            if decision.gone:
                self.groups.pop(key, None)
                continue
            if decision.held:
                self._held.add(key)
            if decision.next_at is not None:
                assert decision.next_at > now, "to look again at the same instant would never end"
                self._wakes[key] = decision.next_at
        if turn.ended:
            self._wake(now, set(self._held))
