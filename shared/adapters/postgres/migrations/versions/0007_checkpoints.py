"""Checkpoints of the evaluators."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("topic", sa.Text(), nullable=False, comment="the log, and who folds it"),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False, comment="raised by whoever takes the partition over"),
        sa.Column("meta", sa.LargeBinary(), nullable=True, comment="offsets, hashes; null: nothing was saved yet"),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_checkpoints")),
        comment="where each partition's fold can go on from",
    )
    op.create_table(
        "checkpoint_blocks",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "number", name=op.f("pk_checkpoint_blocks")),
        comment="the states themselves, packed",
    )
    op.execute("ALTER TABLE checkpoint_blocks ALTER COLUMN body SET STORAGE EXTERNAL")  # packed already
