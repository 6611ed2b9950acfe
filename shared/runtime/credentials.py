"""Keys of systems and tokens of people: how they look, how they are hashed, made, revoked and recognised.

    slw_<env>_<id>_<random>_<checksum>      slw_local_4f0c2a9e61b7_<40 hex digits>_1c29fe0a

`id` finds the row, `random` (160 bits) is the secret, `checksum` (CRC-32 of what stands before it) lets scanners and typing
mistakes be told from revoked keys without a look-up. Stored is HMAC-SHA256 of the whole text under the installation's pepper.
"""

import asyncio
import hashlib
import hmac
import os
import re
import secrets
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from shared.ports.credentials import Credential, CredentialStore, CredentialsUnavailable, Kind
from shared.ports.time import TimeSource
from shared.runtime.settings import Settings

ROLES: Final[dict[Kind, tuple[str, ...]]] = {
    "key": ("vendor", "customer", "operator"),
    "token": ("viewer", "responder", "manager", "operator", "vendor"),
}
MOST_ACTIVE_VENDOR_KEYS: Final = 2  # the old one and the new one, while a vendor changes over
_FORMAT = re.compile(r"slw_([a-z0-9]{1,12})_([0-9a-f]{12})_[0-9a-f]{40}_([0-9a-f]{8})\Z", re.ASCII)


class BadCredential(ValueError):
    """Not acceptable: the message says why, without a secret in it."""


class Parsed(NamedTuple):
    """What a credential's text says about itself."""

    env: str
    id: str


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def new_text(env: str, credential_id: str) -> str:
    """A new secret text."""
    body = f"slw_{env}_{credential_id}_{secrets.token_hex(20)}"
    return f"{body}_{_checksum(body)}"


def parse(text: str) -> Parsed:
    """Raises BadCredential where the text cannot be a key or token."""
    match = _FORMAT.match(text)
    if match is None:
        raise BadCredential("not a slawatch key or token: they look like slw_<environment>_<id>_<random>_<checksum>")
    env, credential_id, checksum = match.groups()
    if checksum != _checksum(text[:-9]):
        raise BadCredential("the checksum does not fit: the key or token was mistyped or cut off")
    return Parsed(env, credential_id)


def hash_of(text: str, pepper: bytes) -> bytes:
    """What is stored instead of the text: 32 bytes."""
    return hmac.digest(pepper, text.encode(), hashlib.sha256)


def load_pepper(settings: Settings) -> bytes:
    """The installation's pepper: `SLAWATCH_PEPPER`, else a file in the home directory, made once (mode 0600) by whoever comes first."""
    given = settings.pepper.get_secret_value()
    return given.encode() if given else secret_file(settings.home / "pepper")


def secret_file(path: Path) -> bytes:
    """The content of a file that holds a random secret (64 hex digits); made with mode 0600 if missing; who races sees the same."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            path.hardlink_to(draft)  # fails if it exists: whole or not at all, and the first one stays
        except FileExistsError:
            pass  # another process was first; its secret is read below
        finally:
            draft.unlink()
    return path.read_bytes()


async def create_credential(
    store: CredentialStore, pepper: bytes, env: str, kind: Kind, role: str, vendors: Sequence[str], name: str, now: int
) -> tuple[Credential, str]:
    """Make and store a key or token; `now` in ms since 1970. The second value is the secret text: shown once, stored nowhere.

    Raises BadCredential for a wrong combination, TooManyKeys for a third active key of a vendor, CredentialsUnavailable.
    """
    if role not in ROLES[kind]:
        raise BadCredential(f"a {kind} has one of the roles {', '.join(ROLES[kind])}, not {role}")
    if not name.strip():
        raise BadCredential(f"a {kind} needs a name, so that it can be found and revoked")
    if not all(vendors):
        raise BadCredential("a vendor's name is not empty")
    if role == "vendor" and len(vendors) != 1:
        raise BadCredential(f"a {kind} of role vendor belongs to exactly one vendor")
    if vendors and role not in ("vendor", "customer"):
        raise BadCredential(f"a {kind} of role {role} is not bound to vendors")
    credential_id = secrets.token_hex(6)
    text = new_text(env, credential_id)
    credential = Credential(
        id=credential_id,
        kind=kind,
        role=role,
        vendors=tuple(dict.fromkeys(vendors)),
        name=name,
        hash=hash_of(text, pepper),
        created_at=now,
    )
    limited = kind == "key" and role == "vendor"
    await store.add(credential, most_active=MOST_ACTIVE_VENDOR_KEYS if limited else None)
    return credential, text


async def revoke(store: CredentialStore, id_or_name: str, now: int) -> list[Credential]:
    """Revoke every active credential with this id or name; those that were. Takes effect within seconds. Raises CredentialsUnavailable."""
    found = [c for c in await store.all() if c.active and id_or_name in (c.id, c.name)]
    return [c for c in found if await store.revoke(c.id, now)]


class _Known(NamedTuple):
    credential: Credential
    checked: float  # monotonic seconds


class Authenticator:
    """Recognises credentials. Looks each one up once in `fresh_s` (so revocation takes effect within that time); while the
    store is away, those seen before are taken for `stale_s`, and it is asked again only every `retry_s`."""

    def __init__(
        self,
        store: CredentialStore,
        pepper: bytes,
        env: str,
        time: TimeSource,
        *,
        fresh_s: float = 3,
        stale_s: float = 3600,
        retry_s: float = 1,
        remembered: int = 10_000,
    ) -> None:
        self._store, self._pepper, self._env, self._time = store, pepper, env, time
        self._fresh_s, self._stale_s, self._retry_s, self._remembered = fresh_s, stale_s, retry_s, remembered
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Future[Credential | None]] = {}
        self._away_until = float("-inf")

    def has_known(self) -> bool:
        """Whether somebody would be let in although the store is away."""
        return any(self._time.monotonic() - known.checked < self._stale_s for known in self._known.values())

    async def authenticate(self, text: str) -> Credential:
        """The active credential with this text. Raises BadCredential, CredentialsUnavailable."""
        parsed = parse(text)
        if parsed.env != self._env:
            raise BadCredential(f"this key or token is for the environment {parsed.env}, this one is {self._env}")
        credential = await self._find(parsed.id)
        # the hash is compared even where there is none, so that the time taken does not tell which ids exist
        same = hmac.compare_digest(hash_of(text, self._pepper), credential.hash if credential else bytes(32))
        if credential is None or not same:
            raise BadCredential("unknown key or token")
        if not credential.active:
            raise BadCredential(f"this {credential.kind} has been revoked")
        return credential

    async def by_id(self, credential_id: str) -> Credential:
        """The credential that a session was opened with. Raises BadCredential once it is revoked, CredentialsUnavailable."""
        credential = await self._find(credential_id)
        if credential is None or not credential.active:
            raise BadCredential("the token of this session has been revoked")
        return credential

    async def _find(self, credential_id: str) -> Credential | None:
        known = self._known.get(credential_id)
        age = self._time.monotonic() - known.checked if known else float("inf")
        if known and age < self._fresh_s:
            return known.credential
        try:
            return await self._ask(credential_id)
        except CredentialsUnavailable:
            if known and age < self._stale_s:
                return known.credential
            raise

    async def _ask(self, credential_id: str) -> Credential | None:
        """Ask the store, once for all who wait for the same id."""
        if self._time.monotonic() < self._away_until:
            raise CredentialsUnavailable("the store of keys did not answer a moment ago")
        waiting = self._asking.get(credential_id)
        if waiting is None:
            waiting = asyncio.ensure_future(self._look_up(credential_id))
            self._asking[credential_id] = waiting
            waiting.add_done_callback(lambda done: self._asked(credential_id, done))
        return await asyncio.shield(waiting)

    async def _look_up(self, credential_id: str) -> Credential | None:
        credential = await self._store.by_id(credential_id)
        if credential is None:
            self._known.pop(credential_id, None)
        else:
            self._known[credential_id] = _Known(credential, self._time.monotonic())
            self._known.move_to_end(credential_id)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return credential

    def _asked(self, credential_id: str, done: "asyncio.Future[Credential | None]") -> None:
        del self._asking[credential_id]
        if not done.cancelled() and isinstance(done.exception(), CredentialsUnavailable):
            self._away_until = self._time.monotonic() + self._retry_s
