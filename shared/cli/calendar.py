"""`slawatch calendar`: due instants and month views."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.table import Table

from shared.cli.console import fail, load_documents, out
from shared.language.calendars import ALWAYS, always
from shared.language.problems import Wrong
from shared.language.values import calendar_date
from shared.language.values import within as parse_within
from shared.language.zones import zone_name
from shared.sla.calendars import Calendar, civil_days_later
from shared.sla.instants import DAY, BadInstant, format_instant, parse_instant
from shared.sla.terms import CalendarTable, Within

app = typer.Typer(no_args_is_help=True, help="Working time: when something is due, and what a month looks like.")
Files = Annotated[list[Path], typer.Option("--calendars", "-c", help="YAML files that hold the calendar; may be repeated")]
BUILT_IN: list[Path] = []


def _find(name: str, files: Sequence[Path], zone: str) -> Calendar:
    if name == ALWAYS:
        try:
            zone_name(zone)
        except Wrong as wrong:
            _wrong(wrong)
        return Calendar(always(zone))
    tables: dict[str, CalendarTable] = load_documents(files).calendars if files else {}
    if name not in tables:
        known = ", ".join([*tables, ALWAYS])
        fail(f"no calendar {name!r} in {', '.join(map(str, files)) or 'no files: name them with --calendars FILE'}; there is {known}", 2)
    return Calendar(tables[name])


def _wrong(wrong: Exception) -> NoReturn:
    hint = f" ({wrong.hint})" if isinstance(wrong, Wrong) and wrong.hint else ""
    fail(f"{wrong}{hint}", 2)


def _local(calendar: Calendar, instant: int) -> str:
    wall = datetime.fromtimestamp(calendar.zone.to_local(instant) / 1000, UTC)
    return f"{wall:%a %Y-%m-%d %H:%M:%S} local"


@app.command()
def due(
    name: Annotated[str, typer.Argument(help="the calendar's name; 24x7 is built in")],
    start: Annotated[str, typer.Option(help="RFC 3339 instant; without offset it is in the calendar's zone")],
    within: Annotated[str, typer.Option(help="90s 30m 4h 2d (working time), 3bd (business days), 7cd (civil days)")],
    calendars: Files = BUILT_IN,
    zone: Annotated[str, typer.Option(help="zone of 24x7")] = "UTC",
    next_open: Annotated[bool, typer.Option("--next-open", help="boundary: next_open, a due at closing time is the next opening")] = False,
) -> None:
    """When a target that starts at an instant is due.

    Example: slawatch calendar due cn-office --calendars examples/payroll/agreement.yaml --start 2026-02-14T17:00 --within 4h
    """
    calendar = _find(name, calendars, zone)
    try:
        begin = _instant(start, calendar)
        duration = Within(**parse_within(within))
    except (BadInstant, Wrong) as wrong:
        _wrong(wrong)
    if duration.unit == "bd":
        end = calendar.close_of_business(begin, duration.amount)
    elif duration.unit == "cd":
        civil = civil_days_later(calendar.zone, begin, duration.amount)
        end = calendar.advance(begin, calendar.worked(begin, civil), next_open=next_open)
    else:
        end = calendar.advance(begin, duration.amount, next_open=next_open)
    if end is None:
        fail(f"calendar {name} never has that much working time")
    mark = "  provisional: beyond the published holidays" if calendar.is_provisional(end) else ""
    out.print(f"{format_instant(end)}  {_local(calendar, end)}{mark}", markup=False)


def _instant(text: str, calendar: Calendar) -> int:
    try:
        begin = parse_instant(text)
    except BadInstant as wrong:
        try:
            begin = calendar.zone.to_instant(parse_instant(text + "Z"))
        except BadInstant:
            raise wrong from None
    calendar_date(format_instant(begin)[:10])
    return begin


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="the calendar's name")],
    month: Annotated[str, typer.Argument(help="such as 2026-10")],
    calendars: Files = BUILT_IN,
    zone: Annotated[str, typer.Option(help="zone of 24x7")] = "UTC",
) -> None:
    """A month: the working hours of each day, and its sum.

    Example: slawatch calendar show cn-office 2026-10 --calendars examples/payroll/agreement.yaml
    """
    calendar = _find(name, calendars, zone)
    try:
        first = calendar_date(f"{month}-01")
    except Wrong as wrong:
        _wrong(Wrong(f"{month!r} is not a month", "such as 2026-10") if "not a date" in wrong.message else wrong)
    table = Table("date", "day", "working hours", "worked", title=f"{name} {month} ({calendar.zone_name})")
    day, total = first, 0
    while day.month == first.month:
        start, end = (calendar.zone.to_instant((d.toordinal() - 719163) * DAY) for d in (day, day + timedelta(days=1)))
        spans = calendar.intervals(start, end)
        worked = sum(b - a for a, b in spans)
        total += worked
        hours = "  ".join(f"{_clock(calendar, a, start)}-{_clock(calendar, b, start)}" for a, b in spans)
        table.add_row(day.isoformat(), f"{day:%a}", hours or calendar.reason(day.isoformat()), _hours(worked), style="" if spans else "dim")
        day += timedelta(days=1)
    out.print(table)
    out.print(f"total {_hours(total)}")


def _clock(calendar: Calendar, instant: int, midnight: int) -> str:
    minutes = (calendar.zone.to_local(instant) - calendar.zone.to_local(midnight)) // 60_000
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _hours(duration: int) -> str:
    return f"{duration // 3_600_000}:{duration // 60_000 % 60:02d} h" if duration else ""
