"""Recovery codes."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_3"
down_revision = "accounts_2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Who set an authenticator before has none until they make some."""
    op.create_table(
        "recovery_codes",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"], unique=False)
