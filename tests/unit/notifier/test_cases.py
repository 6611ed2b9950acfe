"""What people may do to a case, and why not: the rules, without a database."""

from typing import Any, get_args

import msgspec
import pytest
from pydantic import ValidationError

from services.notifier.cases import MAY, Reason, Request, Verb, correction_state, decide
from services.notifier.cases_api import Assignment, CorrectiveAction
from services.notifier.silences import Wish
from services.notifier.views import Body
from shared.ports.casework import Correction, Excuse, Facts, Stage, Work
from shared.ports.ledger import BreachRow
from shared.sla.instants import HOUR
from tests.unit.notifier.kit import breach_row

NOW = 1_000_000_000_000
EXCUSE = Work(excuse=Excuse(reason="flood", approver="board", by="Mia", at=NOW))


def breach(stage: Stage = "open", work: Work = Work(), **more: Any) -> BreachRow:  # noqa: B008  # frozen
    return breach_row(**{"breach_id": "b", "standing": "open", "stage": stage, "status": stage, "work": work, **more})


def ask(verb: Verb, row: BreachRow, role: str = "manager", **fields: Any) -> tuple[Reason, Facts | None, dict[str, Any]]:
    """The reason, what the case is then, and what the audit trail says of it."""
    reason, change = decide(row, Request(verb, "Mia", role, NOW, **fields))
    return reason, change.facts if change else None, change.changed if change else {}


def test_assigning_changes_only_what_is_given_and_says_what_it_was() -> None:
    reason, facts, changed = ask("assign", breach(owner="Ann", priority="P3"), owner="Bo")
    assert (reason, changed) == (Reason.done, {"owner": ("Ann", "Bo")})
    assert facts is not None
    assert (facts.owner, facts.priority) == ("Bo", "P3")
    assert ask("assign", breach(owner="Ann"), owner=None)[2] == {"owner": ("Ann", None)}
    assert ask("assign", breach(owner="Ann"), owner="Ann")[:2] == (Reason.nothing_new, None)


def test_a_note_is_always_taken_and_changes_nothing() -> None:
    for stage in get_args(Stage):
        assert ask("note", breach(stage), text="called them")[0] is Reason.done
    assert ask("note", breach(standing="retracted"), text="so be it")[0] is Reason.done


@pytest.mark.parametrize("verb", [verb for verb in get_args(Verb) if verb != "note"])
def test_nothing_is_done_to_the_case_of_a_withdrawn_breach(verb: Verb) -> None:
    assert ask(verb, breach("disputed", standing="retracted"), text="x", owner="x", action="x")[:2] == (Reason.withdrawn, None)


@pytest.mark.parametrize(("verb", "expected"), [("assign", "closed"), ("correct", "closed"), ("dispute", "closed"), ("excuse", "done")])
def test_a_closed_case_stays_closed_but_may_be_excused(verb: Verb, expected: str) -> None:
    assert ask(verb, breach("closed"), text="x", owner="x", action="x")[0].name == expected


@pytest.mark.parametrize("verb", ["assign", "correct", "dispute", "excuse", "close"])
def test_an_excused_case_is_left_alone(verb: Verb) -> None:
    assert ask(verb, breach("excused", EXCUSE), text="x", owner="x", action="x")[0] is Reason.excused


def test_roles() -> None:
    for verb, roles in MAY.items():
        for role in ("viewer", "responder", "manager", "operator", "vendor"):
            reason, _, _ = ask(verb, breach("closed" if verb == "reopen" else "open"), role, text="x", owner="x", action="x")
            assert (reason is Reason.done) == (role in roles), (verb, role)
    assert "vendor" in MAY["dispute"]
    assert "responder" not in MAY["excuse"]


def test_only_who_may_excuse_takes_an_excuse_back() -> None:
    assert ask("reopen", breach("excused", EXCUSE), "responder", text="no")[0] is Reason.not_yours
    reason, facts, changed = ask("reopen", breach("excused", EXCUSE), text="no")
    assert reason is Reason.done
    assert facts is not None
    assert (facts.stage, facts.work.excuse) == ("open", None)
    assert changed["excuse"] == (EXCUSE.excuse, None), "the audit trail keeps what was taken back"
    assert ask("reopen", breach("open"))[0] is Reason.not_closed


def test_the_excuse_names_who_agreed() -> None:
    _, facts, _ = ask("excuse", breach(), text="earthquake")
    assert facts is not None
    assert facts.work.excuse == Excuse(reason="earthquake", approver="Mia", by="Mia", at=NOW)
    _, facts, _ = ask("excuse", breach(), text="earthquake", approver="the board")
    assert facts is not None
    assert facts.work.excuse is not None
    assert facts.work.excuse.approver == "the board"


def test_a_corrective_action_from_plan_to_closure() -> None:
    reason, facts, _ = ask("correct", breach(), root_cause="no night shift", action="hire two", due=NOW + HOUR)
    assert reason is Reason.done
    assert facts is not None
    assert (facts.stage, facts.work.root_cause) == ("in_correction", "no night shift")
    row = breach(facts.stage, facts.work)
    assert ask("close", row)[0] is Reason.correcting
    _, facts, _ = ask("correct", row, action="hire three")
    assert facts is not None
    assert facts.work.correction == Correction(action="hire three", due=NOW + HOUR), "the deadline stays"
    _, facts, _ = ask("correct", row, done=True)
    assert facts is not None
    row = breach(facts.stage, facts.work)
    assert ask("close", row)[0] is Reason.done
    assert ask("correct", row, done=True)[0] is Reason.nothing_new, "done once"


def test_a_deadline_without_an_action_is_refused_and_an_action_taken_back_reopens() -> None:
    assert ask("correct", breach(), due=NOW)[0] is Reason.no_action
    assert ask("correct", breach(), done=True)[0] is Reason.no_action
    work = Work(correction=Correction(action="hire"))
    _, facts, _ = ask("correct", breach("in_correction", work), action=None)
    assert facts is not None
    assert (facts.stage, facts.work.correction) == ("open", None)


@pytest.mark.parametrize(
    ("done_at", "now", "expected"),
    [(None, NOW, "running"), (None, NOW + 1, "overdue"), (NOW, NOW + HOUR, "done"), (NOW + 1, NOW + HOUR, "done_late")],
)
def test_the_actions_own_clock(done_at: int | None, now: int, expected: str) -> None:
    assert correction_state(Correction(action="x", due=NOW, done_at=done_at), now) == expected
    assert correction_state(Correction(action="x"), now) == "running"


def test_work_survives_the_database() -> None:
    work = msgspec.structs.replace(EXCUSE, correction=Correction(action="x", due=NOW), root_cause="y")
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(work)), Work) == work


@pytest.mark.parametrize(
    ("body", "sent"), [(Assignment, {"prio": "P1"}), (CorrectiveAction, {"cause": "flood"}), (Wish, {"until": "later"})]
)
def test_a_field_that_is_not_known_is_refused_rather_than_forgotten(body: type[Body], sent: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        body.model_validate(sent)
