"""Which labels match, and which routes of the tree take an alert."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from shared.alerting.terms import Inhibition, Match, Route

Labels = Mapping[str, str]


@lru_cache(maxsize=4_096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _one_of(value: str, patterns: Sequence[str]) -> bool:
    return any(value == pattern or ("*" in pattern and _compiled(pattern).fullmatch(value) is not None) for pattern in patterns)


def matches(match: Match, labels: Labels) -> bool:
    """Whether every named label is one of its patterns, and none is what it must not be."""
    return all(_one_of(labels.get(name, ""), patterns) for name, patterns in match.labels.items()) and not any(
        _one_of(labels.get(name, ""), patterns) for name, patterns in match.but_not.items()
    )


def routes_for(route: Route, labels: Labels) -> Iterator[Route]:
    """The deepest routes that take the alert: a route's children are looked at in order until one takes it and does not go on."""
    if not matches(route.match, labels):
        return
    taken = False
    for child in route.routes:
        found = list(routes_for(child, labels))
        yield from found
        taken = taken or bool(found)
        if found and not child.go_on:
            break
    if not taken:
        yield route


def every_route(route: Route) -> Iterator[Route]:
    """A route and all below it."""
    yield route
    for child in route.routes:
        yield from every_route(child)


def inhibited(rules: Sequence[Inhibition], labels: Labels, sources: Mapping[str, Labels], breach_id: str) -> str | None:
    """The id of a firing alert that inhibits this one. An alert never inhibits itself."""
    for rule in rules:
        if not matches(rule.target, labels):
            continue
        for source_id, source in sources.items():
            same = all(source.get(name, "") == labels.get(name, "") for name in rule.equal)
            if source_id != breach_id and same and matches(rule.source, source):
                return source_id
    return None
