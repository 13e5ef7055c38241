"""The accounts' store for unit tests: SQLite in a file, brought up to date once and then copied."""

import functools
import tempfile
from pathlib import Path

import pytest
from parts.accounts import world  # noqa: F401  a fixture

from agent.portal.store import Store, _sqlite, make_url


@functools.cache
def fresh_database():
    """A file with every table, as bytes."""
    with tempfile.TemporaryDirectory() as name:
        Store.open(f"sqlite:///{name}/portal.db").close()
        return Path(name, "portal.db").read_bytes()


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    file = tmp_path / "portal.db"
    file.touch(0o600)
    file.write_bytes(fresh_database())
    store = Store(_sqlite(make_url(f"sqlite:///{file}")))
    yield store
    store.close()
