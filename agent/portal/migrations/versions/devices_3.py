"""Shut out what was enrolled under a name that cannot be a device's: the broker took it for who is there."""

import re
import time

import sqlalchemy as sa
from alembic import op

revision = "devices_3"
down_revision = "devices_2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Revoke them, and all their certificates."""
    names = op.get_bind().execute(sa.text("SELECT id FROM devices")).scalars().all()
    for name in [one for one in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one)]:
        for table, column in (("devices", "id"), ("device_certificates", "device")):
            op.execute(
                sa.text(
                    f"UPDATE {table} SET revoked_at = :now WHERE {column} = :name AND revoked_at IS NULL"  # noqa: S608
                ).bindparams(now=time.time(), name=name)
            )
