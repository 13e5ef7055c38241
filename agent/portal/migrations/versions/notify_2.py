"""PostgreSQL tells every portal that listens of new events, to be told to people."""

from alembic import op

revision = "notify_2"
down_revision = "notify_1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A trigger; SQLite's file tells by itself."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION pinhole_tell_event() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_notify('pinhole_changed', 'event'); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER pinhole_tell_event AFTER INSERT ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION pinhole_tell_event()"
    )
