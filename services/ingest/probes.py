"""Whether what ingest depends on answers: asked in the background, so that `/readyz` answers at once even when it hangs."""

from typing import Final

from services.ingest.metrics import Metrics
from shared.ports.credentials import CredentialStore, CredentialsUnavailable
from shared.ports.log import LogUnavailable, LogWriter
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator

EVERY_S: Final = 2


class Probes:
    """`missing` is what `/readyz` says: the dependency and why it is not there."""

    def __init__(
        self, log: LogWriter, topic: str, store: CredentialStore, authenticator: Authenticator, time: TimeSource, metrics: Metrics
    ) -> None:
        self._log, self._topic, self._store, self._authenticator = log, topic, store, authenticator
        self._time, self._metrics = time, metrics
        self._broker = self._database = "not asked yet"

    def missing(self) -> dict[str, str]:
        """Empty: ready. Without the database, keys that were seen before are enough to be."""
        missing = {}
        if self._broker:
            missing["broker"] = self._broker
        if self._database and not self._authenticator.has_known():
            missing["database"] = self._database
        return missing

    async def ask(self) -> None:
        """Ask each once."""
        self._broker = await self._ask_broker()
        self._database = await self._ask_database()
        self._metrics.ready.labels("broker").set(not self._broker)
        self._metrics.ready.labels("database").set(not self._database)

    async def _ask_broker(self) -> str:
        try:
            await self._log.partitions(self._topic)
        except LogUnavailable as wrong:
            return str(wrong)
        return ""

    async def _ask_database(self) -> str:
        try:
            await self._store.by_id("")
        except CredentialsUnavailable as wrong:
            return str(wrong)
        return ""

    async def keep_asking(self) -> None:
        """Until cancelled."""
        while True:
            await self.ask()
            await self._time.sleep(EVERY_S)
