"""What cells become: what is no number, no date, or a count in another unit is refused in words."""

import pytest

from shared.language.cells import Dated, instant, number


@pytest.mark.parametrize(
    ("text", "value"),
    [("11", 11), (" 5 ", 5), ("+12", 12), ("0011", 11), ("-1.50", -1.5), ("11.", 11.0), (".5", 0.5), ("1e5", 100_000.0), ("1E-2", 0.01)],
)
def test_numbers(text: str, value: float) -> None:
    assert (number(text), type(number(text))) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["", "1_000", "1,5", "1,000.5", "nan", "inf", "Infinity", "1e999", "0x1F", "\uff11\uff12", "\u0663", "1 000", "."]
)
def test_no_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        number(text)


@pytest.mark.parametrize(
    ("text", "dates", "value"),
    [
        ("1772442000", ("epoch_s",), "2026-03-02T09:00:00Z"),
        (" 1772442000.2509 ", ("epoch_s",), "2026-03-02T09:00:00.250Z"),
        ("0", ("epoch_s",), "1970-01-01T00:00:00Z"),
        ("1772442000250", ("epoch_ms",), "2026-03-02T09:00:00.250Z"),
        ("1772442000", ("epoch_ms", "epoch_s"), "2026-03-02T09:00:00Z"),
        ("1772442000250", ("epoch_s", "epoch_ms"), "2026-03-02T09:00:00.250Z"),
        ("1772442000", ("%Y-%m-%d", "epoch_s"), "2026-03-02T09:00:00Z"),
    ],
)
def test_counts_from_1970_on(text: str, dates: tuple[str, ...], value: str) -> None:
    assert instant(text, dates, "Europe/Berlin") == Dated(value)


@pytest.mark.parametrize(
    ("text", "dates", "why"),
    [
        (
            "1772442000000",
            ("epoch_s",),
            "the form epoch_s: so many seconds end after the year 5000; if they are milliseconds, write epoch_ms",
        ),
        ("1772442000", ("epoch_ms",), "the form epoch_ms: so few milliseconds end before March 1973; if they are seconds, write epoch_s"),
        ("1772442000000000", ("epoch_ms",), "so many milliseconds end after the year 5000; it may be a count of microseconds"),
        ("1772442000", ("%Y-%m-%d",), "is not a date of the form %Y-%m-%d: for a count from 1970 on, write dates: epoch_s or epoch_ms"),
        ("1.7e9", ("epoch_s",), "'1.7e9' is not a date of the form epoch_s"),
        ("-5", ("epoch_s",), "'-5' is not a date of the form epoch_s"),
        ("0001-01-01", ("%Y-%m-%d",), "is not a date of the form %Y-%m-%d"),
    ],
)
def test_no_dates(text: str, dates: tuple[str, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        instant(text, dates, "Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "dates", "zone", "twice"),
    [
        ("2026-10-25 02:30", "%Y-%m-%d %H:%M", "Europe/Berlin", True),
        ("2026-10-25T02:30:00.5", "rfc3339", "Europe/Berlin", True),
        ("2026-10-25T02:30:00+02:00", "rfc3339", "Europe/Berlin", False),
        ("2026-10-25 02:30 +0100", "%Y-%m-%d %H:%M %z", "Europe/Berlin", False),
        ("2026-10-25 03:00", "%Y-%m-%d %H:%M", "Europe/Berlin", False),
        ("2026-03-29 02:30", "%Y-%m-%d %H:%M", "Europe/Berlin", False),  # it never comes
        ("2026-10-25 02:30", "%Y-%m-%d %H:%M", "Asia/Shanghai", False),
    ],
)
def test_local_times_that_come_twice_are_known(text: str, dates: str, zone: str, twice: bool) -> None:
    assert instant(text, (dates,), zone).comes_twice is twice
