"""Who is told what, now: group, facts and instant in; notifications and the next instant to look again out.

    fires ──► held? ──► round begins ──► group_wait ──► step 0 ──► step 1 … until all is acknowledged or over
              │ silenced, inhibited, muted                │
              └── ends: a new round, at once              └── news, repeats: to whoever was told

Everything that happens is a fact; deciding twice about the same facts at the same instant says nothing twice.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from shared.alerting.duty import Duty, Stretches
from shared.alerting.groups import Alert, Facts, Group, Member, Notification, Told, Why, forget, is_breach, key_of, new_group
from shared.alerting.matching import every_route, inhibited, matches, routes_for
from shared.alerting.terms import AnyChannel, Override, Recipient, Route, Routing, Step
from shared.sla.instants import DAY

KEEP: Final = 31 * DAY  # how long it is known who was told of a breach that is over, if no verdict says that it is final
SEVERITIES: Final = {"page": 0, "ticket": 1, "info": 2}
NO_OVERRIDES: Final[dict[str, tuple[Override, ...]]] = {}


class Decision(NamedTuple):
    """`next_at`: when to decide again if nothing happens before. `expired`: acknowledgements that hold no longer.
    `held`: something is kept back that other facts may set free. `gone`: the group may be deleted."""

    notices: list[Notification]
    next_at: int | None
    expired: list[str]
    held: bool
    gone: bool


class _Clock:
    """Now, and the first instant after it that matters."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.next: int | None = None

    def passed(self, instant: int) -> bool:
        """Whether an instant is reached; if not, it is one to look again."""
        if instant <= self.now:
            return True
        self.next = instant if self.next is None else min(self.next, instant)
        return False


class _View(NamedTuple):
    """A group's members at an instant. `unacknowledged` are among `firing`; what is held is in neither."""

    firing: list[Member]
    unacknowledged: list[Member]
    held: list[Member]
    expired: list[str]
    muted: bool


class Alerting:
    """A routing to ask. `overrides` of rotas by people come on top of the document's."""

    def __init__(self, routing: Routing, overrides: dict[str, tuple[Override, ...]] = NO_OVERRIDES) -> None:
        self.routing, self.overrides = routing, overrides
        self.routes = {route.name: route for route in every_route(routing.route)}
        self.duties = {name: Duty(rota, overrides.get(name, ())) for name, rota in routing.rotas.items()}
        self._mutes = {name: Stretches(hours) for name, hours in routing.mute_times.items()}
        self._quiet = {person.name: Stretches(person.quiet) for person in routing.people.values() if person.quiet}

    def with_overrides(self, overrides: dict[str, tuple[Override, ...]]) -> "Alerting":
        """The same routing with other overrides."""
        return Alerting(self.routing, overrides)

    # ---- from an alert to its groups

    def groups_of(self, alert: Alert) -> list[Group]:
        """The groups, empty, that an alert belongs to by its labels; none for one that only says that all is well."""
        if alert.status in ("cleared", "final"):
            return []
        return [new_group(route, alert) for route in routes_for(self.routing.route, alert.labels) if route.steps]

    def keys_of(self, alert: Alert) -> list[str]:
        """Their keys."""
        return [key_of(route, alert) for route in routes_for(self.routing.route, alert.labels) if route.steps]

    def is_source(self, alert: Alert) -> bool:
        """Whether an alert may inhibit others."""
        return any(matches(rule.source, alert.labels) for rule in self.routing.inhibitions)

    def channels_of(self, recipient: str) -> tuple[AnyChannel, ...]:
        """The channels of a recipient as notifications name it; none where the routing no longer knows it."""
        kind, _, name = recipient.partition("/")
        person = self.routing.people.get(name) if kind == "person" else None
        receivers = person.receivers if person else (name,) if kind == "receiver" else ()
        return tuple(channel for receiver in receivers for channel in self.routing.receivers.get(receiver, ()))

    def urgent(self, alert: Alert, facts: Facts, now: int) -> list[str]:
        """Who is told at once of an alert of which nothing else is known: while no group can be read or written."""
        clock, member, found = _Clock(now), Member(alert=alert, since=now, at=now), dict[str, int]()
        for route in routes_for(self.routing.route, alert.labels):
            if alert.firing and not self._muted(route, clock) and not self._held(member, facts, clock):
                found |= self._recipients(route.steps[:1], clock)
        return [recipient for recipient in found if not self._quiet_now(recipient, [member], clock)]

    # ---- deciding

    def decide(self, group: Group, facts: Facts, now: int) -> Decision:
        """What is to be told of a group now; the group remembers it."""
        route = self.routes.get(group.route, Route(name=group.route))  # one that is gone engages nobody new
        clock = _Clock(now)
        _set_back(group, now)
        view = self._view(group, route, facts, clock)
        self._advance(group, route, view, clock)
        notices = [] if view.muted else list(self._notices(group, route, view, clock))
        self._tidy(group, route, view, clock)
        return Decision(notices, clock.next, view.expired, bool(view.held), not group.members)

    def _view(self, group: Group, route: Route, facts: Facts, clock: _Clock) -> _View:
        muted = self._muted(route, clock)
        view = _View([], [], [], [], muted)
        for member in group.members.values():
            if self._held(member, facts, clock) or muted:
                view.held.append(member)
                continue
            if not member.alert.firing:
                continue
            view.firing.append(member)
            since = facts.acknowledged.get(member.alert.breach_id)
            holds = member.alert.breach_id in facts.dealt_with or not route.acknowledged_for
            if since is not None and not holds and clock.passed(since + route.acknowledged_for):
                view.expired.append(member.alert.breach_id)
                since = None
            if since is None:
                view.unacknowledged.append(member)
        return view

    def _muted(self, route: Route, clock: _Clock) -> bool:
        covering = [self._mutes[name] for name in route.mute_times if self._mutes[name].covers(clock.now)]
        for mute in covering:
            clock.passed(mute.ends(clock.now))
        return bool(covering)

    def _held(self, member: Member, facts: Facts, clock: _Clock) -> bool:
        """Whether an alert is silenced or inhibited."""
        labels, held = member.alert.labels, False
        for silence in facts.silences:
            if matches(silence.match, labels) and clock.passed(silence.starts_at) and not clock.passed(silence.ends_at):
                held = True
        return held or inhibited(self.routing.inhibitions, labels, facts.sources, member.alert.breach_id) is not None

    def _advance(self, group: Group, route: Route, view: _View, clock: _Clock) -> None:
        """Begin a round where one is due, and take the steps whose time has come."""
        pending = bool(view.unacknowledged)
        if pending and not group.pending:
            group.round, group.step, group.started = group.round + 1, 0, clock.now
        group.pending = pending
        if not pending:
            return
        begin = max(group.started, min(member.since for member in view.unacknowledged) + route.group_wait)
        while group.step < len(route.steps) and clock.passed(begin + route.steps[group.step].after):
            group.step += 1

    def _notices(self, group: Group, route: Route, view: _View, clock: _Clock) -> Iterator[Notification]:
        engaged = self._recipients(route.steps[: group.step], clock)
        over = [member for member in group.members.values() if member not in view.held and self._untold_and_over(group, member)]
        if over and all(clock.passed(member.since + route.group_wait) for member in over):
            engaged |= {name: step for name, step in self._recipients(route.steps[:1], clock).items() if name not in engaged}
        for recipient in dict.fromkeys((*engaged, *group.told)):
            step = engaged.get(recipient)
            shown, why = self._news(group, route, view, over, recipient, step, clock)
            if shown and why and not self._quiet_now(recipient, shown, clock):
                yield self._notice(group, view, recipient, step, shown, why, clock.now)
                if group.pending and route.repeat_interval:
                    clock.passed(clock.now + route.repeat_interval)

    @staticmethod
    def _untold_and_over(group: Group, member: Member) -> bool:
        alert = member.alert
        return alert.status in ("closed", "overdue") and not any(alert.breach_id in told.verdicts for told in group.told.values())

    def _recipients(self, steps: Sequence[Step], clock: _Clock) -> dict[str, int]:
        """Who the steps name at this instant, and the last step that does."""
        return {str(self._resolved(recipient, clock)): place for place, step in enumerate(steps) for recipient in step.notify}

    def _resolved(self, recipient: Recipient, clock: _Clock) -> Recipient:
        if recipient.kind != "rota":
            return recipient
        duty = self.duties[recipient.name]
        clock.passed(duty.next_change(clock.now))
        return Recipient("person", duty.on_duty(clock.now))

    def _news(
        self, group: Group, route: Route, view: _View, over: list[Member], recipient: str, step: int | None, clock: _Clock
    ) -> tuple[list[Member], Why | None]:
        """What a recipient has to be told, and why. `step`: the last taken that names the recipient; None: none does."""
        told = group.told.get(recipient)
        if told is None:
            return [*view.unacknowledged, *over], "first" if step == 0 else "escalation"
        news = [
            member
            for member in group.members.values()
            if told.verdicts.get(member.alert.breach_id, member.alert.verdict_id) != member.alert.verdict_id
            and not (member.alert.firing and member in view.held)
        ]
        if step is not None:
            news += [member for member in (*view.unacknowledged, *over) if member.alert.breach_id not in told.verdicts]
        again = step is not None and (told.round, told.step) < (group.round, step) and group.pending
        if again and (broken := [member for member in view.unacknowledged if is_breach(member.alert.labels)]) and not told.broken:
            return broken, "first" if step == 0 else "escalation"
        if news and (again or clock.passed(told.at + route.group_interval)):
            return news, self._ending(group, told, news) or "update"
        if again:
            return view.unacknowledged, "repeat" if step == 0 else "escalation"
        if step is not None and view.unacknowledged and route.repeat_interval and clock.passed(told.at + route.repeat_interval):
            return view.unacknowledged, "repeat"
        return [], None

    @staticmethod
    def _ending(group: Group, told: Told, news: list[Member]) -> Why | None:
        """How it ended, if nothing of what the recipient was told of fires any more."""
        shown = [*news, *(group.members[breach_id] for breach_id in told.verdicts if breach_id in group.members)]
        if any(member.alert.firing or member.alert.status == "overdue" for member in shown):
            return None
        return "retracted" if all(member.alert.status == "retracted" for member in news) else "resolved"

    def _quiet_now(self, recipient: str, shown: list[Member], clock: _Clock) -> bool:
        kind, _, name = recipient.partition("/")
        quiet = self._quiet.get(name) if kind == "person" else None
        if quiet is None or not quiet.covers(clock.now):
            return False
        exceptions = self.routing.people[name].quiet_except
        if any(member.alert.firing and member.alert.labels.get("severity") in exceptions for member in shown):
            return False
        clock.passed(quiet.ends(clock.now))
        return True

    @staticmethod
    def _notice(group: Group, view: _View, recipient: str, step: int | None, shown: list[Member], why: Why, now: int) -> Notification:
        shown.sort(key=lambda member: (SEVERITIES.get(member.alert.labels.get("severity", ""), 3), member.since))
        verdicts = {member.alert.breach_id: member.alert.verdict_id for member in shown}
        group.notices += 1
        told = group.told.setdefault(recipient, Told(at=now, round=0, step=0))
        told.at, told.round, told.step = now, group.round, told.step if step is None else step
        told.broken = told.broken or any(is_breach(member.alert.labels) for member in shown)
        told.verdicts |= verdicts
        key, thread = f"{group.key}/{now}.{group.notices}", group.key
        if group.single:
            (thread, verdict_id), *_ = verdicts.items()
            again = {"repeat": f"/repeat/{now}", "escalation": f"/escalation/{group.round}.{group.step}"}
            key = verdict_id + again.get(why, "")
        return Notification(
            key=key,
            thread=thread,
            reason=why,
            recipient=recipient,
            verdicts=verdicts,
            total=max(len(verdicts), len(view.firing)),
            route=group.route,
        )

    @staticmethod
    def _tidy(group: Group, route: Route, view: _View, clock: _Clock) -> None:
        """Forget what is over and nobody was told of, or everybody who was told knows it is withdrawn, or is over for long."""
        held = {member.alert.breach_id for member in view.held}
        forgotten = []
        for breach_id, member in group.members.items():
            if member.alert.firing:
                continue
            knowing = [told.verdicts[breach_id] for told in group.told.values() if breach_id in told.verdicts]
            withdrawn = member.alert.status == "retracted" and all(known == member.alert.verdict_id for known in knowing)
            # what nobody knows waits for the end of quiet hours; a corrective action that is late, which is not over, even where it is held
            waits = member.alert.status == "overdue" or (member.alert.status == "closed" and breach_id not in held)
            unheard = not knowing and not waits and (breach_id in held or clock.passed(member.since + route.group_wait))
            if withdrawn or unheard or clock.passed(member.at + KEEP):
                forgotten.append(breach_id)
        forget(group, forgotten)


def _set_back(group: Group, now: int) -> None:
    """The machine's clock went back: what happened in its future happened now, so that nothing waits for the difference."""
    group.started = min(group.started, now)
    for member in group.members.values():
        member.since, member.at = min(member.since, now), min(member.at, now)
    for told in group.told.values():
        told.at = min(told.at, now)


def decoded(state: bytes) -> Group:
    """A group as it was stored."""
    return _decoder.decode(state)


def encoded(group: Group) -> bytes:
    """A group as it is stored."""
    return _encoder.encode(group)


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Group)
