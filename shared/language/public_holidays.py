"""Public holidays and make-up working days of a country, from the `holidays` package."""

import warnings
from datetime import date
from functools import cache
from typing import Final

import holidays
import msgspec

from shared.language.problems import Wrong, nearest

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2050
_STILL_DECREED_SINCE: Final = 2024  # a country whose make-up days end before this has given up the custom


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
    years = {day.year for day in worked}
    decreed = bool(years) and max(years) >= _STILL_DECREED_SINCE
    return CountryDays(
        holidays={day.isoformat(): label for day, label in sorted(table.items()) if day not in worked},
        workdays=frozenset(day.isoformat() for day in worked),
        first=min(years) if decreed else max(FIRST_YEAR, table.start_year),
        last=max(years) if decreed else min(LAST_YEAR, table.end_year),
    )
