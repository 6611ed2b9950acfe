"""Which promise a clock is under, and how much working time it grants."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.conditions import decide, lookup
from tests.oracle.hours import Hours, same_wall_time
from tests.oracle.units import days, duration, instant, local


@dataclass(frozen=True)
class Choice:
    """The target that matched: its place in the list, its calendar and, for `until`, the instant the event carried."""

    index: int
    terms: dict[str, Any]
    hours: Hours
    promise: int | None

    @property
    def plain_until(self) -> bool:
        """An `until` that pauses do not move."""
        return self.promise is not None and not self.terms.get("pausable", False)

    def same_as(self, other: "Choice | None") -> bool:
        """Same target, same promised instant."""
        return other is not None and (self.index, self.promise) == (other.index, other.promise)


class Chooser:
    """The targets of one objective."""

    def __init__(self, objective: dict[str, Any], agreement: dict[str, Any], calendars: dict[str, Hours]) -> None:
        self._targets = objective["targets"]
        self._default = objective.get("calendar", agreement.get("calendar", "24x7"))
        self._calendars = calendars
        self._zone = ZoneInfo(agreement.get("timezone", "UTC"))

    def choose(self, data: dict[str, Any], event: dict[str, Any]) -> Choice | None:
        """The first target whose condition holds; None if there is none or the promised instant is missing."""
        for index, terms in enumerate(self._targets):
            if decide(terms.get("when"), data, event):
                promise = None
                if "until" in terms:
                    found = lookup(terms["until"], data, event)
                    if not isinstance(found, str):
                        return None
                    promise = instant(found)
                return Choice(index, terms, self._calendars[terms.get("calendar", self._default)], promise)
        return None

    def work(self, choice: Choice, start: int) -> int:
        """Working milliseconds the target grants to a clock that starts at ``start``."""
        if choice.promise is not None:
            return choice.hours.worked(start, choice.promise)
        within = choice.terms["within"]
        if (count := days(within, "bd")) is not None:
            return choice.hours.worked(start, self._business_days(choice, start, count))
        if (count := days(within, "cd")) is not None:
            begin = local(start, self._zone)
            end = same_wall_time(begin, begin.date(), begin.date() + timedelta(days=count), self._zone)
            return choice.hours.worked(start, end)
        return duration(within)

    def _business_days(self, choice: Choice, start: int, count: int) -> int:
        hours = choice.hours
        same_time = choice.terms.get("at") == "same_time"
        begin = hours.opening(start) if same_time else start
        first = hours.shift_date(begin)
        last = hours.working_day_after(first, count)
        return same_wall_time(local(begin, hours.zone), first, last, hours.zone) if same_time else hours.close_of(last)
