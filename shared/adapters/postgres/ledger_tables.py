"""Tables of the breach ledger and its deliveries, made by migration 0002."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from shared.adapters.postgres.case_columns import STATUS, WorkColumn
from shared.adapters.postgres.columns import Instant
from shared.adapters.postgres.database import metadata

# the statements that take a revision of their own: all that begin with slawatch.breach. but these two, which repeat the last
STATING = sa.text("type LIKE 'slawatch.breach.%' AND type NOT IN ('slawatch.breach.contested', 'slawatch.breach.final')")
CORRECTING = sa.text("type LIKE 'slawatch.correction.%'")
OPEN = sa.text("standing = 'open'")
PENDING = sa.text("state = 'pending'")

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("breach_id", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("decided_at", Instant, nullable=False),
    sa.Column("appended", Instant, nullable=False, comment="when the broker appended the record"),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False, comment="the verdict as it stood on the topic"),
    sa.Index("ix_verdicts_breach", "breach_id", "decided_at"),
    sa.Index("ix_verdicts_correction", "breach_id", "decided_at", postgresql_where=CORRECTING),
    sa.Index("uq_verdicts_breach_revision", "breach_id", "revision", unique=True, postgresql_where=STATING),
)

breaches = sa.Table(
    "breaches",
    metadata,
    sa.Column("breach_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False, comment="grows in the order of first recording"),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("standing", sa.Text, nullable=False, comment="open, closed or retracted"),
    sa.Column("agreement", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("objective", sa.Text, nullable=False),
    sa.Column("vendor", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("case", sa.Text),
    sa.Column("cycle", sa.BigInteger),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("cause", sa.Text),
    sa.Column("started", Instant),
    sa.Column("due", Instant),
    sa.Column("stopped", Instant),
    sa.Column("target_s", sa.Double),
    sa.Column("late_s", sa.Double),
    sa.Column("overdue_s", sa.Double),
    sa.Column("opened_at", Instant, nullable=False, comment="decided_at of the first statement recorded"),
    sa.Column("changed_at", Instant, nullable=False, comment="decided_at of the last statement"),
    sa.Column("contested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("final", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("acknowledged_at", Instant),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("stage", sa.Text, nullable=False, server_default="open", comment="what people made of it: see status"),
    sa.Column("status", sa.Text, STATUS, nullable=False),
    sa.Column("category", sa.Text, comment="the class of the case"),
    sa.Column("priority", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("work", WorkColumn, nullable=False, server_default="{}", comment="root cause, corrective action, excuse, dispute"),
    sa.Column("correction_due", Instant, comment="of a corrective action that is not done"),
    sa.CheckConstraint("standing IN ('open', 'closed', 'retracted')", name="standing"),
    sa.Index("uq_breaches_seq", "seq", unique=True),
    sa.Index("ix_breaches_vendor_seq", "vendor", "seq"),
    sa.Index("ix_breaches_agreement_seq", "agreement", "seq"),
    sa.Index("ix_breaches_objective_seq", "objective", "seq"),
    sa.Index("ix_breaches_severity_seq", "severity", "seq"),
    sa.Index("ix_breaches_open", "seq", postgresql_where=OPEN),
    sa.Index("ix_breaches_changed", "changed_at"),
    sa.Index("ix_breaches_opened", "opened_at"),
    sa.Index("ix_breaches_status", "status", "seq"),
    sa.Index("ix_breaches_priority", "priority", "seq", postgresql_where=sa.text("priority IS NOT NULL")),
    sa.Index("ix_breaches_category", "category", "seq", postgresql_where=sa.text("category IS NOT NULL")),
    sa.Index("ix_breaches_owner", "owner", "seq", postgresql_where=sa.text("owner IS NOT NULL")),
    sa.Index("ix_breaches_correction", "correction_due", postgresql_where=sa.text("correction_due IS NOT NULL")),
)

risks = sa.Table(
    "risks",
    metadata,
    sa.Column("breach_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True, comment="warning, at_risk or burning"),
    sa.Column("agreement", sa.Text, nullable=False),
    sa.Column("objective", sa.Text, nullable=False),
    sa.Column("vendor", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("case", sa.Text),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("due", Instant),
    sa.Column("started", Instant),
    sa.Column("threshold", sa.Text),
    sa.Column("since", Instant, nullable=False, comment="decided_at of the newest warning"),
    sa.Index("ix_risks_due", "due"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("notice", sa.Text, primary_key=True, comment="deduplication key; of a single verdict, its id"),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("breach_id", sa.Text, nullable=False, comment="of a group: its key"),
    sa.Column("warning", sa.Boolean, nullable=False, comment="dropped while it waits if the breach comes or the risk goes"),
    sa.Column("state", sa.Text, nullable=False, comment="pending, sent, failed, disabled or inhibited"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_attempt_at", Instant, comment="while pending: not claimable before"),
    sa.Column("settled_at", Instant, comment="when the last attempt ended"),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("thread", sa.Text, nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False, server_default="first"),
    sa.Column("verdicts", sa.ARRAY(sa.Text), nullable=False, server_default="{}", comment="ids that are shown"),
    sa.Column("total", sa.BigInteger, nullable=False, server_default="1"),
    sa.CheckConstraint("state IN ('pending', 'sent', 'failed', 'disabled', 'inhibited')", name="state"),
    sa.Index("ix_deliveries_due", "channel", "next_attempt_at", postgresql_where=PENDING),
    sa.Index("ix_deliveries_breach", "breach_id"),
    sa.Index("ix_deliveries_settled", "settled_at"),
)

disabled_channels = sa.Table(
    "disabled_channels",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)

breach_actions = sa.Table(
    "breach_actions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("breach_id", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False, comment="name of the token"),
    sa.Column("credential", sa.Text, nullable=False, comment="id of the token"),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False, server_default=""),
    sa.Column("changes", JSONB(none_as_null=True), comment="field to what it was and what it is"),
    sa.Index("ix_breach_actions_breach", "breach_id"),
    comment="what people did to breaches; a trigger refuses to change or delete a row",
)

TABLES = (verdicts, breaches, risks, deliveries, disabled_channels, breach_actions)
