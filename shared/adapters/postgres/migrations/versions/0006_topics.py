"""What the log was when state was first made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The number of partitions that each topic had when it was first used."""
    op.create_table("topics", sa.Column("name", sa.Text(), primary_key=True), sa.Column("partitions", sa.Integer(), nullable=False))


def downgrade() -> None:
    """Forget them."""
    op.drop_table("topics")
