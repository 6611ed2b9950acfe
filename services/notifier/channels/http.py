"""How HTTP goes out: to a public address that was looked up once and checked, no redirects, bounded in time and size."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec

from services.notifier.core import Failed, Gone, Result, Sent
from shared.ports.time import TimeSource
from shared.sla.instants import from_datetime

TIMEOUT_S: Final = 10.0  # of a whole attempt
JSON: Final = {"content-type": "application/json", "user-agent": "slawatch"}
_PLAIN: Final = {"accept": "*/*", "accept-encoding": "identity"}
ERROR_MAX: Final = 300  # characters
SECRET_MIN: Final = 6  # characters: what is shorter is no secret, and would mask words
ANSWER_BYTES_MAX: Final = 65_536  # read so that the connection can serve again; a longer answer closes it

Resolve = Callable[[str, int], Awaitable[list[str]]]  # host, port -> addresses


class Refused(httpx2.ConnectError):
    """The address is not one that webhooks may go to."""


async def resolve(host: str, port: int) -> list[str]:
    """The host's addresses by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


def is_public(address: str) -> bool:
    """Whether an IP address is on the open internet; those that wrap another address count as what they wrap."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if ip.teredo is not None:
            return False
        if wrapped is not None:
            return is_public(str(wrapped))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Looks the host up once per attempt, refuses if any of its addresses is not public, and connects to the very address
    that was checked: a name that changes its mind between check and connect (DNS rebinding) gains nothing. The certificate is
    checked against the name, and `Host` stays the name."""

    def __init__(self, *, allow_private: bool, resolver: Resolve = resolve, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        self._allow_private, self._resolve = allow_private, resolver
        self._inner = inner or httpx2.AsyncHTTPTransport(trust_env=False, limits=httpx2.Limits(max_connections=16, keepalive_expiry=60))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as wrong:
            raise httpx2.ConnectError(f"{host} cannot be looked up: {wrong}", request=request) from wrong
        if not addresses:
            raise httpx2.ConnectError(f"{host} has no address", request=request)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise Refused(f"{host} is not a public address: webhooks do not go there", request=request)
        request.url = request.url.copy_with(host=addresses[0])
        request.extensions = {**request.extensions, "sni_hostname": host}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def retry_after_of(value: str | None, now: int) -> int | None:
    """`Retry-After` (seconds or an HTTP date) as ms from `now`; None where it is missing or makes no sense."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return int(value.strip()[:9]) * 1000
    try:
        return max(0, from_datetime(parsedate_to_datetime(value)) - now)
    except (ValueError, TypeError):
        return None


Judge = Callable[[int, bytes], Result | None]  # status and body of an answer -> what it means; None: what its status says


def json_of(body: bytes) -> dict[str, Any]:
    """A JSON object; empty where it is none."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def masked(text: str, secrets: Sequence[str]) -> str:
    """An error for the ledger and the log: one bounded line in which no secret stands."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:ERROR_MAX]


def secrets_of(url: str) -> list[str]:
    """The parts of an address that may be secret: all but scheme and host."""
    parts = urlsplit(url)
    found = [parts.path.strip("/"), parts.query, *(value for _, value in parse_qsl(parts.query)), parts.password or ""]
    found += [part for part in parts.path.split("/") if len(part) >= SECRET_MIN]
    return sorted({part for part in found if len(part) >= SECRET_MIN}, key=len, reverse=True)


class Poster:
    """Posts bodies to one URL and says what came of it. `secrets` never show in what it says, nor do those of the URL."""

    def __init__(
        self,
        url: str,
        transport: httpx2.AsyncBaseTransport,
        time: TimeSource,
        *,
        timeout_s: float = TIMEOUT_S,
        judge: Judge = lambda status, body: None,
        secrets: Sequence[str] = (),
    ) -> None:
        self._url, self._time, self._timeout_s, self._judge = httpx2.URL(url), time, timeout_s, judge
        self._secrets = [*secrets_of(url), *(secret for secret in secrets if secret)]
        self._transport = transport  # and no client: that follows redirects, keeps cookies and takes a quarter of the time
        self._extensions = {"timeout": httpx2.Timeout(timeout_s, connect=min(3.0, timeout_s)).as_dict()}

    async def post(self, body: bytes, headers: Mapping[str, str] = JSON, params: Mapping[str, str] | None = None) -> Result:
        """One attempt: 2xx sent, 410 gone, 3xx and all else failed, unless the judge knows better. `params` join the URL's query."""
        return (await self.ask(body, headers, params))[0]

    async def ask(self, body: bytes, headers: Mapping[str, str] = JSON, params: Mapping[str, str] | None = None) -> tuple[Result, bytes]:
        """Likewise, with the first bytes of the answer's body."""
        said = b""
        url = self._url.copy_merge_params(params) if params else self._url
        request = httpx2.Request("POST", url, content=body, headers={**_PLAIN, **headers}, extensions=self._extensions)
        try:
            async with asyncio.timeout(self._timeout_s), contextlib.aclosing(await self._transport.handle_async_request(request)) as answer:
                said = await self._drain(answer)
                result = self._judge(answer.status_code, said) or self._of_status(answer)
        except TimeoutError:
            result = Failed(f"no answer within {self._timeout_s:g} s")
        except httpx2.HTTPError as wrong:
            result = Failed(f"{type(wrong).__name__}: {wrong}".rstrip(": "))
        return (result if isinstance(result, Sent) else result._replace(error=masked(result.error, self._secrets))), said

    async def close(self) -> None:
        await self._transport.aclose()

    def _of_status(self, answer: httpx2.Response) -> Result:
        if answer.is_success:
            return Sent()
        if answer.status_code == 410:
            return Gone("410 Gone: the receiver wants nothing further")
        if answer.is_redirect:
            return Failed(f"{answer.status_code}: redirects are not followed")
        return Failed(f"{answer.status_code} {answer.reason_phrase}", retry_after_of(answer.headers.get("retry-after"), self._time.wall()))

    @staticmethod
    async def _drain(answer: httpx2.Response) -> bytes:
        """What is kept of the body: its first bytes."""
        kept = bytearray()
        async for chunk in answer.aiter_raw():
            kept += chunk
            if len(kept) > ANSWER_BYTES_MAX:
                break
        return bytes(kept[:ANSWER_BYTES_MAX])
