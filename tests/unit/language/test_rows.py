"""Mappings: rows of foreign tables become events; what cannot be used is told with its line and never stops the run."""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared.language import LanguageError, load, load_text
from shared.language.mapping import RowMapping
from shared.language.rows import Reject, events_of, events_of_file

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
    with pytest.raises(LanguageError, match="two columns are called 'no'"):
        run("7,x", columns=COLUMNS + ",no")


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("", "there is no line of column names"),
        ("no;opened;closed", "split at ',' (hint: write delimiter: ';' in the mapping)"),
        ("no\topened", "hint: write delimiter: tab in the mapping"),
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
    assert "say in the mapping which `encoding`" in reject.why
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
