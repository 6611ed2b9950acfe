"""A breach's timeline for mails, from the ledger."""

import asyncio
from typing import Final

import structlog

from services.notifier.channels.mail import History
from services.notifier.links import Cases
from services.notifier.messages import Past
from shared.ports.casework import breach_behind
from shared.ports.ledger import LedgerUnavailable

TIMEOUT_S: Final = 2.0  # a mail does not wait for its timeline
LINES_MAX: Final = 30
log = structlog.get_logger()


def history_of(ledger: Cases) -> History:
    """What mails ask: the newest lines, oldest first; None while the ledger is away."""

    async def history(breach_id: str) -> tuple[Past, ...] | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                case = await ledger.case(breach_behind(breach_id))
        except (LedgerUnavailable, TimeoutError) as wrong:
            log.warning("a mail goes out without its timeline: the ledger is away", error=str(wrong))
            return None
        if case is None:
            return ()
        past = [Past(row.decided_at, row.type) for row in case.statements]
        past += [Past(action.at, action.action, action.actor, action.text) for action in case.actions]
        return tuple(sorted(past, key=lambda each: each.at)[-LINES_MAX:])

    return history
