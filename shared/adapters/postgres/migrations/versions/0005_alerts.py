"""Alerts: groups, silences, overrides of rotas; deliveries of notices that tell more than one verdict."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXTS = ARRAY(sa.Text())
INSTANT = sa.DateTime(timezone=True)
LISTED_BY = ("agreement", "objective", "severity")


def upgrade() -> None:
    op.drop_constraint("fk_deliveries_verdict_id", "deliveries")
    op.alter_column("deliveries", "verdict_id", new_column_name="notice", comment="deduplication key; of a single verdict, its id")
    op.add_column("deliveries", sa.Column("thread", sa.Text(), server_default="", nullable=False))
    op.add_column("deliveries", sa.Column("reason", sa.Text(), server_default="first", nullable=False))
    op.add_column("deliveries", sa.Column("verdicts", TEXTS, server_default="{}", nullable=False, comment="ids that are shown"))
    op.add_column("deliveries", sa.Column("total", sa.BigInteger(), server_default="1", nullable=False))
    op.execute("UPDATE deliveries SET thread = breach_id, verdicts = ARRAY[notice]")
    op.create_table(
        "told",
        sa.Column("breach_id", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("verdict_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("breach_id", "notice", name="pk_told"),
        comment="what notices about several breaches told of each",
    )
    op.create_table(
        "alert_groups",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="shared.alerting.groups.Group, msgpack"),
        sa.Column("next_at", INSTANT, nullable=True, comment="when to decide again"),
        sa.Column("held", sa.Boolean(), nullable=False, comment="something is silenced, inhibited or muted"),
        sa.PrimaryKeyConstraint("key", name="pk_alert_groups"),
    )
    op.create_index("ix_alert_groups_next", "alert_groups", ["next_at"], postgresql_where=sa.text("next_at IS NOT NULL"))
    op.create_index("ix_alert_groups_held", "alert_groups", ["key"], postgresql_where=sa.text("held"))
    op.create_table(
        "alert_members",
        sa.Column("breach_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("breach_id", "key", name="pk_alert_members"),
        sa.ForeignKeyConstraint(["key"], ["alert_groups.key"], name="fk_alert_members_key", ondelete="CASCADE"),
    )
    op.create_index("ix_alert_members_key", "alert_members", ["key"])
    op.create_table(
        "alert_sources",
        sa.Column("breach_id", sa.Text(), nullable=False),
        sa.Column("labels", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("breach_id", name="pk_alert_sources"),
        comment="firing alerts that may inhibit others",
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("match", JSONB(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True, comment="who ended it early"),
        sa.PrimaryKeyConstraint("id", name="pk_silences"),
    )
    op.create_index("ix_silences_ends", "silences", ["ends_at"])
    op.create_table(
        "rota_overrides",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rota", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rota_overrides"),
    )

    for column in LISTED_BY:
        op.create_index(f"ix_breaches_{column}_seq", "breaches", [column, "seq"])


def downgrade() -> None:
    for column in LISTED_BY:
        op.drop_index(f"ix_breaches_{column}_seq", "breaches")
    for table in ("rota_overrides", "silences", "alert_sources", "alert_members", "alert_groups", "told"):
        op.drop_table(table)
    for column in ("thread", "reason", "verdicts", "total"):
        op.drop_column("deliveries", column)
    op.execute("DELETE FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM verdicts WHERE id = notice)")
    op.alter_column("deliveries", "notice", new_column_name="verdict_id")
    op.create_foreign_key("fk_deliveries_verdict_id", "deliveries", "verdicts", ["verdict_id"], ["id"])
