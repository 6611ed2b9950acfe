"""Signing in: cookies that cannot be forged, and where a sign-in may lead."""

import pytest

from services.notifier.console.rendering import local_path
from services.notifier.console.sessions import LIFE_MS, Sessions
from tests.integration.notifier_kit import START


def test_a_session_lives_for_its_time() -> None:
    sessions = Sessions(b"pepper")
    cookie = sessions.open("4f0c2a9e61b7", START)
    session = sessions.read(cookie, START + LIFE_MS - 1)
    assert session is not None
    assert session.credential == "4f0c2a9e61b7"
    assert sessions.read(cookie, START + LIFE_MS) is None


def test_forged_foreign_and_broken_cookies_are_nothing() -> None:
    cookie = Sessions(b"pepper").open("4f0c2a9e61b7", START)
    assert Sessions(b"other pepper").read(cookie, START) is None
    body, _, mac = cookie.partition(".")
    forged = f"{body}.{'A' if mac[0] != 'A' else 'B'}{mac[1:]}"
    for wrong in ("", ".", forged, f"{body}x.{mac}", "ö.ü", f"{body}.", f".{mac}", "a" * 5_000):
        assert Sessions(b"pepper").read(wrong, START) is None, wrong


def test_each_session_has_its_own_form_word() -> None:
    sessions = Sessions(b"pepper")
    words = {session.csrf for session in (sessions.read(sessions.open("a", START), START) for _ in range(3)) if session}
    assert len(words) == 3


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/breaches/ab12", "/breaches/ab12"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\nb", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_only_to_our_own_pages(asked: str, given: str) -> None:
    assert local_path(asked) == given
