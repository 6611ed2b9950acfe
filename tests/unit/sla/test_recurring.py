"""The days of recurrences: as dateutil gives them, and never a search without end."""

from datetime import datetime, timedelta
from itertools import takewhile

import pytest
from dateutil.rrule import rrulestr

from shared.sla.recurring import rule_days

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time


@pytest.mark.parametrize("first", ["1900-02-28", "1970-01-05", "2024-02-29", "2026-12-31", "2199-07-01", "2700-12-31"])
@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;INTERVAL=11",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,SU;WKST=SU",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=5",
        "FREQ=MONTHLY;INTERVAL=5",
        "FREQ=YEARLY;INTERVAL=3;BYWEEKNO=53;BYDAY=MO",
        "FREQ=YEARLY;BYYEARDAY=-1,100",
    ],
)
def test_days_are_those_of_the_rule_from_its_first_day_on(rule: str, first: str) -> None:
    begins = datetime.fromisoformat(first)
    start, end = ((day - EPOCH).days for day in (begins, begins + timedelta(days=73_000)))
    by_dateutil = ((day - EPOCH).days for day in rrulestr(rule, dtstart=begins))
    assert list(takewhile(end.__ge__, rule_days(rule, start))) == list(takewhile(end.__ge__, by_dateutil))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=YEARLY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=1;INTERVAL=0",
        "FREQ=WEEKLY;INTERVAL=-1",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_a_rule_that_gets_nowhere_gives_no_day(rule: str) -> None:
    first = EPOCH + timedelta(days=20_000)
    assert list(rule_days(rule, (first - EPOCH).days)) == []
