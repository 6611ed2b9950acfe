"""Columns of the table of breaches that belong to the case: made by migration 0004."""

from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from shared.ports.casework import Work

# A case that nobody has worked on follows the ledger by itself: acknowledged there, or withdrawn, is so here; nothing is stored twice.
STATUS: Final = sa.Computed(
    "CASE WHEN standing = 'retracted' THEN 'closed' WHEN stage = 'open' AND acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE stage END",
    persisted=True,
)


class WorkColumn(TypeDecorator[Work]):
    """`Work` as JSON."""

    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value: Work | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.to_builtins(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Work | None:
        return None if value is None else msgspec.convert(value, Work)
