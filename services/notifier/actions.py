"""What people do to breaches: written into the ledger, seen at once by all who look on."""

from collections.abc import Callable, Collection
from typing import Any, Final

from services.notifier import live
from services.notifier.cases import TAKES_ON, Reason, Refused, Request, Verb, decide
from services.notifier.live import Hub
from shared.ports.cases import Cases, Change
from shared.ports.credentials import Credential
from shared.ports.ledger import Action, Actor, BreachRow, Ledger
from shared.ports.time import TimeSource

READERS: Final = ("viewer", "responder", "manager", "operator", "vendor")
NOTE_CHARACTERS_MAX: Final = 4_000


def vendor_of(credential: Credential) -> str | None:
    """The only vendor whose data is open to the holder; None: all."""
    return credential.vendors[0] if credential.role == "vendor" else None


class Actions:
    """Acknowledgements. `tell`: names of the channels that want to hear of them."""

    def __init__(self, ledger: Ledger, hub: Hub, time: TimeSource, tell: Callable[[], Collection[str]] = tuple) -> None:
        self._ledger, self._hub, self._time, self._tell = ledger, hub, time, tell

    async def act(self, breach_id: str, action: Action, credential: Credential, text: str = "") -> BreachRow | None:
        """Do it and tell everyone; None where there is no such breach. Raises LedgerUnavailable."""
        return await self.act_as(breach_id, action, actor_of(credential), text)

    async def act_as(self, breach_id: str, action: Action, by: Actor, text: str = "") -> BreachRow | None:
        """Likewise, for who did not sign in but followed a link of ours."""
        at = self._time.wall()
        breach = await self._ledger.act(breach_id, action, by, at, text, self._tell())
        if breach is not None:
            publish_action(self._hub, breach, action, by, at)
        return breach


class CaseActions:
    """Whatever people do to a case: decided by the rules of cases.py, written with its audit row, told to all who look on."""

    def __init__(self, cases: Cases, actions: Actions, hub: Hub, time: TimeSource) -> None:
        self._cases, self._actions, self._hub, self._time = cases, actions, hub, time

    def now(self) -> int:
        """Of the clock that cases are judged by: ms since 1970."""
        return self._time.wall()

    async def acknowledge(self, breach_id: str, credential: Credential) -> BreachRow | None:
        """The first stands. None where there is no such breach. Raises LedgerUnavailable."""
        return await self._actions.act(breach_id, "acknowledge", credential)

    async def do(self, breach_id: str, verb: Verb, credential: Credential, **fields: Any) -> BreachRow | None:
        """Carry out a request (fields of `cases.Request`); None where there is no such breach, or another vendor's.

        What is so already changes nothing. Raises Refused with the reason, LedgerUnavailable.
        """
        by, request = actor_of(credential), Request(verb, credential.name, credential.role, self._time.wall(), **fields)
        done: list[Change] = []

        def decide_it(breach: BreachRow) -> Change | None:
            reason, change = decide(breach, request)
            if change is None and reason is not Reason.nothing_new:
                raise Refused(reason)
            done[:] = [change] if change else []
            return change

        breach = await self._cases.change(breach_id, vendor_of(credential), decide_it, by, request.at)
        if breach is None or not done:
            return breach
        publish_action(self._hub, breach, verb, by, request.at)
        if verb in TAKES_ON and breach.acknowledged_at is None and breach.standing == "open":
            return await self.acknowledge(breach_id, credential) or breach
        return breach


def actor_of(credential: Credential) -> Actor:
    """Who acts, for the audit trail."""
    return Actor(credential.name, credential.id, credential.role)


def publish_action(hub: Hub, breach: BreachRow, action: str, by: Actor, at: int) -> None:
    """Tell all who look on; `at` in ms since 1970."""
    said: dict[str, Any] = {"breach_id": breach.breach_id, "vendor": breach.vendor, "objective": breach.objective, "case": breach.case}
    said |= {"action": action, "by": by.name, "at": at}
    hub.publish(live.Change("action", breach.vendor, breach.breach_id, frozenset({"open"}), said))
