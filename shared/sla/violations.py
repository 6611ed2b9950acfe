"""Violations: each matching event that fails its test is a breach, at once (kind `violation`)."""

from collections.abc import Iterator

from shared.sla.books import CaseLine, Moment, Outcome, Schedule, Timer
from shared.sla.breaches import Place, Standing
from shared.sla.calendars import Calendar
from shared.sla.clocks import View
from shared.sla.evidence import Evidence
from shared.sla.instants import FOREVER
from shared.sla.leaving import AT_REST, Rest
from shared.sla.level_rules import Story
from shared.sla.rules import NO_ROLE, CompiledTrigger, Data, Editions, ObjectiveRules, Unknown, in_order, question
from shared.sla.statements import Statement
from shared.sla.terms import Agreement, Violation

Key = tuple[str, str]


class ViolationRules(ObjectiveRules[Violation]):
    """A violation objective under one version of its agreement, compiled."""

    def __init__(self, agreement: Agreement, objective: Violation, calendars: dict[str, Calendar], unknown: Unknown) -> None:
        super().__init__(agreement, objective, calendars, unknown)
        self._on, self.types = CompiledTrigger(objective.on, unknown), frozenset(objective.on.on)
        self._unless = question(objective.unless, unknown)

    def is_violated(self, event: Evidence, data: Data) -> bool:
        """Whether the event is one to be tested and fails. An unknown test changes nothing."""
        return event.type in self.types and self.holds(self._on, event, data) and self._unless(event, event.data) is False


class _Found:
    """An event that failed, or was said to have."""

    __slots__ = ("awaits", "event", "final", "rules", "standing")

    def __init__(self, event: Evidence, rules: ViolationRules) -> None:
        self.event, self.rules, self.standing = event, rules, Standing()
        self.awaits: int | None = None  # when it becomes final, if that is still to come
        self.final = -FOREVER  # log time when it did


class ViolationBook:
    """One violation objective of one agreement, one case."""

    __slots__ = ("_editions", "_found", "_story", "agreement", "case", "excluded", "kept", "objective", "place")

    def __init__(self, agreement: str, objective: str, editions: Editions[ViolationRules], event: Evidence) -> None:
        self.agreement, self.objective, self.case = agreement, objective, event.case
        self.place = Place(agreement, objective, event.vendor, event.service)
        self._editions, self._story = editions, Story()
        self._found: dict[Key, _Found] = {}
        self.excluded: set[Key] = set()  # evidence that came too late, or awaits review
        self.kept: tuple[Evidence, ...] = ()  # superseded by such evidence, and so still standing

    # -- evidence ------------------------------------------------------------------------------------------------

    def begin(self, events: list[Evidence]) -> None:
        """Take what was known of the case before this book was opened."""
        self._read_all(events)

    def take(
        self, event: Evidence, events: list[Evidence], now: Moment, schedule: Schedule, superseded: Evidence | None = None
    ) -> list[Statement]:
        """Fold one more piece of evidence; `events` is all of the case's, this one included (if it is of this case).

        `superseded` is what it replaces here; it is in `events` no more.
        """
        if superseded is None and self._story.is_next(event):
            rules = self._test(event)
            return [] if rules is None else self._state({event.key: (event, rules)}, now, schedule)
        failed = self._read_all(events, event)
        refused = self._refused(failed, event, event.time if superseded is None else min(event.time, superseded.time), now)
        if refused is not None:
            self.excluded.add(event.key)
            if superseded is not None:
                self.kept += (superseded,)
            failed = self._read_all(events, event)
        return (refused or []) + self._state(failed, now, schedule) + self._retract(failed, now)

    def _refused(
        self, failed: dict[Key, tuple[Evidence, ViolationRules]], event: Evidence, since: int, now: Moment
    ) -> list[Statement] | None:
        """Statements in place of a correction that may not be made at once: too late, or to be reviewed; None: go on."""
        for key, found in sorted(self._found.items()):
            if found.standing.is_breach == (key in failed):
                continue  # as it was stated
            if found.standing.is_final(found.rules.horizon, now):
                return []
            if not now.event_mode and now.arrival is not None and now.arrival - since > found.rules.agreement.max_lateness:
                said = self._say(found, "slawatch.breach.contested", now, evidence=(event.id,))
                return [said] if found.standing.is_once(said) else []
        return None

    def renew(self, events: list[Evidence], now: Moment, schedule: Schedule) -> list[Statement]:
        """Fold all evidence again: some was superseded, or another version rules."""
        failed = self._read_all(events)
        return self._state(failed, now, schedule) + self._retract(failed, now)

    def _read_all(self, events: list[Evidence], new: Evidence | None = None) -> dict[Key, tuple[Evidence, ViolationRules]]:
        self._story = Story()
        failed = {}
        with self._editions.unknown.again(new):
            for event in in_order([e for e in (*self.kept, *events) if e.key not in self.excluded], lambda _: NO_ROLE):
                rules = self._test(event)
                if rules is not None:
                    failed[event.key] = (event, rules)
        return failed

    def _test(self, event: Evidence) -> ViolationRules | None:
        """The rules that an event violates."""
        data, rules = self._story.read(event), self._editions.in_force(event)
        return rules if rules is not None and rules.is_violated(event, data) else None

    # -- statements ----------------------------------------------------------------------------------------------

    def _state(self, failed: dict[Key, tuple[Evidence, ViolationRules]], now: Moment, schedule: Schedule) -> list[Statement]:
        said: list[Statement] = []
        for key, (event, rules) in failed.items():
            found = self._found.get(key)
            if found is None:
                found = self._found[key] = _Found(event, rules)
            found.rules = rules
            said += [self._say(found, kind, now) for kind in found.standing.bring_to("breached_closed", rules.version, now)]
            if found.standing.decided_at == now.decided_at:
                final = found.awaits = now.decided_at + rules.horizon
                schedule(Timer(final, final, (*self.place, self.case, *key), "final"), self)
        return said

    def _retract(self, failed: dict[Key, tuple[Evidence, ViolationRules]], now: Moment) -> list[Statement]:
        gone = [found for key, found in self._found.items() if key not in failed]
        return [self._say(found, kind, now) for found in gone for kind in found.standing.bring_to(None, None, now)]

    def fire(self, timer: Timer, now: Moment, schedule: Schedule) -> list[Statement]:
        """A violation becomes final."""
        found = self._found.get((timer.key[5], timer.key[6]))
        if found is not None and found.awaits == timer.instant:
            found.awaits, found.final = None, now.log_time
        if found is None or not found.standing.is_breach or timer.instant != found.standing.decided_at + found.rules.horizon:
            return []
        said = self._say(found, "slawatch.breach.final", now, instant=timer.instant)
        return [said] if found.standing.is_once(said) else []

    def _say(self, found: _Found, kind: str, now: Moment, *, instant: int | None = None, evidence: tuple[str, ...] = ()) -> Statement:
        event = found.event
        return self.place.statement(
            kind,
            event.time if instant is None else instant,
            event.key,
            found.standing,
            found.rules,
            now,
            case=self.case,
            cycle=1,
            started=event.time,
            due=event.time,
            stopped=event.time,
            cause="violation",
            evidence=evidence or (event.id,),
        )

    # -- the end -------------------------------------------------------------------------------------------------

    def rest(self) -> Rest:
        """How it rests: it is never open."""
        rest = AT_REST
        for found in self._found.values():
            rest = rest.with_book(Rest(found.standing.decided_at, found.final if found.awaits is None else FOREVER))
        return rest

    def leave(self) -> None:
        """Its case leaves: what still waits for it holds no more than this shell."""
        self._found, self._story, self.excluded, self.kept = {}, Story(), set(), ()

    # -- reports -------------------------------------------------------------------------------------------------

    def outcomes(self) -> dict[tuple[str, ...], Outcome]:
        """A ratio counts no violations."""
        return {}

    def violations(self) -> Iterator[tuple[Evidence, ViolationRules, int | None, bool]]:
        """(event, rules, revision, whether it stands) of all that was ever stated, in the order of time."""
        for found in sorted(self._found.values(), key=lambda found: (found.event.time, found.event.key)):
            yield found.event, found.rules, found.standing.revision, found.standing.is_breach

    def lines(self, _log_time: int) -> Iterator[CaseLine]:
        """One line a violation; events that pass are listed nowhere."""
        for found in sorted(self._found.values(), key=lambda found: (found.event.time, found.event.key)):
            if found.standing.is_breach:
                event = found.event
                view = View("breached_closed", event.time, event.time, event.time, None, None, None, None, None, False)
                yield CaseLine(
                    agreement=self.agreement,
                    objective=self.objective,
                    version=found.rules.version,
                    vendor=event.vendor,
                    service=event.service,
                    case=self.case,
                    cycle=1,
                    view=view,
                    event=event.id,
                    revision=found.standing.revision,
                )
