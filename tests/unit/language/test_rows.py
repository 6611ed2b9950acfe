"""Mappings: rows of foreign tables become events; what cannot be used is told with its line and never stops the run."""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared.language import LanguageError, load, load_text
from shared.language.mapping import RowMapping
from shared.language.rows import Reject, Twice, events_of, events_of_file, numbered_events_of

ROOT = Path(__file__).parents[3]
HISTORIES = ROOT / "examples" / "histories"
DATA = ROOT.parent / "shared" / "data"

HEAD = """\
apiVersion: slawatch/v1
kind: Mapping
name: tickets
timezone: Europe/Berlin
dates: ["%d.%m.%Y %H:%M", rfc3339]
empty: ["", "-"]
vendor: acme
service: helpdesk
events:
"""
EVENTS = """\
  - type: ticket.opened
    subject: "INC-{no}"
    time: "{opened}"
    data:
      priority: "{prio}"
      score: {column: score, as: number}
      vip: {column: vip, as: boolean}
      promised_at: {column: due, as: instant}
  - type: ticket.closed
    when: has(row.closed)
    id: "{no}/closed"
    subject: "INC-{no}"
    time: "{closed}"
"""
COLUMNS = "no,opened,closed,prio,score,vip,due"


def mapping(events: str = EVENTS, head: str = HEAD) -> RowMapping:
    return load_text("m.yaml", head + events).or_raise().mappings[0]


def run(*rows: str, using: RowMapping | None = None, columns: str = COLUMNS) -> list[dict[str, Any] | Reject]:
    lines = "".join(f"{line}\n" for line in (columns, *rows)).splitlines(keepends=True)
    return list(events_of(lines, using or mapping(), "t.csv"))


def only_events(*rows: str, using: RowMapping | None = None, columns: str = COLUMNS) -> list[dict[str, Any]]:
    made = run(*rows, using=using, columns=columns)
    assert not [one for one in made if isinstance(one, Reject)]
    return [one for one in made if not isinstance(one, Reject)]


def test_one_row_gives_several_events() -> None:
    opened, closed = only_events("7,02.03.2026 09:00,03.03.2026 10:00,P1,4.5,yes,04.03.2026 00:00")
    assert opened.pop("id")
    assert opened == {
        "specversion": "1.0",
        "type": "ticket.opened",
        "source": "/import/tickets",
        "subject": "INC-7",
        "vendor": "acme",
        "service": "helpdesk",
        "time": "2026-03-02T08:00:00Z",
        "datacontenttype": "application/json",
        "data": {"priority": "P1", "score": 4.5, "vip": True, "promised_at": "2026-03-03T23:00:00Z"},
    }
    assert (closed["type"], closed["id"], closed["time"], closed["data"]) == ("ticket.closed", "7/closed", "2026-03-03T09:00:00Z", {})


def test_empty_cells_are_left_out_and_decide_conditions() -> None:
    (opened,) = only_events("7,02.03.2026 09:00,-,P1,4,,-")
    assert opened["data"] == {"priority": "P1", "score": 4}


def test_the_same_row_is_the_same_event_and_another_row_another() -> None:
    row = "7,02.03.2026 09:00,,P1,4,no,"
    one, same, other = only_events(row, row, row.replace("P1", "P2"))
    assert one["id"] == same["id"] != other["id"]


@pytest.mark.parametrize(
    ("wall", "instant"),
    [
        ("29.03.2026 02:30", "2026-03-29T01:30:00Z"),  # skipped by the change of clocks: forward by the gap
        ("25.10.2026 02:30", "2026-10-25T00:30:00Z"),  # twice: the first
        ("2026-03-02T09:00:00+08:00", "2026-03-02T01:00:00Z"),  # the second format
        ("2026-03-02T09:00:00", "2026-03-02T08:00:00Z"),
    ],
)
def test_wall_times(wall: str, instant: str) -> None:
    assert only_events(f"7,{wall},,P1,,,")[0]["time"] == instant


def test_cells_become_types_and_others_are_skipped() -> None:
    states = mapping(
        """\
  - type: {column: state, values: {up: check.up, down: check.down}}
    subject: "{name}"
    time: "{at}"
    data: {code: {column: code, as: number, default: "0"}}
"""
    )
    made = only_events(
        "a,up,02.03.2026 09:00,200", "a,unknown,02.03.2026 09:01,", "a,down,02.03.2026 09:02,", using=states, columns="name,state,at,code"
    )
    assert [(event["type"], event["data"]["code"]) for event in made] == [("check.up", 200), ("check.down", 0)]


def test_rejects_say_line_column_and_why_and_the_run_goes_on() -> None:
    good = "8,02.03.2026 09:00,,P1,,,"
    made = run(
        "7,2 March,,P1,,,", '9,"02.03.2026\nnine",,P1,,,', ",02.03.2026 09:00,,P1,,,", "7,02.03.2026 09:00,,P1,many,,", "1,2", "", good
    )
    rejects = [one for one in made if isinstance(one, Reject)]
    assert [(reject.line, reject.column) for reject in rejects] == [(2, "opened"), (4, "opened"), (5, "no"), (6, "score"), (7, None)]
    assert "'2 March' is not a date of the form %d.%m.%Y %H:%M or rfc3339" in rejects[0].why
    assert "subject has no value" in rejects[2].why
    assert "'many' is not a number" in rejects[3].why
    assert "2 cells, the first line names 7 columns" in rejects[4].why
    assert rejects[0].row["opened"] == "2 March"
    assert len(made) == len(rejects) + 1


def test_a_table_without_the_columns_is_refused_at_once() -> None:
    with pytest.raises(LanguageError, match=r"t.csv:1:1: error: there is no column 'opened'.*did you mean opend"):
        run("7,x", columns="no,opend,closed,prio,score,vip,due")
    with pytest.raises(LanguageError, match=r"2 columns are called 'no', which the mapping 'tickets' needs \(hint: rename all but one\)"):
        run("7,x", columns=COLUMNS + ",no")
    with pytest.raises(LanguageError, match=r"there is no column 'stat', .*did you mean state"):
        run("7,x", using=mapping(EVENTS.replace("has(row.closed)", 'row["stat"] == "x"')), columns=COLUMNS + ",state")
    with pytest.raises(LanguageError, match="the line of column names has a quote that is never closed"):
        run("7,x", columns=COLUMNS + ',"x')


def test_columns_that_the_mapping_does_not_read_may_share_a_name_or_have_none() -> None:
    columns = f"Comment,{COLUMNS},Comment,,Comment#1"
    opened, reject = run("a,7,02.03.2026 09:00,,P1,,,,b,c,d", "a,8,2 March,,P1,,,,b,c,d", columns=columns)
    assert isinstance(opened, dict)
    assert isinstance(reject, Reject)
    assert reject.row == {
        "Comment#1#": "a", "no": "8", "opened": "2 March", "closed": "", "prio": "P1", "score": "", "vip": "", "due": "",
        "Comment#9": "b", "#10": "c", "Comment#1": "d",
    }  # fmt: skip
    assert list(reject.row) == ["Comment#1#", *COLUMNS.split(","), "Comment#9", "#10", "Comment#1"]


def test_a_quote_that_is_never_closed_costs_its_row_only() -> None:
    good = "8,02.03.2026 09:00,,P1,,,"
    reject, event = run('7,02.03.2026 09:00,,"P1,,,', good)
    assert isinstance(reject, Reject)
    assert (reject.line, reject.why) == (2, "a quote that is never closed; the line after it is read anew")
    assert reject.row == {"no": "7", "opened": "02.03.2026 09:00", "closed": "", "prio": "P1,,,\n"}
    assert isinstance(event, dict)


def test_rows_of_another_length_are_rejected_with_all_their_cells() -> None:
    short, long = run("7,02.03.2026 09:00,,P1,,", "7,02.03.2026 09:00,,P1,,,,more,")
    assert isinstance(short, Reject)
    assert isinstance(long, Reject)
    assert short.why == "the row has 6 cells, the first line names 7 columns, 'due' has none"
    assert (long.why, long.row["#8"], long.row["#9"]) == ("the row has 9 cells, the first line names 7 columns", "more", "")
    (spread,) = run('7,"a\nb"')
    assert isinstance(spread, Reject)
    assert (spread.line, spread.why.split(" (")[-1]) == (3, "it begins in line 2)")


@pytest.mark.parametrize(
    ("condition", "cell", "told"),
    [
        ("int(row.score) > 5", "7", True),
        ("int(row.score) > 5", "4", False),
        ("int(row.score) > 5", "", "score: the cell is empty; where that may be, write has(row.score) && …"),
        ("int(row.score) > 5", "many", "None: a cell is not what it takes, such as a text where int() wants a number"),
        ("has(row.score) && int(row.score) > 5", "", False),
        ('row["score"] == "x"', "", "score: the cell is empty; where that may be, write has(row.score) && …"),
        ('"score" in row && double(row.score) > 5.5', "", False),
        ('"score" in row && double(row.score) > 5.5', "5.6", True),
    ],
)
def test_a_row_whose_condition_cannot_be_told_is_rejected(condition: str, cell: str, told: bool | str) -> None:
    using = mapping(f"  - {{type: t, when: '{condition}', subject: '{{no}}', time: '{{opened}}'}}\n")
    made = run(f"7,02.03.2026 09:00,,,{cell},,", using=using)
    if isinstance(told, bool):
        assert [isinstance(one, dict) for one in made] == [True] * told
        return
    (reject,) = made
    assert isinstance(reject, Reject)
    assert f"{reject.column}: {reject.why}" == told.replace(": ", f": the condition {condition!r} cannot be told: ", 1)
    assert reject.line == 2


def test_a_condition_over_a_column_that_is_no_name_of_cel() -> None:
    using = mapping("  - {type: t, when: 'row[\"Ti cket\"] == \"x\"', subject: '{no}', time: '{opened}'}\n")
    (reject,) = run("7,02.03.2026 09:00,", using=using, columns="no,opened,Ti cket")
    assert isinstance(reject, Reject)
    assert (reject.column, reject.why.split("; ")[-1]) == ("Ti cket", 'where that may be, write "Ti cket" in row && …')


def test_a_template_of_several_columns_names_the_one_without_a_value() -> None:
    using = mapping("  - {type: t, subject: '{no}', time: '{day} {hour}'}\n")
    (reject,) = run("7,02.03.2026,", using=using, columns="no,day,hour")
    assert isinstance(reject, Reject)
    assert (reject.column, reject.why) == ("hour", "the event's time has no value")


def test_a_cell_that_is_none_of_the_values_is_told_apart_from_an_empty_one() -> None:
    using = mapping("  - {type: t, subject: {column: no, values: {'7': seven}}, time: '{opened}'}\n")
    unlisted, empty = run("8,02.03.2026 09:00", ",02.03.2026 09:00", using=using, columns="no,opened")
    assert isinstance(unlisted, Reject)
    assert isinstance(empty, Reject)
    assert (unlisted.why, empty.why) == (
        "the event's subject has no value: the cell is none of its 'values'",
        "the event's subject has no value",
    )


@pytest.mark.parametrize("cell", ["A\0", "A\tB", "A\x9f"])
def test_what_the_door_refuses_is_no_event_of_a_table_either(cell: str) -> None:
    (reject,) = run(f"{cell},02.03.2026 09:00,,,,,")
    assert isinstance(reject, Reject)
    assert (reject.column, reject.why) == ("no", "subject holds a control character")
    (reject,) = run(f"{'x' * 2_000},02.03.2026 09:00,,,,,")
    assert isinstance(reject, Reject)
    assert reject.why == "subject is longer than 1024 bytes"


def test_local_times_that_come_twice_are_counted_with_their_lines() -> None:
    twice = Twice()
    rows = [f"{COLUMNS}\n", "7,25.10.2026 02:45,25.10.2026 02:15,,,,\n", "8,25.10.2026 09:00,,,,,\n", "9,25.10.2026 02:45,,,,,\n"]
    assert len(list(numbered_events_of(rows, mapping(), "t.csv", twice))) == 4
    assert (twice.count, twice.lines) == (3, [2, 4])


def test_counts_from_1970_on_beside_other_dates() -> None:
    using = mapping("  - {type: t, subject: '{no}', time: {column: opened, dates: epoch_ms}, data: {due: {column: due, as: instant}}}\n")
    (event,) = only_events("7,1772442000250,02.03.2026 11:00", using=using, columns="no,opened,due")
    assert (event["time"], event["data"]) == ("2026-03-02T09:00:00.250Z", {"due": "2026-03-02T10:00:00Z"})


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("", "there is no line of column names"),
        ("no;opened;closed", "split at ',' (hint: write delimiter: ';' in the mapping)"),
        ("no\topened", "hint: write delimiter: tab in the mapping"),
        ("\udcff\udcfen\0o\0,\0", "not UTF-8 text: it looks like UTF-16 (hint: write encoding: utf-16 in the mapping"),
    ],
)
def test_a_file_that_is_no_such_table_is_one_problem(first: str, message: str) -> None:
    with pytest.raises(LanguageError) as refused:
        run(columns=first)
    (problem,) = refused.value.problems
    assert message in str(problem)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_byte_order_mark_of_spreadsheets_is_no_part_of_the_first_name(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b'\xef\xbb\xbf"no",opened,closed,prio,score,vip,due,,\r\n7,02.03.2026 09:00,,,,,,,\r\n')
    (event,) = events_of_file(file, mapping(head=HEAD.replace("events", f"encoding: {encoding}\nevents")))
    assert isinstance(event, dict)
    assert event["subject"] == "INC-7"


def test_rows_that_are_not_of_the_files_encoding_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(f"{COLUMNS}\n7,02.03.2026 09:00,,Störung,,,\n8,02.03.2026 09:00,,P1,,,\n".encode("latin-1"))
    reject, event = events_of_file(file, mapping())
    assert isinstance(reject, Reject)
    assert (reject.line, reject.column, reject.row["prio"]) == (2, "prio", "St\N{REPLACEMENT CHARACTER}rung")
    assert reject.why == "not UTF-8 text: write in the mapping which encoding the file has, such as `encoding: cp1252`"
    assert isinstance(event, dict)


def test_two_digit_years() -> None:
    (event,) = only_events("7,02.03.26 09:00,,,,,", using=mapping(head=HEAD.replace("%Y", "%y")))
    assert event["time"] == "2026-03-02T08:00:00Z"


def test_delimiter_encoding_and_lines_before_the_header(tmp_path: Path) -> None:
    events = '  - {type: t, subject: "{Nr}", time: "{Zeit}", data: {ort: "{Ort}"}}\n'
    foreign = mapping(events, HEAD.replace("events:", "delimiter: ';'\nencoding: latin-1\nskip_lines: 2\nevents:"))
    file = tmp_path / "table.csv.gz"
    with gzip.open(file, "wb") as out:
        out.write("Export\n\nNr;Zeit;Ort\n1;02.03.2026 09:00;Zürich\n2;x;y\n".encode("latin-1"))
    event, reject = events_of_file(file, foreign)
    assert isinstance(event, dict)
    assert event["data"] == {"ort": "Zürich"}
    assert isinstance(reject, Reject)
    assert reject.line == 5


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (HEAD + EVENTS.replace("INC-{no}", "INC-{no"), "11:19", "a brace that names no column"),
        (HEAD.replace("%d.%m.%Y", "dd.mm.yyyy").replace(" %H:%M", "") + EVENTS, "5:9", "not a date format"),
        (HEAD.replace("%d.", "") + EVENTS, "5:9", "names no day of a year"),
        (HEAD.replace("%H:%M", "%H:%m") + EVENTS, "5:9", "%m stands twice"),
        (HEAD.replace("%H", "%Q") + EVENTS, "5:9", "%Q is not a date directive"),
        (HEAD + EVENTS.replace("has(row.closed)", "has(data.closed)"), "19:14", "undeclared reference to 'data.closed'"),
        (HEAD + EVENTS.replace("as: number", "as: numbr"), "15:34", "'numbr' is not possible"),
        (HEAD.replace("vendor: acme\n", "") + EVENTS, "9:5", "the event has no 'vendor'"),
        (HEAD + EVENTS.replace('"{closed}"', "closed"), "22:11", "the time 'closed' names no column (hint: write \"{closed}\")"),
        (HEAD + EVENTS.replace('"INC-{no}"', '""', 1), "11:14", "the subject is empty"),
        (HEAD.replace("events", "delimiter: '\"'\nevents") + EVENTS, "9:12", "is not one character"),
        (HEAD.replace("vendor", "vendr") + EVENTS, "7:1", "Mapping has no key 'vendr'"),
        (HEAD + EVENTS.replace("as: number", "timezone: UTC, as: text"), "15:30", "'timezone' goes with 'as: instant'"),
        (HEAD + EVENTS.replace("has(row.closed)", "row.score > 5"), "19:21", 'write int(row.n) > 5, double(row.n) > 5.0, or row.n == "5"'),
        (HEAD + EVENTS.replace("has(row.closed)", "row.vip == true"), "19:19", "a cell is a text"),
        (HEAD + EVENTS.replace("has(row.closed)", "row.vip"), "19:11", "must be true or false, this is string"),
        (HEAD + EVENTS.replace("as: number", "as: number, default: zero"), "15:51", "'zero' is not a number (hint: "),
        (HEAD + EVENTS.replace("as: boolean", "as: boolean, default: ja"), "16:48", "'ja' is neither true nor false"),
        (HEAD + EVENTS.replace("as: instant", "as: instant, default: soon"), "17:56", "'soon' is not a date of the form %d.%m.%Y"),
        (HEAD + EVENTS.replace("as: number", "as: number, values: {a: one}"), "15:54", "'one' is not a number"),
        (HEAD + EVENTS.replace('"{closed}"', "{column: closed, default: never}"), "22:37", "'never' is not a date of the form"),
        (HEAD + EVENTS.replace('"{closed}"', "{column: closed, as: number}"), "22:32", "the time is an instant (hint: leave out 'as'"),
        (HEAD + EVENTS.replace('"INC-{no}"', "{column: no, as: number}", 1), "11:31", "the subject is a text, not a number"),
        (HEAD + EVENTS.replace("ticket.closed", "slawatch.x"), "18:11", "slawatch.x: types that begin with slawatch. are reserved"),
        (HEAD + EVENTS.replace("ticket.closed", '"slawatch.{no}"'), "18:11", "types that begin with slawatch. are reserved"),
        (HEAD + EVENTS.replace("ticket.closed", "{column: no, values: {a: slawatch.x}}"), "18:36", "are reserved"),
        (HEAD.replace("events", "encoding: latin-99\nevents") + EVENTS, "9:11", "the encoding 'latin-99' is not known"),
    ],
)
def test_mistakes_in_mappings(text: str, place: str, message: str) -> None:
    problem = str(load_text("m.yaml", text).problems[0])
    assert problem.startswith(f"m.yaml:{place}: error: ")
    assert message in problem


@pytest.mark.parametrize(
    ("history", "file", "types"),
    [
        ("baltimore311", "baltimore311.csv.gz", {"request.opened": 10_000, "request.closed": 9_792}),
        ("uci_incident", "uci_incident_2016_03.csv.gz", {"incident.opened": 9_202, "incident.updated": 59_354, "incident.closed": 9_202}),
        ("upptime", "upptime.csv", {"check.up": 296, "check.down": 76}),
    ],
)
def test_real_histories_map_without_a_reject(history: str, file: str, types: dict[str, int]) -> None:
    if not (DATA / file).exists():
        pytest.skip(f"no folder of real histories: {DATA / file} is absent")
    (using,) = load([HISTORIES / f"{history}.mapping.yaml"]).or_raise().mappings
    contents: dict[str, dict[str, Any]] = {}
    for event in events_of_file(DATA / file, using):
        assert isinstance(event, dict), event
        assert contents.setdefault(event["id"], event) == event, "the same id with other content"
    assert Counter(event["type"] for event in contents.values()) == types
