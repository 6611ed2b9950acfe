"""The command line as its users meet it: what is printed, and how it ends."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.__main__ import app

PROJECT = Path(__file__).resolve().parents[3]
HELPDESK = PROJECT / "examples" / "helpdesk"
PAYROLL = PROJECT / "examples" / "payroll" / "agreement.yaml"
UNTIL = "2026-03-01T12:00:00Z"


def slawatch(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_every_command_has_help_with_an_example() -> None:
    commands = ["check", "replay", "explain", "diff", "export", "advance", "up", "serve"]
    groups = {
        "calendar": ["due", "show"],
        "keys": ["create", "revoke", "list"],
        "tokens": ["create", "revoke", "list"],
        "agreements": ["apply", "list"],
    }
    for words in [[c] for c in commands] + [[group, c] for group, names in groups.items() for c in names]:
        shown = slawatch(*words, "--help")
        assert shown.exit_code == 0
        assert "Example: " in shown.output, words


def test_check_names_the_place_and_what_to_write_and_fails(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((HELPDESK / "agreement.yaml").read_text("utf-8").replace("stop:", "stopp:", 1), "utf-8")

    shown = slawatch("check", wrong)

    assert shown.exit_code == 1
    assert f"{wrong}:" in shown.output
    assert "stopp" in shown.output
    assert "stop" in shown.output.split("hint", 1)[1]
    assert slawatch("check", HELPDESK / "agreement.yaml").exit_code == 0


def test_replay_writes_every_file_of_the_interface(tmp_path: Path) -> None:
    words = ("--agreements", HELPDESK / "agreement.yaml", "--events", HELPDESK / "events.ndjson", "--until", UNTIL, "--by", "vendor")
    shown = slawatch("replay", *words, "--out", tmp_path)

    assert shown.exit_code == 0, shown.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"verdicts.ndjson", "cases.ndjson", "levels.ndjson", "statements.json", "summary.json"} <= names
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    states = {"running", "paused", "met", "breached", "breached_closed", "cancelled", "skipped"}
    assert set(summary["agreements"]["acme-helpdesk"]["resolution"]["clocks"]) == states
    assert set(summary["agreements"]["acme-helpdesk"]["resolution"]["levels"]) == {"met", "breached", "no_data", "at_risk"}
    assert list(summary["by_vendor"]) == ["acme"]
    case = json.loads((tmp_path / "cases.ndjson").read_text("utf-8").splitlines()[0])
    place, clock = "agreement version objective vendor service case cycle", "state started due stopped elapsed_s target_s paused_s late_s"
    assert list(case) == [*place.split(), *clock.split(), "overdue_s", "event", "revision"]


def test_agreements_may_be_several_files_behind_one_another(tmp_path: Path) -> None:
    events = ("--events", HELPDESK / "events.ndjson")
    shown = slawatch("replay", "--agreements", HELPDESK / "agreement.yaml", PAYROLL, *events, "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert len(json.loads((tmp_path / "summary.json").read_text("utf-8"))["agreements"]) == 2
    case = json.loads((HELPDESK / "events.ndjson").read_text("utf-8").splitlines()[0])["subject"]
    assert slawatch("explain", "--agreements", HELPDESK / "agreement.yaml", PAYROLL, *events, "--case", case).exit_code == 0


def test_replay_tells_which_lines_it_could_not_use(tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text('{"id": 1}\nnot json\n', "utf-8")

    shown = slawatch("replay", "-a", HELPDESK / "agreement.yaml", "-e", events, "--out", tmp_path / "out")

    assert "line 1:" in shown.output
    assert "line 2:" in shown.output
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.ndjson").read_text("utf-8").splitlines()]
    assert [reject["line"] for reject in rejects] == [1, 2]


def test_explain_and_diff_tell_too_which_lines_they_could_not_use(tmp_path: Path) -> None:
    events, terms = tmp_path / "events.ndjson", HELPDESK / "agreement.yaml"
    events.write_text("not json\n" + (HELPDESK / "events.ndjson").read_text("utf-8"), "utf-8")

    explained = slawatch("explain", "-a", terms, "-e", events, "--case", "INC-1001", "--json")
    assert explained.exit_code == 0, explained.output
    assert "line 1:" in explained.stderr
    assert json.loads(explained.stdout)[0]["case"] == "INC-1001"

    draft = tmp_path / "draft.yaml"
    draft.write_text(terms.read_text("utf-8"), "utf-8")
    compared = slawatch("diff", terms, draft, "-e", events)
    assert [f"1 line could not be used under {file}" in compared.stderr for file in (terms, draft)] == [True, True]


MAPPING = """\
apiVersion: slawatch/v1
kind: Mapping
name: tickets
vendor: acme
service: helpdesk
events: [{type: ticket.opened, time: "{opened}", subject: "{no}"}]
"""


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.csv", b"number,opened\n", "t.csv:1:1: error: there is no column 'no'"),
        ("t.csv", b"", "there is no line of column names"),
        ("t.csv.gz", b"no,opened\n", "cannot be read: Not a gzipped file"),
        ("t.csv.gz", gzip.compress(b"no,opened\n" + bytes(100_000))[:-9], "cannot be read: Compressed file ended"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "explain"])
def test_a_table_that_cannot_be_used_is_told_in_words(tmp_path: Path, command: str, name: str, content: bytes, why: str) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING, "utf-8")
    (tmp_path / name).write_bytes(content)
    words: list[str | Path] = [command, "-a", HELPDESK / "agreement.yaml", "--events", tmp_path / name, "--mapping", tmp_path / "m.yaml"]
    result = slawatch(*words, *(["--case", "7"] if command == "explain" else []))
    assert result.exit_code == 2, result.output
    assert why in result.output


def test_rejected_rows_carry_the_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING.replace("ticket.opened", "'{no}'"), "utf-8")
    rows = ["no,opened", "1,2026-03-02T09:00:00Z", '2,"two', 'days"', "3,2026-03-02T09:00:00Z", "slawatch.x,2026-03-02T09:00:00Z"]
    (tmp_path / "t.csv").write_text("\n".join(rows), "utf-8")
    out = tmp_path / "out"
    slawatch("replay", "-a", HELPDESK / "agreement.yaml", "--events", tmp_path / "t.csv", "--mapping", tmp_path / "m.yaml", "--out", out)
    rejects = [json.loads(line) for line in (out / "rejects.ndjson").read_text("utf-8").splitlines()]
    assert [reject["line"] for reject in rejects] == [4, 6]
    assert json.loads(rejects[0]["text"]) == {"no": "2", "opened": "two\ndays"}


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (["00:30"], None),
        (["02:30"], "1 local time comes twice, as clocks go back: the first was taken (line 2)"),
        (["02:30", "02:31"], "2 local times come twice, as clocks go back: the first was taken (lines 2, 3)"),
        (["02:30"] * 7, "7 local times come twice, as clocks go back: the first was taken (lines 2, 3, 4, 5, 6 …)"),
    ],
)
def test_local_times_that_come_twice_are_told(tmp_path: Path, times: list[str], told: str | None) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING.replace("vendor:", "timezone: Europe/Berlin\nvendor:"), "utf-8")
    rows = ["no,opened", *(f"{number},2026-10-25T{time}:00" for number, time in enumerate(times))]
    (tmp_path / "t.csv").write_text("\n".join(rows), "utf-8")
    shown = slawatch("replay", "-a", HELPDESK / "agreement.yaml", "-e", tmp_path / "t.csv", "--mapping", tmp_path / "m.yaml")
    assert shown.exit_code == 0, shown.output
    assert told in shown.stderr if told else "twice" not in shown.stderr


def test_a_history_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    shown = slawatch("replay", "-a", HELPDESK / "agreement.yaml", "-e", tmp_path / "none.ndjson")
    assert shown.exit_code == 2
    assert "No such file" in shown.output


@pytest.mark.parametrize(
    ("start", "within", "due"),
    [
        ("2026-02-14T17:00", "4h", "2026-02-24T04:00:00Z"),  # over the Spring Festival, with a lunch break
        ("2026-02-13T17:00", "1bd", "2026-02-14T10:00:00Z"),  # a make-up working day
    ],
)
def test_calendar_due_knows_chinese_holidays(tmp_path: Path, start: str, within: str, due: str) -> None:
    calendar = tmp_path / "office.yaml"
    calendar.write_text(
        "apiVersion: slawatch/v1\nkind: Calendar\nname: office\ntimezone: Asia/Shanghai\n"
        'hours: {mon-fri: ["09:00-12:00", "13:00-18:00"]}\nholidays: CN\n',
        "utf-8",
    )
    shown = slawatch("calendar", "due", "office", "-c", calendar, "--start", start, "--within", within)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(due)


def test_calendar_show_names_the_holidays() -> None:
    name = next(line.split(": ")[1] for line in PAYROLL.read_text("utf-8").splitlines() if line.startswith("name: "))
    shown = slawatch("calendar", "show", name, "2026-10", "-c", PAYROLL)
    assert shown.exit_code == 0, shown.output
    assert "2026-10-01" in shown.output
    assert "total" in shown.output


def test_diff_says_which_verdicts_a_draft_would_change(tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text((HELPDESK / "agreement.yaml").read_text("utf-8").replace("within: 4h", "within: 2h"), "utf-8")
    words = (HELPDESK / "agreement.yaml", draft, "--events", HELPDESK / "events.ndjson", "--until", UNTIL)

    shown = slawatch("diff", *words, "--out", tmp_path)

    assert shown.exit_code == 0, shown.output
    changed = [json.loads(line) for line in (tmp_path / "diff.ndjson").read_text("utf-8").splitlines()]
    worse = [c for c in changed if c["from"]["state"] == "met" and c["to"]["state"] == "breached_closed"]
    assert worse, "a shorter target breaks promises that were kept"
    assert f"{len(changed)} of " in shown.output
    same = slawatch("diff", words[0], words[0], *words[2:])
    assert same.output.startswith("0 of ")


def test_diff_keeps_agreements_apart_that_name_their_objectives_alike(tmp_path: Path) -> None:
    one = (HELPDESK / "agreement.yaml").read_text("utf-8")
    agreement = one[one.index("kind: Agreement") - len("apiVersion: slawatch/v1\n") :]
    (tmp_path / "both.yaml").write_text(f"{one}\n---\n{agreement.replace('name: acme-helpdesk', 'name: twin')}", "utf-8")
    (tmp_path / "draft.yaml").write_text(one.replace("name: acme-helpdesk", "name: draft"), "utf-8")

    def first_line(old: Path, new: Path) -> str:
        result = slawatch("diff", old, new, "--events", HELPDESK / "events.ndjson", "--until", UNTIL)
        assert result.exit_code == 0, result.output
        return result.output.splitlines()[0]

    count = int(first_line(HELPDESK / "agreement.yaml", tmp_path / "draft.yaml").removeprefix("0 of ").removesuffix(" verdicts change"))
    assert first_line(HELPDESK / "agreement.yaml", tmp_path / "both.yaml") == f"{count} of {2 * count} verdicts change"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["due", "24x7", "--start", "2026-02-14T17:00", "--within", "4x"], "'4x' is not a duration (write a number and a unit"),
        (["due", "24x7", "--start", "yesterday", "--within", "4h"], "'yesterday' is not an RFC 3339 instant"),
        (["due", "24x7", "--start", "9990-01-01T00:00", "--within", "36000d"], "9990-01-01 lies outside the years"),
        (["due", "24x7", "--start", "2026-01-01T00:00", "--within", "4h", "--zone", "Mars"], "the time zone 'Mars' is not known"),
        (["show", "24x7", "2026-13"], "'2026-13' is not a month (such as 2026-10)"),
        (["show", "24x7", "9999-12"], "lies outside the years"),
    ],
)
def test_calendar_says_what_it_cannot_answer(words: list[str], why: str) -> None:
    result = slawatch("calendar", *words)
    assert result.exit_code == 2, result.output
    assert why in result.output


@pytest.mark.parametrize("command", ["replay", "diff"])
def test_results_that_cannot_be_written_are_said_so(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    agreement = HELPDESK / "agreement.yaml"
    words: list[str | Path] = ["replay", "-a", agreement] if command == "replay" else ["diff", agreement, agreement]
    result = slawatch(*words, "--events", HELPDESK / "events.ndjson", "--out", tmp_path / "file")
    assert result.exit_code == 2, result.output
    assert "cannot be the directory for the results" in result.output


def test_commands_against_the_stack_say_so_when_none_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLAWATCH_HOME", str(tmp_path))
    for words in (["export"], ["keys", "list"], ["agreements", "list"]):
        shown = slawatch(*words)
        assert shown.exit_code == 1
        assert "make run" in shown.output
