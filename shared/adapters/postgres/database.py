"""The connection to PostgreSQL and its schema."""

from pathlib import Path
from typing import Any, Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, event, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
DRIVERS_OWN: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)  # what SQLAlchemy does not translate
MIGRATION_LOCK = 0x51A7A7C4  # services start together: one migrates, the others wait


def connect(url: str, *, pool: int = 5) -> AsyncEngine:
    """An engine for a PostgreSQL URL, whichever driver it names. A connection that the server has ended is never handed out."""
    named = make_url(url).set(drivername="postgresql+asyncpg")
    if mode := named.query.get("sslmode"):  # libpq's name for it, which everybody writes
        named = named.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    engine = create_async_engine(named, pool_size=pool, max_overflow=0, pool_timeout=10)
    event.listen(engine.sync_engine, "checkout", _refuse_ended)
    return engine


def _refuse_ended(connection: Any, _record: Any, _proxy: Any) -> None:
    """The socket has told already, so nothing is asked: SQLAlchemy's `pool_pre_ping` costs four trips for every transaction."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError("the server has ended it")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def migrate(engine: AsyncEngine) -> None:
    """Bring the schema to this version; services that start together do it once."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        await connection.run_sync(_upgrade)
