"""Routing documents: what is wrong is said with its place, what is inherited is spelt out."""

import pytest

from shared.alerting.terms import Rate, Secret, WebhookTerms
from shared.language import load_text
from shared.sla.instants import MINUTE, parse_instant

SOUND = """
apiVersion: slawatch/v1
kind: Routing
name: test
timezone: Asia/Shanghai
receivers:
  chat: [{kind: webhook, url: "https://chat.example", rate: 20 per 1m}, {kind: webhook, url: "${HOOK}", secret: {file: secrets/hook}}]
  ann: [{kind: mail, to: ann@example.com}]
people: {ann: {receivers: ann, quiet_hours: {hours: {mon-sun: ["22:00-07:00"]}}}}
rotas: {first: {people: [ann], from: 2026-01-05T09:00, every: 7d}}
escalations: {page: {steps: [{notify: {rota: first}}, {after: 15m, notify: chat}]}}
route:
  receiver: chat
  group_by: [vendor]
  repeat_interval: 1h
  routes:
    - {match: {severity: page}, escalation: page, group_by: breach}
"""


def test_a_sound_document() -> None:
    [routing] = load_text("etc/r.yaml", SOUND).or_raise().routings
    first, second = routing.receivers["chat"]
    assert isinstance(first, WebhookTerms)
    assert isinstance(second, WebhookTerms)
    assert (first.name, first.url, first.rate) == ("chat/webhook", "https://chat.example", Rate(20, MINUTE))
    assert (second.name, second.url, second.secret) == ("chat/webhook-2", Secret(env="HOOK"), Secret(file="secrets/hook"))
    assert routing.folder == "etc"
    assert routing.rotas["first"].start == parse_instant("2026-01-05T09:00:00Z"), "wall time, as if it were UTC"
    [page] = routing.route.routes
    assert (routing.route.group_wait, routing.route.group_interval) == (30_000, 5 * MINUTE)
    assert (page.name, page.group_wait, page.group_interval, page.repeat_interval) == ("root.1", 0, 0, 60 * MINUTE), "the rest is inherited"
    assert [step.after for step in page.steps] == [0, 15 * MINUTE]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("receiver: chat\n", "receiver: chta\n", (13, 13), "there is no receiver 'chta'"),
        ("escalation: page,", "escalation: pgae,", (17, 45), "there is no escalation 'pgae'"),
        ("people: [ann]", "people: [bo]", (10, 26), "there is no person 'bo'"),
        ('"${HOOK}"', '"${HOOK}/more"', (7, 94), "a secret does not stand in the file"),
        ("20 per 1m", "20/min", (7, 61), "'20/min' is not a rate"),
        ("after: 15m", "after: 0s", (11, 63), "a step comes after the one before it"),
        ("{rota: first}", "{rota: first, person: ann}", (11, 39), "a recipient is one of receiver, person or rota"),
        ("receiver: chat\n", "receiver: chat\n  match: {vendor: acme}\n", (14, 3), "the root takes all alerts: no match here"),
        ("escalation: page,", "escalation: page, receiver: chat,", (17, 51), "a route has a receiver or an escalation, not both"),
        ("kind: mail", "kind: mial", (8, 16), "'mial' is not possible here"),
        ("{hours: {mon", "{calendar: office}}, bo: {receivers: ann, quiet_hours: {hours: {mon", (9, 56), "there is no calendar 'office'"),
        ("2026-01-05T09:00", "Monday", (10, 38), "'Monday' is not a day and time"),
        ("kind: mail, to: ann@example.com", "kind: slack", (8, 9), "a slack channel has a url, or a token and to"),
        ("kind: mail, to: ann@example.com", "kind: slack, token: '${T}'", (8, 9), "'token' and 'to' go together"),
        ("to: ann@example.com", "to: ann", (8, 26), "'ann' is not a mail address"),
        ("https://chat", "ftp://chat", (7, 31), "'ftp://chat.example' is not an address"),
        ("severity: page", "severity: critical", (17, 15), "no alert has the severity 'critical'"),
        ("group_by: [vendor]", "groupby: [vendor]", (14, 3), "route has no key 'groupby'"),
    ],
)
def test_mistakes_are_told_with_their_place(old: str, new: str, place: tuple[int, int], message: str) -> None:
    loaded = load_text("r.yaml", SOUND.replace(old, new, 1))
    assert [((problem.line, problem.column), problem.message) for problem in loaded.problems] == [(place, message)]
    assert loaded.routings == ()
