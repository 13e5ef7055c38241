"""Devices: who was enrolled with which key."""

import sqlalchemy as sa
from alembic import op

revision = "devices_1"
down_revision = "accounts_1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of `agent/portal/registry.py`."""
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("enrolled_at", sa.Float(), nullable=False),
        sa.Column("enrolled_by", sa.String(length=128), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
    )
    op.create_table(
        "device_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_revision")),
    )
    op.bulk_insert(
        sa.table("device_revision", sa.column("id", sa.Integer), sa.column("number", sa.Integer)),
        [{"id": 1, "number": 0}],
    )
