"""One turn: what a transaction does to the groups that it holds. The same over PostgreSQL, in memory, and in tests."""

from shared.alerting.decisions import Alerting, Decision
from shared.alerting.groups import Alert, Facts, Group, Notification, put


class Turn:
    """Takes alerts and time. `groups` are those held, by key; `facts` are changed with what is taken.

    After it: `groups` and their last `decisions` are what to store, `notices` what to send, `began` and `ended` the changes of what
    inhibits others. Where something `ended`, groups that are not held here may be free: look at all that keep something back.
    """

    def __init__(self, alerting: Alerting, groups: dict[str, Group], facts: Facts, now: int) -> None:
        self._alerting, self._facts, self._now = alerting, facts, now
        self.groups = groups
        self.decisions: dict[str, Decision] = {}
        self.notices: list[Notification] = []
        self.began: dict[str, dict[str, str]] = {}
        self.ended: set[str] = set()
        self.expired: set[str] = set()
        self._holding: dict[str, set[str]] = {}  # breach id -> keys
        self._later: dict[str, None] = {}
        for key, group in groups.items():
            for breach_id in group.members:
                self._holding.setdefault(breach_id, set()).add(key)

    def take(self, alert: Alert, *, reopened: bool = False) -> None:
        """The newest word on an alert; `reopened` ends its acknowledgement. A single breach is told at once, a group at `finish`."""
        if reopened:
            self._facts.acknowledged.pop(alert.breach_id, None)
        self._inhibit(alert)
        matching = {group.key: group for group in self._alerting.groups_of(alert)}
        for key in sorted(self._holding.get(alert.breach_id, set()) - matching.keys()):
            group = self.groups[key]
            member = group.members.get(alert.breach_id)
            if member is not None and member.alert.status == "warning" and alert.status != "warning":
                put(group, _over(alert), self._now)  # the breach is told elsewhere
            else:
                put(group, alert, self._now)
            self._look(group)
        for key, fresh in matching.items():
            group = self.groups.setdefault(key, fresh)
            put(group, alert, self._now)
            self._holding.setdefault(alert.breach_id, set()).add(key)
            self._look(group)

    def finish(self) -> None:
        """Decide about the groups of many that were changed."""
        for key in self._later:
            self._decide(self.groups[key])
        self._later.clear()

    def wake(self) -> None:
        """Decide about every group held: its time has come, or a fact has changed."""
        for group in self.groups.values():
            self._decide(group)

    def _inhibit(self, alert: Alert) -> None:
        if not self._alerting.routing.inhibitions:
            return
        if alert.firing and self._alerting.is_source(alert):
            self._facts.sources[alert.breach_id] = self.began[alert.breach_id] = alert.labels
            self.ended.discard(alert.breach_id)
        elif self._facts.sources.pop(alert.breach_id, None) is not None:
            self.began.pop(alert.breach_id, None)
            self.ended.add(alert.breach_id)

    def _look(self, group: Group) -> None:
        if group.single:
            self._decide(group)
        else:
            self._later[group.key] = None

    def _decide(self, group: Group) -> None:
        decision = self._alerting.decide(group, self._facts, self._now)
        self.decisions[group.key] = decision
        self.notices += decision.notices
        self.expired.update(decision.expired)
        for breach_id in decision.expired:
            self._facts.acknowledged.pop(breach_id, None)


def _over(alert: Alert) -> Alert:
    return Alert(breach_id=alert.breach_id, verdict_id=alert.verdict_id, status="cleared", labels=alert.labels)
