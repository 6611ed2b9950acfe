"""Who is on duty, and when hours begin and end."""

from shared.alerting.terms import Hours, Override, Rota
from shared.sla.calendars import Calendar, Zone
from shared.sla.instants import DAY

_LOOK: int = 400 * DAY  # hours that do not change within this time count as never changing


class Stretches:
    """`Hours` to ask."""

    def __init__(self, hours: Hours) -> None:
        self._calendar, self._closed = Calendar(hours.calendar), hours.closed

    def covers(self, now: int) -> bool:
        """Whether an instant lies in the hours; their end does not."""
        return self._calendar.is_open(now) is not self._closed

    def ends(self, now: int) -> int:
        """The first instant after `now`, which the hours cover, that they do not; very far away if there is none."""
        if self._closed:
            opening = self._calendar.next_opening(now)
            return now + _LOOK if opening is None else opening
        working = self._calendar.intervals(now, now + _LOOK)
        return working[0][1]


class Duty:
    """A rota to ask. `more` overrides come after the rota's own, and win."""

    def __init__(self, rota: Rota, more: tuple[Override, ...] = ()) -> None:
        self.rota = rota
        self._zone = Zone(rota.transitions)
        self._overrides = (*rota.overrides, *more)

    def on_duty(self, now: int) -> str:
        """The person on duty."""
        for override in reversed(self._overrides):
            if override.start <= now < override.end:
                return override.person
        return self.rota.people[self._turn(now) % len(self.rota.people)]

    def next_change(self, now: int) -> int:
        """The first instant after `now` at which somebody else may be on duty."""
        turn = self._begins(self._turn(now) + 1)
        edges = [edge for each in self._overrides for edge in (each.start, each.end) if edge > now]
        return min([turn, *edges])

    def _turn(self, now: int) -> int:
        turn = max(0, (self._zone.to_local(now) - self.rota.start) // self.rota.every)
        return turn + 1 if self._begins(turn + 1) <= now else turn  # in the hour that clocks repeat, it has begun already

    def _begins(self, turn: int) -> int:
        return self._zone.to_instant(self.rota.start + turn * self.rota.every)
