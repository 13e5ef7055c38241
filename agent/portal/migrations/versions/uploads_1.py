"""Uploads: which portal answers a camera, and how much it has sent today."""

import sqlalchemy as sa
from alembic import op

revision = "uploads_1"
down_revision = "notify_2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of its own."""
    op.create_table(
        "uploads",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("portal", sa.String(length=32), nullable=False),
        sa.Column("held_until", sa.Float(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_uploads")),
    )
