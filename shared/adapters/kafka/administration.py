"""aiokafka's client for what is asked of the brokers themselves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.group import LeaveGroupRequest

from shared.adapters.kafka.bounded import AWAY, START_S, ended, within
from shared.ports.log import LogUnavailable

_LEFT_ALREADY: Final = 25  # UNKNOWN_MEMBER_ID


@asynccontextmanager
async def administration(options: dict[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client, started. `options`: `connection.connection`."""
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **options)
    try:
        await within(admin.start(), START_S)
        yield admin
    finally:
        await ended(admin.close())


async def hand_over(options: dict[str, Any], group: str, member: str) -> bool:
    """Tell a group that a member of a static name is gone for good, so that the others have its partitions at once; whether there are any.

    Its own client never says so: one that comes back shall find what it had. A member that is alone stays one. Raises LogUnavailable.
    """
    try:
        async with administration(options) as admin:
            coordinator = await admin.find_coordinator(group)
            (told,) = await admin.describe_consumer_groups([group], coordinator)
            members = {one[0] for found in told.groups for one in found[5]}
            if member not in members or len(members) < 2:
                return False
            answer = await admin._send_request(LeaveGroupRequest(group, member), coordinator)
    except AWAY as wrong:
        raise LogUnavailable(f"group {group}: {wrong!r}") from wrong
    if answer.error_code not in (0, _LEFT_ALREADY):
        raise LogUnavailable(f"group {group}: {for_code(answer.error_code).__name__}")
    return True
