"""Breach cases: their columns beside the breach, an audit trail that only grows, and people's sign-in names."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATUS = (
    "CASE WHEN standing = 'retracted' THEN 'closed' WHEN stage = 'open' AND acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE stage END"
)


def columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("stage", sa.Text(), server_default="open", nullable=False, comment="what people made of it: see status"),
        sa.Column("status", sa.Text(), sa.Computed(STATUS, persisted=True), nullable=False),
        sa.Column("category", sa.Text(), nullable=True, comment="the class of the case"),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("work", JSONB(), server_default="{}", nullable=False, comment="root cause, corrective action, excuse, dispute"),
        sa.Column("correction_due", sa.DateTime(timezone=True), nullable=True, comment="of a corrective action that is not done"),
    )


def upgrade() -> None:
    for column in columns():
        op.add_column("breaches", column)
    op.create_check_constraint("ck_breaches_stage", "breaches", "stage IN ('open', 'in_correction', 'disputed', 'excused', 'closed')")
    op.create_check_constraint("ck_breaches_priority", "breaches", "priority IN ('P1', 'P2', 'P3', 'P4')")
    op.create_index("ix_breaches_opened", "breaches", ["opened_at"])
    op.create_index("ix_breaches_status", "breaches", ["status", "seq"])
    op.create_index("ix_breaches_priority", "breaches", ["priority", "seq"], postgresql_where=sa.text("priority IS NOT NULL"))
    op.create_index("ix_breaches_category", "breaches", ["category", "seq"], postgresql_where=sa.text("category IS NOT NULL"))
    op.create_index("ix_breaches_owner", "breaches", ["owner", "seq"], postgresql_where=sa.text("owner IS NOT NULL"))
    op.create_index("ix_breaches_correction", "breaches", ["correction_due"], postgresql_where=sa.text("correction_due IS NOT NULL"))
    op.add_column("breach_actions", sa.Column("changes", JSONB(), nullable=True, comment="field to what it was and what it is"))
    op.execute(
        "CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is an audit trail: it is only appended to', TG_TABLE_NAME USING ERRCODE = '42501'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON breach_actions "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
    )
    op.create_index("ix_deliveries_settled", "deliveries", ["settled_at"])
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False, comment="what a person types to sign in"),
        sa.Column("credential", sa.Text(), nullable=False, comment="id of the token that says who it is and what it may"),
        sa.Column("password", sa.LargeBinary(), nullable=False, comment="salt and scrypt"),
        sa.PrimaryKeyConstraint("name", name="pk_accounts"),
        sa.ForeignKeyConstraint(["credential"], ["credentials.id"], name="fk_accounts_credential"),
    )


def downgrade() -> None:
    op.drop_table("accounts")
    op.drop_index("ix_deliveries_settled", "deliveries")
    op.execute("DROP TRIGGER append_only ON breach_actions")
    op.execute("DROP FUNCTION refuse_rewriting()")
    op.drop_column("breach_actions", "changes")
    for name in ("status", "stage", "category", "priority", "owner", "work", "correction_due"):
        op.drop_column("breaches", name)
