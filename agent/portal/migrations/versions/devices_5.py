"""PostgreSQL tells every portal that listens of each change of a device, by whatever program."""

from alembic import op

revision = "devices_5"
down_revision = "devices_4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A trigger; SQLite's file tells by itself."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION pinhole_tell_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_notify('pinhole_changed', ''); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER pinhole_tell_change AFTER UPDATE ON device_revision "
        "FOR EACH STATEMENT EXECUTE FUNCTION pinhole_tell_change()"
    )
