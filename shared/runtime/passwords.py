"""Passwords of built-in accounts: kept as salt and scrypt, compared in constant time, guessed slowly."""

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

from shared.ports.accounts import AccountStore
from shared.ports.time import TimeSource
from shared.runtime.credentials import BadCredential

SALT_BYTES: Final = 16
CHARACTERS_MIN: Final = 12
CHARACTERS_MAX: Final = 200
_COST: Final = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26, "dklen": 32}  # 32 MB and some 80 ms
_AT_ONCE: Final = 2  # so that a flood of guesses takes neither all memory nor all processors
GUESSES_MAX: Final = 5
GUESSES_S: Final = 300.0  # so long nobody from there may guess again at that name
_REMEMBERED: Final = 10_000


class TooManyGuesses(Exception):
    """Nobody may guess at this name from this address for a while."""


def hash_password(password: str) -> bytes:
    """Salt and scrypt. Raises BadCredential for a password that is too short or too long."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise BadCredential(f"a password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters")
    salt = secrets.token_bytes(SALT_BYTES)
    return salt + _scrypt(password, salt)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)


def _fits(password: str, stored: bytes) -> bool:
    return hmac.compare_digest(_scrypt(password, stored[:SALT_BYTES]), stored[SALT_BYTES:])


class Accounts:
    """Who signs in with a name and a password."""

    def __init__(self, store: AccountStore, time: TimeSource) -> None:
        self._store, self._time = store, time
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobody = secrets.token_bytes(SALT_BYTES + 32)  # compared with where there is no such name: time tells nothing
        self._guesses: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    async def credential_of(self, name: str, password: str, address: str) -> str:
        """The id of the account's token. Raises BadCredential, TooManyGuesses, CredentialsUnavailable."""
        guesses = self._recent(name, address)
        if len(guesses) >= GUESSES_MAX:
            raise TooManyGuesses
        account = await self._store.account(name)
        async with self._slots:
            fits = await asyncio.to_thread(_fits, password[:CHARACTERS_MAX], account.password if account else self._nobody)
        if account is None or not fits:
            guesses.append(self._time.monotonic())
            raise BadCredential("no such name and password")
        self._guesses.pop((name, address), None)
        return account.credential

    def _recent(self, name: str, address: str) -> list[float]:
        """When somebody guessed wrong lately, kept for the names and addresses guessed at last."""
        guesses = self._guesses.setdefault((name, address), [])
        self._guesses.move_to_end((name, address))
        guesses[:] = [at for at in guesses if self._time.monotonic() - at < GUESSES_S]
        while len(self._guesses) > _REMEMBERED:
            self._guesses.popitem(last=False)
        return guesses
