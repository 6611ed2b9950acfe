"""`slawatch keys`, `tokens` and `accounts`: who may post, who may look, and how people sign in."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

import typer
from rich.table import Table

from shared.adapters.postgres.accounts import PostgresAccounts
from shared.adapters.postgres.credentials import PostgresCredentials
from shared.adapters.postgres.database import connect, migrate
from shared.adapters.system_time import SystemTime
from shared.cli.console import fail, out, run, settings_of_stack
from shared.ports.accounts import Account
from shared.ports.credentials import CredentialsUnavailable, Kind, TooManyKeys
from shared.runtime.credentials import BadCredential, create_credential, load_pepper, revoke
from shared.runtime.passwords import hash_password
from shared.sla.instants import format_instant, or_none_instant

keys = typer.Typer(no_args_is_help=True, help="Keys of systems that post events.")
tokens = typer.Typer(no_args_is_help=True, help="Tokens of people who read the console and the API.")
accounts = typer.Typer(no_args_is_help=True, help="Names and passwords of people who sign in to the console.")
T = TypeVar("T")
Vendors = Annotated[list[str] | None, typer.Option("--vendor", help="role vendor: its vendor; customer: those it may post for")]
Name = Annotated[str, typer.Option(help="what it is for, to find it again")]


def _with_accounts(work: Callable[[PostgresCredentials, PostgresAccounts], Awaitable[T]]) -> T:
    async def program() -> T:
        engine = connect(settings_of_stack().database.get_secret_value(), pool=1)
        try:
            await migrate(engine)
            return await work(PostgresCredentials(engine, timeout=10), PostgresAccounts(engine, timeout=10))
        finally:
            await engine.dispose()

    try:
        return run(program)
    except (BadCredential, TooManyKeys, CredentialsUnavailable) as wrong:
        fail(str(wrong))


def _with_store(work: Callable[[PostgresCredentials], Awaitable[T]]) -> T:
    return _with_accounts(lambda store, _: work(store))


def _create(kind: Kind, role: str, vendors: list[str] | None, name: str) -> None:
    settings, now = settings_of_stack(), SystemTime().wall()
    pepper = load_pepper(settings)

    async def work(store: PostgresCredentials) -> str:
        _, text = await create_credential(store, pepper, settings.environment, kind, role, vendors or [], name, now)
        return text

    out.print(_with_store(work), markup=False)


def _revoke(which: str) -> None:
    gone = _with_store(lambda store: revoke(store, which, SystemTime().wall()))
    if not gone:
        fail(f"nothing active has the id or name {which!r}")
    for credential in gone:
        out.print(f"revoked {credential.kind} {credential.id} ({credential.role}, {credential.name})", markup=False)


def _list(kind: Kind) -> None:
    table = Table("id", "role", "vendors", "name", "created", "revoked")
    for c in _with_store(lambda store: store.all()):
        if c.kind == kind:
            table.add_row(c.id, c.role, ", ".join(c.vendors), c.name, format_instant(c.created_at), or_none_instant(c.revoked_at) or "")
    out.print(table)


@keys.command("create")
def create_key(
    role: Annotated[Literal["vendor", "customer", "operator"], typer.Option(help="who posts")],
    vendor: Vendors = None,
    name: Name = "made by hand",
) -> None:
    """Make a key and print it: it is shown once, only its hash is stored.

    Example: slawatch keys create --role vendor --vendor acme --name "acme's ticketing"
    """
    _create("key", role, vendor, name)


@keys.command("revoke")
def revoke_key(which: Annotated[str, typer.Argument(help="id or name")]) -> None:
    """Revoke a key; it is refused within seconds.

    Example: slawatch keys revoke 3f9a0c12bd77
    """
    _revoke(which)


@keys.command("list")
def list_keys() -> None:
    """All keys, without their secrets.

    Example: slawatch keys list
    """
    _list("key")


@tokens.command("create")
def create_token(
    role: Annotated[Literal["viewer", "responder", "manager", "operator", "vendor"], typer.Option(help="what it may do")],
    vendor: Vendors = None,
    name: Name = "made by hand",
) -> None:
    """Make a token and print it: it is shown once, only its hash is stored.

    Example: slawatch tokens create --role responder --name "Ada, on call"
    """
    _create("token", role, vendor, name)


@tokens.command("revoke")
def revoke_token(which: Annotated[str, typer.Argument(help="id or name")]) -> None:
    """Revoke a token; it is refused within seconds.

    Example: slawatch tokens revoke "Ada, on call"
    """
    _revoke(which)


@tokens.command("list")
def list_tokens() -> None:
    """All tokens, without their secrets.

    Example: slawatch tokens list
    """
    _list("token")


@accounts.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="what the person types to sign in")],
    role: Annotated[Literal["viewer", "responder", "manager", "operator", "vendor"], typer.Option(help="what it may do")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="PASSWORD", help="12 or more")],
    vendor: Vendors = None,
) -> None:
    """Make an account, or give one a new password and role. Its token is never shown: revoke it by the name.

    Example: slawatch accounts create ada --role responder
    """
    settings, now = settings_of_stack(), SystemTime().wall()
    pepper = load_pepper(settings)

    async def work(store: PostgresCredentials, people: PostgresAccounts) -> None:
        before, hashed = await people.account(name), hash_password(password)
        credential, _ = await create_credential(store, pepper, settings.environment, "token", role, vendor or [], name, now)
        await people.put_account(Account(name=name, credential=credential.id, password=hashed))
        if before is not None:
            await store.revoke(before.credential, now)  # its sessions end

    _with_accounts(work)
    out.print(f"{name} may sign in as {role}", markup=False)


@accounts.command("remove")
def remove_account(name: Annotated[str, typer.Argument(help="the name")]) -> None:
    """Remove an account; its sessions end within seconds.

    Example: slawatch accounts remove ada
    """

    async def work(store: PostgresCredentials, people: PostgresAccounts) -> bool:
        before = await people.account(name)
        if before is None:
            return False
        await people.remove_account(name)
        return await store.revoke(before.credential, SystemTime().wall())

    if not _with_accounts(work):
        fail(f"there is no account {name!r}")
    out.print(f"removed {name}", markup=False)
