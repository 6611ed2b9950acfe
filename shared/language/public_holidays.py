"""Public holidays and make-up working days of a country, from the `holidays` package; China's weekend days off from `chinese_calendar`."""

import warnings
from datetime import date
from functools import cache
from typing import Final

import holidays
import msgspec
from chinese_calendar.constants import holidays as decreed_in_china  # type: ignore[import-untyped]  # it has no stubs

from shared.language.problems import Wrong, nearest

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2050
SATURDAY: Final = 5
_STILL_DECREED_SINCE: Final = 2024  # a country whose make-up days end before this has given up the custom
# What the State Council's notices say of weekends and `chinese_calendar` does not: "off, and so together with the weekend" makes of a
# weekend no holiday; "off from Saturday to Monday" does.
_NO_HOLIDAY_IN_CHINA: Final = frozenset(
    map(
        date.fromisoformat,
        ("2014-04-06", "2019-04-06", "2019-04-07", "2019-06-08", "2019-06-09", "2019-09-14", "2019-09-15", "2023-12-30", "2023-12-31"),
    )
)
_HOLIDAY_IN_CHINA: Final = {date(2011, 6, 5): "Dragon Boat Festival", date(2015, 9, 5): "Anti-Fascist 70th Day"}


class CountryDays(msgspec.Struct, frozen=True):
    """Holidays (with their names) and weekend days that are worked, by ISO date; `first` and `last` are the years it is sure of."""

    holidays: dict[str, str]
    workdays: frozenset[str]
    first: int
    last: int


def country_code(text: str) -> str:
    """`CN`, or with a subdivision `DE-BY`; raises Wrong."""
    country, _, subdivision = text.partition("-")
    known = _countries()
    if country not in known:
        raise Wrong(
            f"holidays of {text!r} are not known", f"write an ISO 3166 code such as CN, DE or DE-BY; {nearest(text, known)}".rstrip("; ")
        )
    if subdivision and subdivision not in known[country]:
        raise Wrong(f"{country} has no subdivision {subdivision!r}", nearest(subdivision, known[country]))
    if text.endswith("-"):
        raise Wrong(f"holidays of {text!r} are not known", f"write {country}")
    return text


@cache
def _countries() -> dict[str, list[str]]:
    return dict(holidays.list_supported_countries(include_aliases=True))


@cache
def country_days(code: str) -> CountryDays:
    """The days of a known code.

    Where make-up days are decreed from year to year (China), the table is sure only of the years that have them;
    elsewhere of all the years that the package calculates.
    """
    country, _, subdivision = code.partition("-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some countries warn that their religious holidays are estimates
        table = holidays.country_holidays(country, subdiv=subdivision or None, years=range(FIRST_YEAR, LAST_YEAR + 1), language="en_US")
    worked: set[date] = getattr(table, "weekend_workdays", set())
    off = dict(table.items()) if country != "CN" else _weekends_off_in_china() | dict(table.items())
    years = {day.year for day in worked}
    decreed = bool(years) and max(years) >= _STILL_DECREED_SINCE
    return CountryDays(
        holidays={day.isoformat(): label for day, label in sorted(off.items()) if day not in worked},
        workdays=frozenset(day.isoformat() for day in worked),
        first=min(years) if decreed else max(FIRST_YEAR, table.start_year),
        last=min(max(years), _known_until(country)) if decreed else min(LAST_YEAR, table.end_year),
    )


def _known_until(country: str) -> int:
    return max(decreed_in_china).year if country == "CN" else LAST_YEAR


def _weekends_off_in_china() -> dict[date, str]:
    """Saturdays and Sundays inside decreed holidays: `holidays` has but the days that would be worked otherwise."""
    decreed = {day: label for day, label in decreed_in_china.items() if day.weekday() >= SATURDAY and day not in _NO_HOLIDAY_IN_CHINA}
    return decreed | _HOLIDAY_IN_CHINA
