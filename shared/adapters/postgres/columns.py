"""What several tables share: column types, and writing a row whether it is there or not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime, Dialect, Table
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Instant(TypeDecorator[int]):
    """An instant: ms since 1970 in Python, `timestamptz` in the table, so that people can read it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MILLISECOND

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MILLISECOND


def upsert(table: Table, keys: Sequence[str], changed: Sequence[str]) -> Insert:
    """INSERT that sets the columns `changed` of the row with the same `keys`, where there is one.

    Make it once per table: to make one costs more than to run it.
    """
    new = insert(table)
    return new.on_conflict_do_update(index_elements=list(keys), set_={name: new.excluded[name] for name in changed})
