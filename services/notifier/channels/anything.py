"""Everything else: services that Apprise knows. Its senders block and sleep, so each channel has a thread of its own, and no more.

Apprise makes its own connections, beyond `PinnedTransport`. What holds them to public addresses is an audit hook: Python tells it of every
connect with the very address, in whichever library, after every redirect; in these threads it refuses what is not public.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

import apprise

from services.notifier.channels.base import Notice
from services.notifier.channels.http import is_public
from services.notifier.channels.layout import PLAIN, Layout
from services.notifier.core import Failed, Result, Sent
from services.notifier.texts import TEXTS, Texts
from shared.alerting.terms import Rate
from shared.language.templates import Template
from shared.sla.instants import MINUTE

LIMIT: Final = Rate(20, MINUTE)
TIMEOUT_S: Final = 30.0
ASSET: Final = apprise.AppriseAsset(app_id="slawatch", app_desc="slawatch", async_mode=False, service_timeout=0)  # 0: in our thread
_guarded: ContextVar[bool] = ContextVar("guarded", default=False)  # handed on by Apprise to threads of its own, where it has any


class BadAddress(ValueError):
    """Not an address that Apprise knows; the message does not quote it."""


def _guard(event: str, args: tuple[Any, ...]) -> None:
    """Refuse connections of guarded threads to what is not public."""
    if event == "socket.connect" and _guarded.get():
        address = args[1]
        host = address[0] if isinstance(address, tuple) else ""
        try:
            public = is_public(str(host))
        except ValueError:  # a name, or a socket file: it was not looked up, so it cannot be checked
            public = False
        if not public:
            raise OSError(f"{host or 'a local socket'} is not a public address: messages do not go there")


@cache
def _install_guard() -> None:
    """Once in a process: an audit hook cannot be taken away."""
    sys.addaudithook(_guard)


class Anything:
    """`services.notifier.channels.base.Channel` to one Apprise URL. Raises BadAddress."""

    lanes = 1

    def __init__(
        self,
        name: str,
        url: str,
        texts: Texts = TEXTS,
        *,
        allow_private: bool,
        template: Template | None = None,
        limit: Rate | None = LIMIT,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name, self.limit, self._timeout_s = name, limit, timeout_s
        self._target = apprise.Apprise(asset=ASSET)
        if not self._target.add(url):
            raise BadAddress(f"{name}: not an address that Apprise knows")
        if not allow_private:
            _install_guard()
        self._layout = Layout(texts, PLAIN._replace(most=3_000), template, channel=name)
        self._guarded = not allow_private
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="apprise")
        self._busy: asyncio.Future[bool] | None = None

    async def send(self, notice: Notice) -> Result:
        if self._busy is not None and not self._busy.done():
            return Failed("the attempt before this one still hangs")
        title, body = self._layout.title(notice)[:250], self._layout.text(notice, titled=False)
        kind = apprise.NotifyType.SUCCESS if notice.messages[0].over else apprise.NotifyType.FAILURE
        self._busy = asyncio.get_running_loop().run_in_executor(self._pool, self._notify, title, body, kind)
        done, _ = await asyncio.wait({self._busy}, timeout=self._timeout_s)  # a thread cannot be ended: it is left to its own timeout
        if not done:
            return Failed(f"no answer within {self._timeout_s:g} s")
        return Sent() if self._busy.result() else Failed("Apprise could not deliver it")

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _notify(self, title: str, body: str, kind: apprise.NotifyType) -> bool:
        _guarded.set(self._guarded)
        return bool(self._target.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT))
