"""What was stated of corrective actions is found without reading all verdicts."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("type LIKE 'slawatch.correction.%'")
    op.create_index("ix_verdicts_correction", "verdicts", ["breach_id", "decided_at"], postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_verdicts_correction", "verdicts")
