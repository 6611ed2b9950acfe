"""Conditions: the closures say what CEL says, for every value JSON can hold; unknown is never mistaken for false."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.sla.conditions import ConditionError, compile_condition, compile_path, evaluate_by_cel

KEYS = ("a", "b", "c")
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.5, 2**53, 2**53 + 1, 2.0**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400]),
)
texts = st.one_of(st.sampled_from(["", "a", "b", "P1", "é", "\uffff", "\U0001f600"]), st.text(st.characters(codec="utf-8"), max_size=3))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
json_values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)), max_leaves=6
)
objects = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3)


def literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


fields = st.builds(
    lambda root, steps: root + "".join(f'["{key}"]' if quoted else f".{key}" for key, quoted in steps),
    st.sampled_from(["data", "event"]),
    st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=2),
)
plain_texts = st.sampled_from(["", "a", "b", "P1", "é"])
constants = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 3),
    st.floats(-1e6, 1e6).map(lambda value: round(value, 3)),
    st.booleans(),
    plain_texts,
).map(literal)
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
leaves = st.one_of(
    st.builds("{} {} {}".format, fields, operators, constants),
    st.builds("{} {} {}".format, constants, operators, fields),
    st.builds("{} {} {}".format, fields, operators, fields),
    st.builds(lambda field, many: f"{field} in [{', '.join(many)}]", fields, st.lists(plain_texts.map(literal), max_size=3)),
    st.builds(lambda field, many: f"{field} in [{', '.join(many)}]", fields, st.lists(constants, max_size=3)),
    st.builds(lambda root, key: f"has({root}.{key})", st.sampled_from(["data", "event", "data.a", 'data["b"]']), st.sampled_from(KEYS)),
    fields,
    st.sampled_from(["true", "false"]),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner), st.builds("({}) && ({})".format, inner, inner), st.builds("({}) || ({})".format, inner, inner)
    ),
    max_leaves=5,
)


@settings(max_examples=1_500, deadline=None)
@given(conditions, objects, objects)
@example("data.a == 1", {}, {"a": True})
@example("data.a >= 4", {}, {"a": 4.5})
@example("data.a in [1]", {}, {"a": 1.0})
@example("data.a < data.b", {}, {"a": 2**53, "b": 2.0**53})
@example("data.a == data.b", {}, {"a": {"c": None}, "b": {}})
def test_the_closures_agree_with_cel(text: str, event: dict[str, Any], data: dict[str, Any]) -> None:
    try:
        fast = compile_condition(text)
    except ConditionError:  # what CEL's checker refuses, such as `"a" < 1`
        return
    slow = evaluate_by_cel(text)
    assert fast(event, data) == slow(event, data)
    assert fast(event, data) in (True, False, None)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_no_text_crashes_the_compiler(text: str) -> None:
    problem = refusal(text)
    if problem is not None and problem.offset is not None:
        assert 0 <= problem.offset <= len(text) + 1


def refusal(text: str) -> ConditionError | None:
    try:
        compile_condition(text)
    except ConditionError as problem:
        return problem
    return None


@pytest.mark.parametrize(
    ("text", "data", "answer"),
    [
        ("data.score >= 4", {"score": 4.5}, True),
        ("data.score >= 4", {"score": 4}, True),
        ("data.score >= 4", {"score": "4"}, None),  # a text cannot be compared with a number
        ("data.score == 4", {"score": "4"}, False),
        ("data.score == 1", {"score": True}, False),  # a boolean is no number
        ("data.x == 1", {}, None),
        ("data.x == 1", {"x": None}, None),
        ("data.x != 1", {"x": None}, None),
        ("!(data.x == 1)", {}, None),
        ("has(data.x)", {}, False),
        ("has(data.x)", {"x": None}, True),  # as CEL: it is there, it only cannot be read
        ("has(data.x.y)", {"x": None}, None),
        ("has(data.x)", {"x": 0}, True),
        ("has(data.x) ? data.y == 'has(data.x)' : false", {"x": None, "y": "has(data.x)"}, True),
        ("'é' != data.z && has(data.x) && data.l.all(i, has(i.a))", {"x": None, "z": 1, "l": [{"a": 1}]}, True),
        ('!has(data.category) || data.category != "test"', {}, True),
        ('!has(data.category) || data.category != "test"', {"category": None}, None),
        ('!has(data.category) || data.category != "test"', {"category": "test"}, False),
        ("false && data.x", {}, False),
        ("data.x && false", {}, False),
        ("true || data.x", {}, True),
        ("data.x == 1 || true", {}, True),
        ("data.x && true", {"x": 3}, None),
        ("data.x", {"x": True}, True),
        ("data.x", {"x": 1}, None),
        ("data.p in ['a', 'b']", {"p": "b"}, True),
        ("'vip' in data.tags", {"tags": ["new", "vip"]}, True),
        ("data.a.b > data.c[0]", {"a": {"b": 2}, "c": [1]}, True),
        ("data.big > 1", {"big": 2**70}, True),
        ("timestamp(data.t) < timestamp('2026-01-01T00:00:00Z')", {"t": "2025-12-31T23:59:59Z"}, True),
        ("data.tags.exists(t, t.startsWith('v'))", {"tags": ["vip"]}, True),
    ],
)
def test_what_conditions_mean(text: str, data: dict[str, Any], answer: bool | None) -> None:
    assert compile_condition(text)({}, data) is answer
    assert evaluate_by_cel(text)({}, data) is answer


def test_event_attributes_are_seen_as_event() -> None:
    assert compile_condition('event.type == "ticket.opened"')({"type": "ticket.opened"}, {}) is True


@pytest.mark.parametrize(
    ("text", "says", "offset"),
    [
        ("", "empty", None),
        ("data.x ==", "mismatched input", 9),
        ("priority == 'P1'", "undeclared reference to 'priority'", 0),
        ("data.x == 1 &&\n  other > 2", "undeclared reference to 'other'", 17),
        ("data.x = 1", "Syntax error", 7),
        ("1 + 1", "must be true or false, this is int", 0),
        ("'a' == 1", "no matching overload", 4),
        ("data.x == null", "cannot be compared with null", None),
        ("data.l.all(x, x.all(y, y.all(z, z)))", "nested 2 deep", 0),
        ("data.x.matches(data.y)", "must be a text", None),
        ("data.x.matches('(a')", "missing )", None),
        (f"data.x.matches('{'a' * 300}')", "longer than 200", None),
        ("(" * 50 + "true" + ")" * 50, "too deeply", None),
        ("+".join(["data.x"] * 60) + " == 1", "too deeply", None),
        (" && ".join(["data.x == 1"] * 180), "characters", None),
        ("data.x in [" + ",".join(["1"] * 600) + "]", "more than 500 parts", 0),
    ],
)
def test_what_is_refused_when_an_agreement_is_loaded(text: str, says: str, offset: int | None) -> None:
    with pytest.raises(ConditionError, match=says.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+")) as wrong:
        compile_condition(text)
    assert wrong.value.offset == offset


def test_an_evaluation_has_a_budget() -> None:
    many = {"l": list(range(300))}
    assert compile_condition("data.l.all(x, data.l.all(y, x + y >= 0))")({}, many) is None


def test_hostile_data_makes_a_condition_unknown_and_nothing_else() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert compile_condition("data.x == data.y")({}, {"x": deep, "y": "a"}) in (None, False)
    assert compile_condition("data.x.size() > 0")({}, {"x": "\ud800"}) is None
    assert compile_condition("data.x > 1")({}, {"x": math.nan}) is False


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.promised_at", "2026-01-01T00:00:00Z"),
        ('data["due by"].hour', 5),
        ("event.type", "x"),
        ("data.missing", None),
        ("data.promised_at.deeper", None),
    ],
)
def test_paths(path: str, value: Any) -> None:
    data = {"promised_at": "2026-01-01T00:00:00Z", "due by": {"hour": 5}}
    assert compile_path(path)({"type": "x"}, data) == value


@pytest.mark.parametrize("path", ["", "data", "promised_at", "data.", "data.a b", "data.a[0]", "database.x", "data.x == 1"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ConditionError, match="not the path"):
        compile_path(path)
