"""A history through the engine: an event that breaks it costs that event, not the replay."""

from collections.abc import Sequence

import pytest

from shared.cli.history import Rejects, Replay
from shared.language import Loaded, load_text
from shared.sla.engine import Case, ClockMode, Engine, Refused
from shared.sla.evidence import Evidence
from shared.sla.statements import Said
from shared.wire.events import to_evidence
from shared.wire.history import BadLine, Line
from tests.saying import unwritten
from tests.unit.sla.timeline import agreement, instant


class Heard:
    """What a replay says, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.rejects: list[BadLine] = []

    def said(self, statements: Sequence[Said]) -> None:
        self.told += [f"{statement.case} {statement.type.removeprefix('slawatch.')}" for statement in unwritten(statements)]

    def rejected(self, line: BadLine) -> None:
        self.rejects.append(line)

    def left(self, case: Case) -> None: ...


class Fragile(Engine):
    """An engine with a fault that one case brings out."""

    def take(self, event: Evidence, arrival: int | None = None, stamped: int | None = None) -> tuple[Sequence[Said], Refused | None]:
        if event.case == "strange":
            raise OverflowError("date value out of range")
        return super().take(event, arrival, stamped)


def loaded() -> Loaded:
    return load_text("terms.yaml", agreement()).or_raise()


def line(number: int, kind: str, at: str, case: str, clock: ClockMode) -> Line:
    event = {"specversion": "1.0", "id": str(number), "source": "/s", "type": kind, "subject": case, "vendor": "vendor", "service": "desk"}
    arrival = instant(at) if clock == "log" else None
    return Line(number, to_evidence(event | {"time": f"2026-03-02T{at}Z"}), arrival, 0, arrival)


@pytest.mark.parametrize("clock", ["log", "event"])
def test_an_event_that_breaks_the_engine_is_counted_and_the_replay_goes_on(clock: ClockMode) -> None:
    heard = Heard()
    run = Replay(loaded(), heard, clock, Fragile)
    for number, (kind, at, case) in enumerate(
        [("opened", "10:00:00", "a"), ("opened", "10:30:00", "b"), ("noise", "11:10:00", "strange"), ("done", "11:20:00", "b")], 1
    ):
        run.feed(line(number, kind, at, case, clock))
    assert [(reject.number, reject.text) for reject in heard.rejects] == [(3, "3")]
    assert heard.rejects[0].why.startswith("Poison: ")
    assert "date value out of range" in heard.rejects[0].why
    assert run.poisoned == 1
    assert heard.told == ["a breach.opened", "b clock.met"]


def test_what_was_due_before_the_event_that_breaks_the_engine_is_said_once() -> None:
    heard = Heard()
    run = Replay(loaded(), heard, "log", Fragile)
    run.feed(line(1, "opened", "10:00:00", "a", "log"))
    run.feed(line(2, "noise", "11:10:00", "strange", "log"))
    assert heard.told == ["a breach.opened"]
    run.feed(line(3, "noise", "11:11:00", "strange", "log"))
    run.finish(None)
    assert (heard.told, run.poisoned) == (["a breach.opened"], 2)


def test_a_fault_of_a_timer_is_no_events() -> None:
    class Broken(Engine):
        def fire(self, arrival: int, limit: int, vendor: str | None = None) -> tuple[Sequence[Said], bool]:
            if arrival > instant("11:00:02"):
                raise OverflowError("a timer's")
            return super().fire(arrival, limit, vendor)

    heard = Heard()
    run = Replay(loaded(), heard, "log", Broken)
    run.feed(line(1, "opened", "10:00:00", "a", "log"))
    with pytest.raises(OverflowError, match="a timer's"):
        run.feed(line(2, "done", "11:10:00", "a", "log"))
    assert heard.rejects == []


def test_only_the_first_rejects_are_shown_and_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rejects = Rejects()
    rejects.show()
    assert capsys.readouterr().err == ""
    for number in range(1, 10):
        rejects.add(BadLine(number, "Poison: it cannot be folded", ""))
    rejects.show(" under draft.yaml")
    shown = capsys.readouterr().err
    assert [f"line {number}:" in shown for number in (1, 5, 6)] == [True, True, False]
    assert "9 lines could not be used under draft.yaml" in shown


def test_lines_are_counted_whatever_is_wrong_with_each(capsys: pytest.CaptureFixture[str]) -> None:
    rejects = Rejects()
    for number in (70_000, 2, 70_000, 2):
        rejects.add(BadLine(number, "no value", ""))
    rejects.show()
    assert "2 lines could not be used (" in capsys.readouterr().err
    one = Rejects()
    one.add(BadLine(3, "no value", ""))
    one.show()
    assert "\n1 line could not be used (" in capsys.readouterr().err
