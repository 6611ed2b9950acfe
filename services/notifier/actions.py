"""What people do to breaches: written into the ledger, seen at once by all who look on."""

from typing import Any, Final

from services.notifier.live import Change, Hub
from shared.ports.credentials import Credential
from shared.ports.ledger import Action, Actor, BreachRow, Ledger
from shared.ports.time import TimeSource

READERS: Final = ("viewer", "responder", "manager", "operator", "vendor")
RESPONDERS: Final = ("responder", "manager", "operator")
NOTE_CHARACTERS_MAX: Final = 4_000


def vendor_of(credential: Credential) -> str | None:
    """The only vendor whose data is open to the holder; None: all."""
    return credential.vendors[0] if credential.role == "vendor" else None


class Actions:
    """Acknowledgements and notes."""

    def __init__(self, ledger: Ledger, hub: Hub, time: TimeSource) -> None:
        self._ledger, self._hub, self._time = ledger, hub, time

    async def act(self, breach_id: str, action: Action, credential: Credential, text: str = "") -> BreachRow | None:
        """Do it and tell everyone; None where there is no such breach. Raises LedgerUnavailable."""
        by = Actor(credential.name, credential.id, credential.role)
        breach = await self._ledger.act(breach_id, action, by, self._time.wall(), text)
        if breach is not None:
            said: dict[str, Any] = {"breach_id": breach_id, "vendor": breach.vendor, "objective": breach.objective, "case": breach.case}
            said |= {"action": action, "by": by.name, "at": self._time.wall()}
            self._hub.publish(Change("action", breach.vendor, breach_id, frozenset({"open"}), said))
        return breach
