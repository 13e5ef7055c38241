"""Notifications: rules, channels, what waits to be sent; and which events rules have looked at."""

import sqlalchemy as sa
from alembic import op

revision = "notify_1"
down_revision = "events_1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Events that are there already are nobody's news any more."""
    op.add_column("events", sa.Column("judged_at", sa.Float(), nullable=True))
    op.execute("UPDATE events SET judged_at = received_at")
    op.create_index(
        "ix_events_unjudged",
        "events",
        ["id"],
        sqlite_where=sa.text("judged_at IS NULL"),
        postgresql_where=sa.text("judged_at IS NULL"),
    )
    op.create_table(
        "notify_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("push_key", sa.String(length=400), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notify_state")),
    )
    op.execute("INSERT INTO notify_state (id) VALUES (1)")
    op.create_table(
        "notify_channels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("shown", sa.String(length=128), nullable=False),
        sa.Column("sealed", sa.String(length=8000), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("is_confirmed", sa.Boolean(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("failing_since", sa.Float(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=False),
        _owner("users", "notify_channels", "user_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notify_channels")),
        sa.UniqueConstraint("key", name=op.f("uq_notify_channels_key")),
    )
    op.create_index(op.f("ix_notify_channels_user_id"), "notify_channels", ["user_id"])
    op.create_table(
        "notify_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("snoozed_until", sa.Float(), nullable=False),
        sa.Column("spec", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        _owner("users", "notify_rules", "user_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notify_rules")),
    )
    op.create_index(op.f("ix_notify_rules_user_id"), "notify_rules", ["user_id"])
    op.create_table(
        "notify_memory",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        _owner("notify_rules", "notify_memory", "rule_id"),
        sa.PrimaryKeyConstraint("rule_id", "device", "kind", name=op.f("pk_notify_memory")),
    )
    op.create_table(
        "notify_looks",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        _owner("users", "notify_looks", "user_id"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_notify_looks")),
    )
    op.create_table(
        "notify_deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel_id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("items", sa.String(), nullable=False),
        sa.Column("more", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease", sa.String(length=32), nullable=False),
        sa.Column("leased_until", sa.Float(), nullable=False),
        sa.Column("done_at", sa.Float(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=False),
        _owner("notify_channels", "notify_deliveries", "channel_id"),
        _owner("notify_rules", "notify_deliveries", "rule_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notify_deliveries")),
    )
    op.create_index(op.f("ix_notify_deliveries_channel_id"), "notify_deliveries", ["channel_id"])
    op.create_index(op.f("ix_notify_deliveries_rule_id"), "notify_deliveries", ["rule_id"])
    op.create_index("ix_notify_deliveries_created_at", "notify_deliveries", ["created_at"])
    op.create_index(
        "ix_notify_deliveries_waiting",
        "notify_deliveries",
        ["due_at"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )


def _owner(target: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name, ondelete="CASCADE")
