"""Rows of CSV: a quote that is never closed costs its own row, is told where it opens, and nothing after it is lost."""

import csv
from collections.abc import Iterator

import pytest

from shared.language.tables import ROW_LENGTH_MAX, Row, rows_of


def read(text: str, delimiter: str = ",", skip: int = 0) -> list[Row]:
    return list(rows_of(text.splitlines(keepends=True), delimiter, skip))


def test_cells_may_hold_delimiters_quotes_and_line_breaks() -> None:
    assert read('1,"two\nlines" ,x\n') == [Row(2, ["1", "two\nlines ", "x"], 1)]
    assert read('a,"b, c"\r\n\n"d\n""e""\n",f\n5" disk,"x" y') == [
        Row(1, ["a", "b, c"], 1),
        Row(5, ['d\n"e"\n', "f"], 3),
        Row(6, ['5" disk', "x y"], 6),
    ]


@pytest.mark.parametrize(
    ("text", "line", "first", "why", "then"),
    [
        # the end of the file
        ('a,"b\nc,d\ne,f\n', 1, 1, "a quote that is never closed; the 2 lines that it would take in are read anew", [2, 3]),
        ('a,"b\nc,d', 1, 1, "a quote that is never closed; the line after it is read anew", [2]),
        ('a,"b', 1, 1, "a quote that is never closed", []),
        ('a,"', 1, 1, "a quote that is never closed", []),
        # the next quote, which is the first of a cell
        ('a,"b\nc,d\ne,"f"\ng,h\n', 1, 1, "a quote that is never closed; the 2 lines that it would take in are read anew", [2, 3, 4]),
        # it does not open on the first line of its row
        ('a,"b\n1","c\nd,"e"\n', 2, 1, "a quote that is never closed in a row that begins in line 1; the line after it is read anew", [3]),
    ],
)
def test_a_quote_that_is_never_closed(text: str, line: int, first: int, why: str, then: list[int]) -> None:
    told, *others = read(text)
    assert (told.line, told.first, told.wrong) == (line, first, why)
    assert told.cells[0] == "a"
    assert [(row.line, row.wrong) for row in others] == [(line, "") for line in then]


def test_each_such_quote_is_told() -> None:
    rows = read('a;"b\nc;"d\ne;f\n', delimiter=";")
    assert [(row.line, bool(row.wrong)) for row in rows] == [(1, True), (2, True), (3, False)]


def test_a_cell_beyond_the_limit_loses_no_line_after_it() -> None:
    most = csv.field_size_limit()
    rows = read('x\na,"b\n' + "c,d\n" * most + "e,f\n", skip=1)
    assert (rows[0].line, len(rows)) == (2, most + 2)
    assert rows[0].wrong.startswith(f"a quote that is never closed, or a cell of more than {most} characters; the ")
    assert not any(row.wrong for row in rows[1:])
    (long,) = read("a," + "b" * (most + 1) + "\n")
    assert (long.line, long.wrong) == (1, f"a cell of more than {most} characters")


def test_a_row_without_end_is_not_kept_in_memory() -> None:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        yield '"a\n'
        while True:
            taken += 100_000
            yield f'","{"x" * 99_996}\n'

    assert "never closed" in next(rows_of(lines(), ",")).wrong
    assert taken <= ROW_LENGTH_MAX + 100_000
