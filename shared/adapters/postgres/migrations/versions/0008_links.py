"""Links in messages that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "used_links",
        sa.Column("link", sa.Text(), nullable=False, comment="hash of the link's text"),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False, comment="after this the link is dead anyway, and the row goes"),
        sa.PrimaryKeyConstraint("link", name=op.f("pk_used_links")),
        comment="links to acknowledge or snooze work once",
    )
    op.create_index(op.f("ix_used_links_expires"), "used_links", ["expires"])


def downgrade() -> None:
    op.drop_table("used_links")
