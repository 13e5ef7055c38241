"""The audit log becomes a chain: it begins here, and entries from before stay as they are."""

import time

import sqlalchemy as sa
from alembic import op

revision = "accounts_4"
down_revision = "accounts_3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Each entry holds the hash of the one before; one row holds both ends of the chain."""
    op.add_column("audit", sa.Column("previous", sa.String(length=64), nullable=True))
    op.add_column("audit", sa.Column("hash", sa.String(length=64), nullable=True))
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("anchor", sa.String(length=64), nullable=False),
        sa.Column("anchor_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_chain")),
    )
    newest = op.get_bind().scalar(sa.text("SELECT max(id) FROM audit")) or 0
    table = sa.table(
        "audit_chain",
        sa.column("id", sa.Integer),
        sa.column("head", sa.String),
        sa.column("anchor", sa.String),
        sa.column("anchor_id", sa.Integer),
        sa.column("since", sa.Float),
    )
    genesis = "0" * 64
    op.bulk_insert(
        table,
        [{"id": 1, "head": genesis, "anchor": genesis, "anchor_id": newest, "since": time.time()}],
    )
