"""Who looks at the pages: a session of a token or account, or the person that a trusted proxy names."""

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from fastapi import Request

from services.notifier.actions import READERS, vendor_of
from services.notifier.cases import MAY, RESPONDERS, Verb
from services.notifier.console.sessions import COOKIE, Session, Sessions
from shared.ports.credentials import Credential, CredentialsUnavailable
from shared.ports.time import TimeSource
from shared.runtime.credentials import Authenticator, BadCredential
from shared.runtime.settings import BadSettings, Settings

PEOPLE: Final = ("viewer", "responder", "manager", "operator")  # from the least to the most


class Refused(Exception):
    """Ends a request with a page; `status` says why, `key` is the text that tells it (with `gaps`)."""

    def __init__(self, status: int, key: str, **gaps: object) -> None:
        super().__init__(key)
        self.status, self.key, self.gaps = status, key, gaps


class SignInFirst(Exception):
    """Nobody is signed in."""


class Viewer(msgspec.Struct, frozen=True):
    """Who looks."""

    credential: Credential
    session: Session
    by_proxy: bool = False

    @property
    def vendor(self) -> str | None:
        return vendor_of(self.credential)

    @property
    def may_act(self) -> bool:
        return self.credential.role in RESPONDERS

    def may(self, verb: Verb) -> bool:
        """Whether the role may do this to a case."""
        return self.credential.role in MAY[verb]


class TrustedProxy(NamedTuple):
    """The reverse proxy that signs people in: where it stands, in which headers it names them, which group has which role."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    user_header: str
    role_header: str
    roles: Mapping[str, str]

    def trusts(self, address: str) -> bool:
        """Whether a connection from this address is the proxy's."""
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self.networks)

    def role_of(self, groups: Sequence[str]) -> str | None:
        """The highest role that the groups give; None: none."""
        held = {self.roles.get(group, group) for group in groups}
        return next((role for role in reversed(PEOPLE) if role in held), None)


def proxy_of(settings: Settings) -> TrustedProxy | None:
    """The proxy that the settings trust; None: none, its headers mean nothing. Raises BadSettings."""
    if not settings.proxy_addresses:
        return None
    try:
        networks = tuple(ipaddress.ip_network(text) for text in settings.proxy_addresses)
    except ValueError as wrong:
        raise BadSettings(f"SLAWATCH_PROXY_ADDRESSES: {wrong}") from None
    roles: dict[str, str] = {}
    for text in settings.proxy_roles:
        group, found, role = text.rpartition("=")
        if not found or role not in PEOPLE:
            raise BadSettings(f"SLAWATCH_PROXY_ROLES: {text!r} is not group=role with one of the roles {', '.join(PEOPLE)}")
        roles[group] = role
    return TrustedProxy(networks, settings.proxy_user_header, settings.proxy_role_header, roles)


class SignIn:
    """Tells who looks and who acts. Asked on every request, so that a revoked token ends its sessions."""

    def __init__(
        self, authenticator: Authenticator, sessions: Sessions, time: TimeSource, proxy: TrustedProxy | None, public_url: str
    ) -> None:
        self.authenticator, self.sessions, self._time = authenticator, sessions, time
        self._proxy, self._public = proxy, urlsplit(public_url)

    @property
    def secure(self) -> bool:
        """Whether people reach the pages by TLS."""
        return self._public.scheme == "https"

    async def viewer(self, request: Request) -> Viewer:
        """Who looks. Raises SignInFirst, Refused."""
        named = self._named_by_proxy(request)
        if named is not None:
            return named
        session = self.sessions.read(request.cookies.get(COOKIE, ""), self._time.wall())
        if session is None:
            raise SignInFirst
        try:
            credential = await self.authenticator.by_id(session.credential)
        except BadCredential:
            raise SignInFirst from None
        except CredentialsUnavailable:
            raise Refused(503, "login.unavailable") from None
        if credential.role not in READERS:
            raise SignInFirst
        request.state.credential = credential.id
        return Viewer(credential, session)

    def _named_by_proxy(self, request: Request) -> Viewer | None:
        proxy = self._proxy
        if proxy is None:
            return None
        names, groups = request.headers.getlist(proxy.user_header), request.headers.getlist(proxy.role_header)
        if not names and not groups:
            return None
        if request.client is None or not proxy.trusts(request.client.host):
            raise Refused(401, "refused.proxy")
        role = proxy.role_of([part.strip() for text in groups for part in text.split(",")])
        if len(names) != 1 or not names[0].strip() or not names[0].isprintable() or role is None:
            raise Refused(403, "refused.role")
        name = names[0].strip()[:200]
        credential = Credential(id=f"proxy:{name}", kind="token", role=role, vendors=(), name=name, hash=b"", created_at=0)
        request.state.credential = credential.id
        return Viewer(credential, self.sessions.of_proxy(name, self._time.wall()), by_proxy=True)

    async def actor(self, request: Request, csrf: str) -> Viewer:
        """Who acts: does the form come from our own page? Raises SignInFirst, Refused."""
        self.same_origin(request)
        viewer = await self.viewer(request)
        if not hmac.compare_digest(csrf.encode(), viewer.session.csrf.encode()):
            raise Refused(403, "refused.csrf")
        return viewer

    def same_origin(self, request: Request) -> None:
        """Refuse a form that another site made the browser send."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        ours = {request.headers.get("host"), self._public.netloc or None}
        if (origin is not None and urlsplit(origin).netloc not in ours) or site not in (None, "same-origin", "none"):
            raise Refused(403, "refused.origin")
