"""Sessions know whether they were begun with a second factor."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_7"
down_revision = "accounts_6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Whoever has an authenticator was asked for its code, and turning it on ended what was open."""
    op.add_column(
        "web_sessions", sa.Column("has_factor", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute(
        "UPDATE web_sessions SET has_factor = true WHERE user_id IN (SELECT id FROM users"
        " WHERE totp_secret IS NOT NULL OR (subject IS NOT NULL AND password_hash IS NULL))"
    )
