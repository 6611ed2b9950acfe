"""Tables: what is CSV is read as CSV says, and of what is not, each line is in a row or told."""

import csv
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from shared.language.tables import rows_of

cells = st.text(st.sampled_from('ab ",;\n\r\t'), max_size=5)
written = st.lists(st.lists(cells, min_size=1, max_size=4), max_size=6)


def lines_of(text: str) -> list[str]:
    return list(StringIO(text, newline=""))


@given(written, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_what_is_well_written_is_read_back(table: list[list[str]], delimiter: str, end: str) -> None:
    text = StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    rows = list(rows_of(lines_of(text.getvalue()), delimiter))
    assert [row.cells for row in rows] == table
    assert not any(row.wrong for row in rows)


@given(st.text(st.sampled_from('a",\n'), max_size=40))
def test_each_line_is_in_one_row(text: str) -> None:
    lines = lines_of(text)
    rows = list(rows_of(lines, ","))
    covered = [line for row in rows for line in range(row.first, row.line + 1)]
    assert covered == [line for line in range(1, len(lines) + 1) if line in covered or lines[line - 1] != "\n"]
    for row in rows:
        kept = lines[row.first - 1 : row.line]
        if not row.wrong:
            assert row.cells == next(csv.reader(kept))
