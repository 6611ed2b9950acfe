"""Tables of alerts, made by migration 0005."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from shared.adapters.postgres.columns import Instant
from shared.adapters.postgres.database import metadata

told = sa.Table(
    "told",
    metadata,
    sa.Column("breach_id", sa.Text, primary_key=True),
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("verdict_id", sa.Text, nullable=False),
    comment="what notices about several breaches told of each",
)

groups = sa.Table(
    "alert_groups",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("state", sa.LargeBinary, nullable=False, comment="shared.alerting.groups.Group, msgpack"),
    sa.Column("next_at", Instant, comment="when to decide again"),
    sa.Column("held", sa.Boolean, nullable=False, comment="something is silenced, inhibited or muted"),
    sa.Index("ix_alert_groups_next", "next_at", postgresql_where=sa.text("next_at IS NOT NULL")),
    sa.Index("ix_alert_groups_held", "key", postgresql_where=sa.text("held")),
)

members = sa.Table(
    "alert_members",
    metadata,
    sa.Column("breach_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, sa.ForeignKey("alert_groups.key", ondelete="CASCADE"), primary_key=True),
    sa.Index("ix_alert_members_key", "key"),
)

sources = sa.Table(
    "alert_sources",
    metadata,
    sa.Column("breach_id", sa.Text, primary_key=True),
    sa.Column("labels", JSONB, nullable=False),
    comment="firing alerts that may inhibit others",
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("match", JSONB, nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("ended_by", sa.Text, comment="who ended it early"),
    sa.Index("ix_silences_ends", "ends_at"),
)

overrides = sa.Table(
    "rota_overrides",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("rota", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
)
