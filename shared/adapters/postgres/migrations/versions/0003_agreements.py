"""The agreements that were applied."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agreements",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the compiled terms"),
        sa.Column("document", sa.Text(), nullable=False, comment="the YAML text as it was applied"),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True, comment="when every partition of the log held it"),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_agreements")),
        comment="versions of agreements that were applied; the log says what is in force",
    )
