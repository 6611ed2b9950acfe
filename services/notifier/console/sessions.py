"""Who looks at the page: a signed cookie that names the token a person signed in with, never the token itself."""

import base64
import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

import msgspec

COOKIE: Final = "slawatch_session"
LIFE_MS: Final = 12 * 3_600_000


class Session(NamedTuple):
    """`credential` is the token's id; `csrf` must come back with every form; it ends at `expires` (ms since 1970)."""

    credential: str
    csrf: str
    expires: int


class _Said(msgspec.Struct):
    c: str
    n: str
    e: int


class Sessions:
    """Makes and reads the cookie. Whether the token is still good is asked on each request, elsewhere."""

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, b"slawatch console session", hashlib.sha256)

    def open(self, credential: str, now: int) -> str:
        """The cookie's value for whoever just showed the token with this id."""
        said = msgspec.json.encode(_Said(credential, secrets.token_hex(16), now + LIFE_MS))
        return f"{_text(said)}.{_text(self._mac(said))}"

    def read(self, cookie: str, now: int) -> Session | None:
        """The session in a cookie; None if it is not one of ours, or over."""
        body, _, mac = cookie.partition(".")
        try:
            said = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            given = base64.urlsafe_b64decode(mac + "=" * (-len(mac) % 4))
        except ValueError:
            return None
        if not hmac.compare_digest(given, self._mac(said)):
            return None
        session = msgspec.json.decode(said, type=_Said)
        if session.e <= now:
            return None
        return Session(session.c, self._csrf(session.n), session.e)

    def of_proxy(self, name: str, now: int) -> Session:
        """What stands for a session of somebody whom the proxy names on each request: no cookie, but forms must come from our page."""
        return Session(f"proxy:{name}", self._csrf(f"proxy:{name}"), now + LIFE_MS)

    def _csrf(self, nonce: str) -> str:
        return hmac.new(self._key, b"csrf" + nonce.encode(), hashlib.sha256).hexdigest()

    def _mac(self, said: bytes) -> bytes:
        return hmac.digest(self._key, b"cookie" + said, hashlib.sha256)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
