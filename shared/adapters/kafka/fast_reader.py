"""Reading from Kafka with librdkafka, as fast as this machine goes: the evaluator's way. `reader.py` is every other reader's.

librdkafka fetches and decodes in threads of its own. One more thread takes thousands of records at a time from it, in columns, one round
ahead of who asks: it waits without the interpreter's lock, and the event loop never waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from shared.adapters.kafka.bounded import STOP_S, within
from shared.adapters.kafka.bulk_consumer import BulkConsumer, is_there
from shared.adapters.kafka.consumers import Consumer, Taken
from shared.adapters.kafka.plain_consumer import PlainConsumer
from shared.ports.log import Batch, LogUnavailable, RebalanceHandler

Place = tuple[str, int]
_logger = logging.getLogger(__name__)
POLL_S: Final = 0.1  # how long the thread waits for a record: seeks and the end wait as long at most
HANDLER_S: Final = 30  # handlers of a rebalance are short; one that never ends must not hold the thread for ever
TUNING: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
    "max.poll.interval.ms": 300_000,
    # librdkafka stops fetching while this much is queued, and looks again after a whole second unless told otherwise: a fast reader starves
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.queue.backoff.ms": 10,
    "fetch.message.max.bytes": 4_000_000,
    "fetch.max.bytes": 32_000_000,
    "fetch.wait.max.ms": 250,
    "socket.timeout.ms": 6_000,  # a minute, unless told otherwise
}


class FastGroupReader:
    """`shared.ports.log.HoldingReader`. Starts from the group's committed offsets, else from the beginning.

    Partitions move one by one (cooperative, sticky): `on_assigned` gets all that are owned from now on, `on_revoked` those that go.
    Handlers run on the event loop while the thread waits for them; where they seek is where reading begins.
    """

    def __init__(
        self,
        options: dict[str, Any],
        topic: str,
        group: str,
        *,
        on_assigned: RebalanceHandler | None = None,
        on_revoked: RebalanceHandler | None = None,
        instance: str | None = None,
        address: str = "",
        hand_over: Callable[[str], Coroutine[Any, Any, object]] | None = None,
        timeout: float = 5,
    ) -> None:
        """`options`: `connection.librdkafka`; `instance`: static membership under this name; `address`: what the group's description says
        of this member (see `owners`); `hand_over`: tells the group at the end that this member has left; `timeout`: how long, in s,
        questions may take."""
        self._options, self._topic, self._group, self._instance, self._timeout = options, topic, group, instance, timeout
        self._address, self._hand_over, self._on_assigned, self._on_revoked = address, hand_over, on_assigned, on_revoked
        self._places: set[Place] = set()
        self._seeks: dict[Place, int | None] = {}  # asked for, not done: what was read of these places before is void
        self._held: set[Place] = set()
        self._left: list[Batch] = []  # taken, not asked for yet
        self._trouble: KafkaError | None = None
        self._taking: asyncio.Future[Taken] | None = None
        self._consumer: Consumer | None = None
        self._is_spent = False  # the consumer will never read again: it was fenced, as after a long standstill

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread, self._questions = (ThreadPoolExecutor(1, f"kafka-{what}") for what in ("reader", "questions"))
        static = {} if self._instance is None else {"group.instance.id": self._instance}
        named = {"group.id": self._group, **({"client.id": self._address} if self._address else {})}
        kind: Callable[..., Consumer] = BulkConsumer if is_there() else PlainConsumer
        consumer = kind({**TUNING, **self._options, **static, **named}, self._topic, self._assigned, self._revoked)
        try:
            await self._loop.run_in_executor(self._thread, consumer.reach, self._timeout)
        except KafkaException as wrong:
            await self._loop.run_in_executor(self._thread, consumer.close)
            raise LogUnavailable(f"group {self._group}: {wrong}") from wrong
        consumer.join()
        self._consumer = consumer

    async def stop(self) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        member = consumer.member()
        await self._close(consumer)
        if self._hand_over is not None and member:
            try:
                await within(self._hand_over(member), STOP_S)
            except (LogUnavailable, TimeoutError) as wrong:
                _logger.warning("group %s: its partitions are handed over once it notices: %s", self._group, wrong)

    async def _close(self, consumer: Consumer) -> None:
        self._consumer = None
        closing = self._loop.run_in_executor(self._thread, consumer.close)  # behind the batch that is being taken
        await asyncio.wait({closing}, timeout=min(self._timeout, STOP_S))  # a broker that is away notices by itself
        if self._taking is not None and self._taking.done():
            self._taking.exception()
        self._taking, self._left, self._seeks, self._held, self._places = None, [], {}, set(), set()
        for pool in (self._thread, self._questions):
            pool.shutdown(wait=False)

    @property
    def _running(self) -> Consumer:
        if self._consumer is None:
            raise LogUnavailable(f"group {self._group}: not started")
        return self._consumer

    # -- records ---------------------------------------------------------------------------------------------------

    async def fetch(self, timeout: float, limit: int) -> list[Batch]:
        if self._is_spent:
            if self._consumer is not None:
                await self._close(self._consumer)
            await self.start()  # under the old name: it is given what it had, or what is left
            self._is_spent = False
        if not self._left:
            try:
                async with asyncio.timeout(timeout):
                    while not await self._more(limit):
                        pass
            except TimeoutError:
                return []
        given: list[Batch] = []
        while self._left and limit:
            first = self._left.pop(0)
            if len(first) > limit:
                self._left.insert(0, first[limit:])
                first = first[:limit]
            given.append(first)
            limit -= len(first)
        return given

    async def _more(self, limit: int) -> bool:
        """Wait for the batch that is being taken, and have the next one taken. Whether there are records. Raises LogUnavailable."""
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            self._is_spent |= trouble.fatal()
            raise LogUnavailable(f"group {self._group}: {trouble}")
        taking = self._taking or self._take_next(limit)
        try:
            taken = await asyncio.shield(taking)
        except KafkaException as wrong:
            self._taking = None
            self._is_spent |= wrong.args[0].fatal()
            raise LogUnavailable(f"group {self._group}: {wrong}") from wrong
        self._left, self._trouble = taken
        self._void(set(self._seeks) | self._held)
        self._take_next(limit)
        return bool(self._left)

    def _take_next(self, limit: int) -> "asyncio.Future[Taken]":
        seeks, self._seeks = self._seeks, {}
        self._taking = self._loop.run_in_executor(self._thread, self._take, self._running, limit, seeks)
        return self._taking

    def _take(self, consumer: Consumer, limit: int, seeks: dict[Place, int | None]) -> Taken:
        """In the thread."""
        for (_, partition), offset in seeks.items():
            consumer.seek(partition, offset)
        return consumer.take(limit, POLL_S)

    def _void(self, places: set[Place]) -> None:
        """What was read of these places is not given."""
        self._left = [batch for batch in self._left if (batch.topic, batch.partition) not in places]

    def seek(self, topic: str, partition: int, offset: int) -> None:
        place = (topic, partition)
        if place in self._places:
            self._seeks[place] = offset
            self._held.discard(place)
            self._void({place})

    def hold(self, topic: str, partition: int) -> None:
        place = (topic, partition)
        if place in self._places:
            self._seeks[place] = None
            self._held.add(place)
            self._void({place})

    # -- rebalances, in the thread ---------------------------------------------------------------------------------

    def _assigned(self, partitions: set[int]) -> dict[int, int]:
        begins = self._ask_loop(self._gain, {(self._topic, partition) for partition in partitions})
        return {partition: offset for (_, partition), offset in begins.items()}

    def _revoked(self, partitions: set[int]) -> None:
        self._ask_loop(self._lose, {(self._topic, partition) for partition in partitions})

    def _ask_loop(self, handler: Callable[[set[Place]], Awaitable[dict[Place, int]]], places: set[Place]) -> dict[Place, int]:
        async def handle() -> dict[Place, int]:
            return await handler(places)

        return asyncio.run_coroutine_threadsafe(handle(), self._loop).result(HANDLER_S)

    async def _gain(self, places: set[Place]) -> dict[Place, int]:
        """On the loop: tell what is owned now; where reading of the new ones begins."""
        self._places |= places
        if self._on_assigned is not None:
            await self._on_assigned(set(self._places))
        begins = {place: offset for place in places if (offset := self._seeks.get(place)) is not None}
        self._seeks = {place: offset for place, offset in self._seeks.items() if place not in begins}
        return begins

    async def _lose(self, places: set[Place]) -> dict[Place, int]:
        self._places -= places
        self._seeks = {place: offset for place, offset in self._seeks.items() if place not in places}
        self._held -= places
        self._void(places)
        if self._on_revoked is not None:
            await self._on_revoked(places)
        return {}

    # -- questions -------------------------------------------------------------------------------------------------

    async def end_offset(self, topic: str, partition: int) -> int:
        known = self._running.end_seen(partition)
        return (await self._bounds(partition))[1] if known is None else known

    async def beginning_offset(self, topic: str, partition: int) -> int:
        return (await self._bounds(partition))[0]

    async def _bounds(self, partition: int) -> tuple[int, int]:
        consumer = self._running
        found: tuple[int, int] = await self._question(lambda: consumer.bounds(partition, self._timeout))
        return found

    async def commit(self, offsets: dict[Place, int]) -> None:
        consumer, places = self._running, {partition: offset for (_, partition), offset in offsets.items()}
        await self._question(lambda: consumer.commit(places, self._timeout))

    async def _question(self, ask: Callable[[], Any]) -> Any:
        """Put a question that blocks; one at a time, so that a broker that hangs holds one thread at most."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._loop.run_in_executor(self._questions, ask)
        except (KafkaException, TimeoutError, RuntimeError) as wrong:  # RuntimeError: closed meanwhile
            self._is_spent |= isinstance(wrong, KafkaException) and wrong.args[0].fatal()
            raise LogUnavailable(f"group {self._group}: {wrong!r}") from wrong


async def owners(options: dict[str, Any], group: str, *, timeout: float = 5) -> dict[Place, str]:
    """Which member has each (topic, partition), by its address. Raises LogUnavailable. `options`: `connection.librdkafka`."""

    def ask() -> dict[Place, str]:
        admin = AdminClient(options, logger=logging.getLogger("librdkafka"))
        told = admin.describe_consumer_groups([group], request_timeout=timeout)[group].result()
        return {(p.topic, p.partition): member.client_id for member in told.members for p in member.assignment.topic_partitions}

    try:
        return await asyncio.to_thread(ask)
    except KafkaException as wrong:
        raise LogUnavailable(f"group {group}: {wrong}") from wrong
