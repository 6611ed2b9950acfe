"""How a program of slawatch begins: its settings read and completed by the embedded stack where they name no broker or database."""

import sys
from collections.abc import Awaitable, Callable

import uvloop
from pydantic import SecretStr

from shared.adapters.kafka.topics import WrongTopic
from shared.local.stack import running_stack
from shared.runtime import logs
from shared.runtime.settings import BadSettings, Settings, load


class NoStack(Exception):
    """Neither a setting nor a running embedded stack says where the broker and the database are."""


def complete(settings: Settings) -> Settings:
    """The settings, with the running embedded stack's addresses where they are empty. Raises NoStack."""
    kafka, database = settings.kafka, settings.database.get_secret_value()
    if kafka and database:
        return settings
    stack = running_stack(settings.home)
    if stack is None:
        missing = " and ".join(name for name, value in (("SLAWATCH_KAFKA", kafka), ("SLAWATCH_DATABASE", database)) if not value)
        raise NoStack(f"no embedded stack is running in {settings.home}: start one with `make run` (or `slawatch up`), or set {missing}")
    return settings.model_copy(update={"kafka": kafka or stack.kafka, "database": SecretStr(database or stack.database)})


def run(service: str, main: Callable[[Settings], Awaitable[None]]) -> None:
    """`slawatch serve <service>`: JSON logs to stderr, until SIGTERM; wrong settings end it with a word that says which."""
    try:
        settings = complete(load())
    except (BadSettings, NoStack) as wrong:
        sys.exit(str(wrong))
    logs.configure(service, settings.log_level)

    async def program() -> None:
        await main(settings)

    try:
        uvloop.run(program())
    except WrongTopic as wrong:
        sys.exit(str(wrong))
