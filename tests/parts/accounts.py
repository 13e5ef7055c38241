"""Accounts over a store, without a web server, with time that stands still."""

import time

import pytest
from parts.portal import CHEAP, PASSWORD, USER

from agent.portal.accounts import users
from agent.portal.accounts.audit import Audit
from agent.portal.accounts.desk import Desk
from agent.portal.accounts.passwords import Passwords
from agent.portal.accounts.seal import open_seal
from agent.portal.accounts.service import Accounts, Visitor
from agent.portal.tables import AuditEntry

HERE = Visitor("192.0.2.1", "test")


class World:
    """Accounts over a store, with time that stands still."""

    def __init__(self, store, folder):
        self.now = float(int(time.time()))
        self.store, self.folder = store, folder
        self.desk = Desk(store, CHEAP)
        self.passwords = Passwords(CHEAP)
        self.audit = Audit(store, folder / "audit.jsonl")
        self.seal = open_seal(store, folder / "state")
        self.accounts = self.another(store)

    def another(self, store, provider=None):
        """The same accounts, as another portal has them."""
        return Accounts(store, self.audit, self.passwords, self.seal, provider, clock=lambda: self.now)

    def give_code(self, name, secret):
        """Have a user sign in with an authenticator."""
        self.store.run_here(lambda db: self.seal.close(users.find(db, name), secret))

    async def sign_in(self, name=USER, password=PASSWORD, code=""):
        return await self.accounts.sign_in(name, password, code, HERE)

    def access(self, name=USER):
        return self.store.run_here(lambda db: users.access_of(db, users.find(db, name)))

    async def notes(self):
        await self.audit.flush()
        return self.store.run_here(lambda db: list(db.query(AuditEntry).order_by(AuditEntry.id)))

    def count(self, table):
        return self.store.run_here(lambda db: len(db.query(table).all()))


@pytest.fixture
def world(store, tmp_path):
    """Accounts with the administrator `ann`, without a web server; `store` is the folder's own."""
    world = World(store, tmp_path)
    world.desk.add_user(USER, "admin", password=PASSWORD)
    yield world
    world.passwords.close()
