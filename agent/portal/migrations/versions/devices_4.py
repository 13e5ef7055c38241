"""The portal's own names for cameras."""

import sqlalchemy as sa
from alembic import op

revision = "devices_4"
down_revision = "devices_3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Who has none yet is called as it calls itself, once it has said so."""
    for table in ("devices", "claims"):
        op.add_column(table, sa.Column("name", sa.String(length=128), nullable=True))
