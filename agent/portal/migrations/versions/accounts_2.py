"""Browsers that are known, and accounts that wait for their owner's first company sign-in."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_2"
down_revision = "devices_3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Until now every account that had no password yet waited for anybody's company sign-in."""
    op.create_table(
        "known_browsers",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_known_browsers_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_known_browsers")),
    )
    op.create_index(op.f("ix_known_browsers_user_id"), "known_browsers", ["user_id"], unique=False)
    op.add_column(
        "users", sa.Column("awaits_company", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute(
        "UPDATE users SET awaits_company = true WHERE password_hash IS NULL AND subject IS NULL"
        " AND id NOT IN (SELECT user_id FROM one_time_links)"
    )
