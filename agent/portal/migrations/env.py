"""Alembic's entry: `store.py` hands it an open connection, inside a transaction that holds a lock."""

from alembic import context

import agent.portal.claims
import agent.portal.events
import agent.portal.notify.tables
import agent.portal.registry
import agent.portal.tables
import agent.portal.upload.ledger  # noqa: F401 - what a comparison with the database needs to know
from agent.portal.store import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    transactional_ddl=False,  # the caller's transaction is the only one
)
context.run_migrations()
