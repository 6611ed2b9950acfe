"""Breaches as the ports know them."""

from typing import Any, Final

import sqlalchemy as sa

from shared.adapters.postgres.ledger_tables import breaches
from shared.ports.ledger import BreachRow

BREACH_COLUMNS: Final = tuple(breaches.c[name] for name in BreachRow.__struct_fields__)


def breach_of(row: sa.Row[Any]) -> BreachRow:
    """A row of BREACH_COLUMNS."""
    return BreachRow(**row._mapping)
