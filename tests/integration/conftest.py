"""The store that the tests of accounts run on: each of them on SQLite, and again on PostgreSQL."""

import pytest
from parts.accounts import world  # noqa: F401  a fixture
from parts.database import postgresql

from agent.portal.store import Store


@pytest.fixture(scope="session")
def postgres():
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/portal.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def store(database_url):
    store = Store.open(database_url)
    yield store
    store.close()
