"""The secrets of authenticators are encrypted; the portal moves them as it starts, for it has the key."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_8"
down_revision = "accounts_7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has one yet."""
    op.add_column("users", sa.Column("totp_sealed", sa.String(160)))
