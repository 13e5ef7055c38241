"""The secrets of authenticators, as they stand in the database: what a copy of it is worth."""

import asyncio
import base64
import os

import pytest
from parts.database import dump
from parts.portal import PASSWORD, USER

from agent.errors import ConfigError, PortalError
from agent.portal.accounts import recovery, users
from agent.portal.accounts.codes import code_at, new_secret
from agent.portal.accounts.seal import KEY_FILE, SealError, open_seal
from agent.portal.accounts.service import SignInError
from agent.portal.store import Store

SECRET = new_secret()


def leave_in_the_clear(world, name=USER):
    """As a portal of before did."""
    world.store.run_here(lambda db: setattr(users.find(db, name), "totp_secret", SECRET))


def copy_of(world, database_url):
    """All that somebody has who has a copy of the database: SQLite's files, or a dump of PostgreSQL."""
    if database_url.startswith("sqlite"):
        files = [file for file in world.folder.iterdir() if file.name.startswith("portal.db")]
        return b"".join(file.read_bytes() for file in files)
    return dump(database_url)


async def test_a_copy_of_the_database_holds_no_authenticator_and_no_recovery_code(world, database_url):
    world.give_code(USER, SECRET)
    codes = world.store.run_here(lambda db: recovery.renew(db, users.find(db, USER)))
    await world.sign_in(code=code_at(SECRET, world.now))
    stolen = copy_of(world, database_url)
    assert USER.encode() in stolen, "it is a copy"
    for one in (SECRET, *codes, *(code.replace("-", "") for code in codes)):
        assert one.encode() not in stolen


async def test_what_stood_in_the_clear_is_moved_at_the_next_start_and_nothing_of_it_stays(
    world, database_url
):
    world.desk.add_user("bob", "viewer", password=PASSWORD)
    for name in (USER, "bob"):
        leave_in_the_clear(world, name)
    assert SECRET.encode() in copy_of(world, database_url)
    world.accounts.seal = open_seal(world.store, world.folder / "state")
    assert SECRET.encode() not in copy_of(world, database_url)
    for name in (USER, "bob"):
        await world.sign_in(name, code=code_at(SECRET, world.now))
        with pytest.raises(SignInError):
            await world.sign_in(name)


async def test_several_portals_that_start_at_once_have_one_key(world, database_url):
    (world.folder / "state" / KEY_FILE).unlink()
    leave_in_the_clear(world)
    others = [Store.open(database_url) for _ in range(3)]
    seals = await asyncio.gather(
        *(asyncio.to_thread(open_seal, store, world.folder / "state") for store in others)
    )
    user = world.store.run_here(lambda db: users.find(db, USER))
    assert [seal.open(user) for seal in seals] == [SECRET] * 3
    for store in others:
        store.close()


def test_a_sealed_secret_is_its_users_alone(world):
    world.desk.add_user("bob", "viewer", password=PASSWORD)
    world.give_code("bob", SECRET)

    def swap(db):
        ann, bob = users.find(db, USER), users.find(db, "bob")
        ann.totp_secret, ann.totp_sealed = bob.totp_secret, bob.totp_sealed
        return ann

    with pytest.raises(SealError, match="ann is not sealed by"):
        world.seal.open(world.store.run_here(swap))


@pytest.mark.parametrize(
    "damage", [None, "", "1:", "1:AAAA", "2:AAAA", "1:not base64", "no", "1:" + "A" * 80]
)
async def test_who_is_sealed_by_nothing_we_know_is_not_let_in_by_a_password_alone(world, damage):
    world.give_code(USER, SECRET)
    code, *_ = world.store.run_here(lambda db: recovery.renew(db, users.find(db, USER)))
    world.store.run_here(lambda db: setattr(users.find(db, USER), "totp_sealed", damage))
    with pytest.raises(SignInError) as refused:
        await world.sign_in(code=code_at(SECRET, world.now))
    assert refused.value.code == "wrong-code"
    assert "ask an administrator" in str(refused.value)
    await world.sign_in(code=code)


@pytest.mark.parametrize("key", [None, "another", "short\n", "no base64 \x7f\n"])
def test_a_lost_key_is_not_made_anew_in_silence(world, key):
    world.give_code(USER, SECRET)
    file = world.folder / "state" / KEY_FILE
    good = file.read_bytes()
    file.unlink()
    if key is not None:
        file.write_text(base64.b64encode(os.urandom(32)).decode() if key == "another" else key)
        file.chmod(0o600)
    with pytest.raises(PortalError, match=KEY_FILE):
        open_seal(world.store, world.folder / "state")
    file.write_bytes(good)
    file.chmod(0o604)
    with pytest.raises(ConfigError, match="every user of this machine can read it"):
        open_seal(world.store, world.folder / "state")
    file.unlink()
    with pytest.raises(PortalError, match="reset-link NAME --without-code"):
        open_seal(world.store, world.folder / "state")
    world.desk.reset_link(USER, without_code=True)  # as the words say
    open_seal(world.store, world.folder / "state")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() != good
