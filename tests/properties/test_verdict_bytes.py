"""The short way from a statement to its bytes says what the long way says, whatever the texts in it."""

from hypothesis import example, given
from hypothesis import strategies as st

from shared.sla.statements import Statement, breach_identity, identity
from shared.wire.verdicts import encode, encode_statement, verdict_of

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["100%", "%s", "\x01", "\x02", 'a"b', "\\u0001"]
)
_instant = st.integers(0, 253_402_300_799_999)
_duration = st.none() | st.integers(0, 10**12) | st.integers(0, 10**9).map(lambda s: s * 1_000)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Of clocks, mostly; levels and corrections too."""
    case = draw(_text)
    return Statement(
        type=draw(st.sampled_from(["slawatch.clock.met", "slawatch.breach.opened", "slawatch.breach.closed"])),
        time=draw(_instant),
        instance=draw(st.sampled_from([(case,), (case, "source", "id")])),
        revision=draw(st.none() | st.integers(0, 12)),
        agreement=draw(_text),
        version=draw(st.integers(1, 20)),
        objective=draw(_text),
        vendor=draw(_text),
        service=draw(_text),
        case=draw(st.sampled_from([case, case, case, None])),
        state=draw(st.sampled_from(["met", "breached", "breached_closed"])),
        severity=draw(st.sampled_from(["page", "ticket"])),
        decided_at=draw(_instant),
        cycle=draw(st.sampled_from([1, 2, None])),
        started=draw(st.none() | _instant),
        due=draw(st.none() | _instant),
        stopped=draw(st.none() | _instant),
        elapsed=draw(_duration),
        target=draw(_duration),
        paused=draw(_duration),
        late=draw(_duration),
        overdue=draw(_duration),
        cause=draw(st.sampled_from([None, "due"])),
        provisional=draw(st.booleans()),
        evidence=tuple(draw(st.lists(_text, max_size=3))),
        marks=draw(st.sampled_from([(), ("80%", 5)])),
        detail=draw(st.sampled_from([{}, {}, {"threshold": "80%"}])),
    )


@given(statements())
def test_both_ways_give_the_same_bytes(statement: Statement) -> None:
    assert encode_statement(statement) == encode(verdict_of(statement))
    assert encode_statement(statement) == encode(verdict_of(statement)), "with the form at hand"


@given(st.tuples(_text, _text, _text, _text), st.lists(_text, min_size=1, max_size=3).map(tuple))
@example(("a", "b", "c", "d"), ("e",))
def test_ids_are_those_of_their_parts(place: tuple[str, str, str, str], instance: tuple[str, ...]) -> None:
    assert breach_identity(*place, instance) == identity(*place, *instance)
