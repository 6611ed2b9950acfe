"""Bounded time, the database's troubles under their two names, and text that PostgreSQL can hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from asyncpg import DataError as ClientDataError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shared.ports.ledger import LedgerRefused, LedgerUnavailable

_REFUSALS: Final = ("22", "23", "54")  # SQLSTATE classes: data exception, integrity violation, program limit
_OUR_FAULT: Final = "42"  # syntax, missing table, missing right: waiting would hide it
_CHARACTERS_MAX: Final = 500  # of a name in an indexed or listed column; the body keeps it whole


def clean(text: str) -> str:
    """PostgreSQL's text holds no NUL; a name is cut to a length that an index can hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_CHARACTERS_MAX]


@contextlib.asynccontextmanager
async def guarded(seconds: float) -> AsyncIterator[None]:
    """Bound the time; raises LedgerUnavailable where trying again may help, LedgerRefused where it never will."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except DBAPIError as wrong:
        cause = getattr(wrong.orig, "__cause__", None)
        state = str(getattr(wrong.orig, "sqlstate", None) or getattr(cause, "sqlstate", None) or "")
        if state.startswith(_REFUSALS) or isinstance(cause, ClientDataError):
            raise LedgerRefused(f"{type(cause or wrong.orig).__name__}: {wrong.orig}") from wrong
        if state.startswith(_OUR_FAULT):
            raise
        raise LedgerUnavailable(f"{type(cause or wrong.orig).__name__}: {wrong.orig}") from wrong
    except (SQLAlchemyError, OSError, TimeoutError) as wrong:
        raise LedgerUnavailable(f"{type(wrong).__name__}: {wrong}") from wrong
