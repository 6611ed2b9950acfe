"""Short notices that all processes of a service hear at once, and that nobody keeps."""

from collections.abc import Callable
from typing import Protocol


class BulletinAway(Exception):
    """The connection is gone: what was posted lately may not have been heard."""


class Bulletin(Protocol):
    bytes_max: int  # of one notice

    async def open(self, heard: Callable[[str], None]) -> None:
        """Connect; from now on `heard` is called with every notice, one's own included. Raises BulletinAway."""

    async def post(self, notice: str) -> None:
        """Tell everyone. Raises BulletinAway, in bounded time."""

    async def close(self) -> None:
        """Disconnect; may be called at any time."""
