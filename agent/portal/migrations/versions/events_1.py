"""What happened at the cameras."""

import sqlalchemy as sa
from alembic import op

revision = "events_1"
down_revision = "devices_4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table; nothing that is there is touched."""
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=40), nullable=False),
        sa.Column("concerns", sa.String(length=40), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=True),
        sa.Column("is_time_known", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("message", sa.String(length=512), nullable=False),
        sa.Column("thumbnail", sa.String(length=512), nullable=True),
        sa.Column("details", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("device", "event_id", name=op.f("uq_events_device_event_id")),
    )
    op.create_index("ix_events_device_at", "events", ["device", "at", "id"])
    op.create_index("ix_events_kind_at", "events", ["kind", "at", "id"])
    op.create_index("ix_events_at", "events", ["at", "id"])
    op.create_index(op.f("ix_events_received_at"), "events", ["received_at"])
