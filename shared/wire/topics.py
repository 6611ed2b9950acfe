"""Topic names, headers and the partition of a vendor (interfaces.md section 3)."""

from typing import Final

CONTROL_HEADER: Final = "slw-control"  # on control records of the events topic: tick, pulse, activation, advance, command
RESERVED_TYPE_PREFIX: Final = "slawatch."  # no event from outside may have such a type
ROLE_ATTRIBUTE: Final = "slwrole"  # CloudEvents extension that ingest stamps: the role of the key that posted the event
DEFAULT_PARTITIONS: Final = 64

_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2 with Kafka's seed: 32 bits, unsigned. The same as Kafka's own clients (org.apache.kafka.common.utils.Utils)."""
    m, r = 0x5BD1E995, 24
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & _MASK
        k = (k ^ (k >> r)) * m & _MASK
        h = (h * m & _MASK) ^ k
    tail = data[length - length % 4 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & _MASK
    h = (h ^ (h >> 13)) * m & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a record with this key (a vendor's name in UTF-8) among ``partitions``."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
