"""Sessions know when their user last showed who they are."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_6"
down_revision = "accounts_5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those that are open are asked again."""
    op.add_column("web_sessions", sa.Column("confirmed_at", sa.Float(), nullable=False, server_default="0"))
