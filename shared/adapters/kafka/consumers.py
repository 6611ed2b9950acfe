"""What FastGroupReader needs of a consumer: librdkafka's own (`bulk_consumer.py`), or confluent-kafka's (`plain_consumer.py`)."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from confluent_kafka import KafkaError

from shared.ports.log import Batch

OnAssigned = Callable[[set[int]], dict[int, int]]  # of partitions that come; where reading of some begins, else where the group committed
OnRevoked = Callable[[set[int]], None]


class Taken(NamedTuple):
    """What was taken: records by partition, and what went wrong beside them."""

    batches: list[Batch]
    trouble: KafkaError | None


class Consumer(Protocol):
    """A member of a group that reads one topic. All raise KafkaException; all times are in seconds.

    One thread takes, seeks and closes; rebalances are told in it. Others may ask meanwhile.
    """

    def reach(self, timeout: float) -> None:
        """See whether the log answers."""

    def join(self) -> None:
        """Become a member: partitions come while records are taken."""

    def take(self, limit: int, timeout: float) -> Taken:
        """Up to `limit` records that are there, or else the first that comes in time."""

    def seek(self, partition: int, offset: int | None) -> None:
        """Go on there; None: nowhere, until it is said."""

    def end_seen(self, partition: int) -> int | None:
        """The offset after the last record, as the newest fetch told it, if one did."""

    def bounds(self, partition: int, timeout: float) -> tuple[int, int]:
        """The offset of the first record that is kept, and the one after the last."""

    def commit(self, offsets: dict[int, int], timeout: float) -> None:
        """Remember in the group where to go on, by partition."""

    def member(self) -> str:
        """What the group calls it; empty while it is no member."""

    def close(self) -> None:
        """Leave the group. Nobody asks any more, or is refused."""
