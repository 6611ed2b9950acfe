"""Messages: what they say, in both languages, and what they never say."""

import re
from decimal import Decimal

import pytest

from services.notifier import message_texts
from services.notifier.costs import Cost, estimate, money_text
from services.notifier.messages import Addresses, Composer, by_how_much, clean, compose, duration, web_address
from services.notifier.texts import TEXTS, TEXTS_ZH, Texts
from shared.sla.instants import HOUR, SECOND
from shared.sla.terms import Money, Objective, Penalty, Tier
from shared.wire.verdicts import BREACH_TYPES, CLOCK_TYPES, LEVEL_TYPES
from tests.integration.notifier_kit import START, verdict
from tests.unit.notifier.kit import EVIL, NOW, PUBLIC_URL, TOKEN

DUE = START + HOUR
PENALTY = Penalty(
    per_breach=Money(amount="500", currency="CNY"),
    per_hour_late=Money(amount="50", currency="CNY"),
    at_most=Money(amount="2000", currency="CNY"),
)


def objective(penalty: Penalty | None = PENALTY, runbook: str | None = "https://wiki.example/resolution") -> Objective:
    return Objective(name="resolution", penalty=penalty, runbook=runbook)


def facts(message_words: list[tuple[str, str]]) -> dict[str, str]:
    return dict(message_words)


def test_a_message_says_who_broke_what_by_how_much_since_when_what_it_costs_and_where_to_act() -> None:
    composer = Composer(
        PUBLIC_URL,
        objective_of=lambda agreement, version, name: (
            objective() if (agreement, version, name) == ("acme-helpdesk", 1, "resolution") else None
        ),
        addresses=lambda said, channel: Addresses(f"https://a/{channel}", f"https://s/{channel}"),
        dashboard="https://grafana.example/d/vendor?var-vendor={vendor}&x={objective}",
    )
    said = verdict("opened", revision=0)
    words = composer(said, channel="mail", now=DUE + 2 * HOUR).words()
    assert words.subject == "BREACH: acme broke “resolution” for INC-42"
    assert facts(words.facts) | {} == {
        "Promise": "resolution, within 1 h of working time",
        "By how much": "not done; due was 2026-03-02 09:00:00 UTC, 2 h ago",
        "Cost, estimated": "500 CNY so far, and 50 CNY for each hour late (at most 2,000 CNY)",
        "Still open": "yes, not done",
        "Case": "INC-42",
        "Vendor": "acme",
        "Service": "helpdesk",
        "Agreement": "acme-helpdesk, version 1",
        "Severity": "page",
        "Started": "2026-03-02 08:00:00 UTC",
        "Due": "2026-03-02 09:00:00 UTC",
    }
    assert words.links == [
        ("Acknowledge", "https://a/mail"),
        ("Snooze for 2 h", "https://s/mail"),
        ("Open it in slawatch", f"{PUBLIC_URL}/breaches/{said.data.breach_id}"),
        ("Runbook", "https://wiki.example/resolution"),
        ("Dashboard", "https://grafana.example/d/vendor?var-vendor=acme&x=resolution"),
    ]


def test_in_chinese() -> None:
    words = Composer(PUBLIC_URL, objective_of=lambda *_: objective())(verdict("opened", revision=0), now=DUE + 2 * HOUR).words(TEXTS_ZH)
    assert words.subject == "违约: acme 违反了INC-42的“resolution”承诺"
    assert facts(words.facts)["偏差"] == "未完成；到期时间为 2026-03-02 09:00:00 UTC，已过 2 小时"
    assert facts(words.facts)["预计扣款"] == "目前 500 CNY，每逾期一小时再加 50 CNY（最多 2,000 CNY）"


@pytest.mark.parametrize("texts", [TEXTS, TEXTS_ZH], ids=["en", "zh"])
@pytest.mark.parametrize("kind", [*BREACH_TYPES, *CLOCK_TYPES, *LEVEL_TYPES])
def test_every_type_of_verdict_has_its_words(kind: str, texts: Texts) -> None:
    words = compose(verdict(kind.removeprefix("slawatch."), revision=0, threshold="80%"), PUBLIC_URL).words(texts)
    assert words.tag
    assert "acme" in words.headline


def test_both_languages_have_the_same_keys_with_the_same_gaps() -> None:
    def gaps(table: dict[str, str]) -> dict[str, set[str]]:
        return {key: set(re.findall(r"{(\w+)}", text)) for key, text in table.items()}

    assert gaps(message_texts.ENGLISH) == gaps(message_texts.CHINESE)


@pytest.mark.parametrize(
    ("kind", "is_open", "over"),
    [
        ("opened", True, False),
        ("reopened", True, False),
        ("amended", True, False),
        ("closed", False, True),
        ("retracted", False, True),
        ("contested", True, False),
        ("clock.warning", False, False),
        ("clock.met", False, True),
        ("level.at_risk", False, False),
    ],
)
def test_what_is_still_open_and_what_is_over(kind: str, is_open: bool, over: bool) -> None:
    message = compose(verdict(kind, revision=1), PUBLIC_URL)
    assert (message.open, message.over) == (is_open, over)


def test_nobody_is_asked_to_acknowledge_what_is_over_or_taken() -> None:
    composer = Composer(PUBLIC_URL, addresses=lambda said, channel: Addresses("https://a", "https://s"))
    assert composer(verdict("closed", revision=1)).acknowledge == ""
    taken = composer(verdict("opened", revision=0), acknowledged_by="Ann")
    assert taken.acknowledge == ""
    assert facts(taken.words().facts)["Acknowledged"] == "Ann"


def test_row_24_values_of_others_are_one_bounded_line_with_secrets_masked() -> None:
    words = compose(verdict("opened", EVIL + "x" * 5_000, revision=0), PUBLIC_URL).words()
    said = [words.headline, *(value for _, value in words.facts)]
    assert not any(character in text for text in said for character in "\r\n\0\u202e")
    assert max(map(len, said)) < 700
    assert not any(TOKEN[-20:] in text for text in said)
    assert clean(f"key {TOKEN} end") == "key slw_local_4f0c2a9e61b7*** end"
    assert clean("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == "whsec_***"
    assert clean("Authorization: Bearer abcdefghijkl") == "Authorization: Bearer ***"
    assert clean("a\r\nb\x00c\u202ed\u2028e") == "a b c d e"


def test_only_addresses_of_the_web_become_links() -> None:
    assert web_address("https://wiki.example/a?b=1#c") == "https://wiki.example/a?b=1#c"
    for bad in ("javascript:alert(1)", "https://a b", "https://a\nb", "https://a|b", "https://a>b", "https://a)b", 'https://a"b', ""):
        assert web_address(bad) == "", bad


def test_a_vendors_name_cannot_leave_its_gap() -> None:
    composer = Composer("", dashboard="https://grafana.example/d/v?var-vendor={vendor}")
    said = verdict("opened", revision=0, vendor="a&b=c#d {objective}/../")
    assert composer(said).dashboard == "https://grafana.example/d/v?var-vendor=a%26b%3Dc%23d%20%7Bobjective%7D%2F..%2F"


# ---- cost


@pytest.mark.parametrize(
    ("stopped_after", "cost"),
    [
        (1.5 * HOUR, Cost(amount="575 CNY")),
        (0.01 * HOUR, Cost(amount="500.50 CNY")),
        (90 * HOUR, Cost(amount="2,000 CNY")),
    ],
)
def test_cost_of_a_late_case(stopped_after: float, cost: Cost) -> None:
    assert estimate(objective(), verdict("closed", revision=1, stopped=DUE + round(stopped_after)).data) == cost


def test_cost_by_the_started_hour_and_without_a_minor_unit() -> None:
    penalty = Penalty(per_hour_late=Money(amount="99.5", currency="JPY"), per_started_hour=True)
    assert estimate(objective(penalty), verdict("closed", revision=1, stopped=DUE + HOUR + SECOND).data) == Cost(amount="199 JPY")
    assert money_text(Decimal("2.5"), "JPY") == "3 JPY"


@pytest.mark.parametrize(("value", "cost"), [(0.96, None), (0.95, None), (0.9499, Cost(share="5%")), (0.89, Cost(share="12.5%"))])
def test_cost_of_a_level_is_the_furthest_tier_and_below_is_strict(value: float, cost: Cost | None) -> None:
    tiers = (Tier(op="<", value="0.95", share="0.05"), Tier(op="<", value="0.9", share="0.125"))
    assert estimate(objective(Penalty(tiers=tiers)), verdict("opened", None, revision=0, value=value).data) == cost


def test_no_cost_where_none_is_agreed_or_nothing_is_broken() -> None:
    assert estimate(objective(None), verdict("opened", revision=0).data) is None
    assert estimate(objective(), verdict("retracted", revision=1).data) is None


# ---- lengths of time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (2.34, "2.3 s"),
        (45, "45 s"),
        (65, "1 min 5 s"),
        (3600, "1 h"),
        (7_500, "2 h 5 min"),
        (90_061, "1 d 1 h"),
        (-65, "\N{MINUS SIGN}1 min 5 s"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_by_how_much() -> None:
    assert by_how_much(verdict("opened", revision=0)) == "not done; due was 2026-03-02 09:00:00 UTC"
    assert by_how_much(verdict("opened", revision=0), now=NOW) == "not done; due was 2026-03-02 09:00:00 UTC"
    assert by_how_much(verdict("closed", revision=1, stopped=DUE + 90 * SECOND)) == "1 min 30 s of working time late"
    assert by_how_much(verdict("retracted", revision=2)) == ""
    level = verdict("opened", None, revision=0, value=0.93, target=">= 95%")
    assert by_how_much(level) == "0.93, target >= 95%"
