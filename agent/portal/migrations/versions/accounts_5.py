"""Sessions know when they were last seen."""

import time

import sqlalchemy as sa
from alembic import op

revision = "accounts_5"
down_revision = "accounts_4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those that are open were seen now: nobody is signed out by the update."""
    op.add_column("web_sessions", sa.Column("seen_at", sa.Float(), nullable=False, server_default="0"))
    op.get_bind().execute(sa.text("UPDATE web_sessions SET seen_at = :now"), {"now": time.time()})
