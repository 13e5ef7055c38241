"""Who may watch no longer sees nothing soon, whoever is away, and whatever the viewer does.

A grant, a user, a share link, a session and the camera itself are taken away: while all is well, while the
portal is dead, while the broker is, and from viewers who refuse to leave. Real agent, portal and Mosquitto.
"""

import asyncio

import pytest
from parts.house import EVERYBODY, Viewer, house
from parts.portal import PASSWORD, USER

LEASE_S = 24.0
SOON_S = 10.0
"""Far below a real lease, far above a second: this machine may be busy."""
NOBODY_SEES = dict.fromkeys(EVERYBODY, True)


@pytest.mark.parametrize("is_hostile", [False, True], ids=["viewers leave", "viewers refuse to leave"])
async def test_who_may_watch_no_longer_sees_nothing_at_once(is_hostile):
    async with house(is_hostile=is_hostile) as (one, _):
        other = await Viewer(one.stack, is_hostile=is_hostile).watch(
            "/api/login", {"user": USER, "password": PASSWORD, "code": ""}, "/api/ws", "pinhole"
        )
        one.take_all()
        assert await one.all_see_nothing(SOON_S) == NOBODY_SEES, one.stack.log("agent")
        assert await other.sees(), "nobody else is cut off"
        await one.revoke_camera()
        assert await other.sees_nothing_within(SOON_S), one.stack.log("agent")
        await other.close()


async def test_while_the_portal_is_dead_the_lease_ends_what_nobody_may_watch():
    async with house(is_hostile=True, lease_s=LEASE_S) as (one, _):
        other = one.stack.start_watch()
        await asyncio.sleep(1.2 * LEASE_S)
        assert [await viewer.sees() for viewer in one.viewers.values()] == [True] * 4, "they are renewed"
        one.stack.kill_portal()
        one.take_all()
        await asyncio.to_thread(one.stack.start_portal)
        assert await one.all_see_nothing(LEASE_S + SOON_S) == NOBODY_SEES, one.stack.log("agent")
        assert one.stack.log("agent").count("ends: nobody renewed") == 4, "nobody else"
        assert other.poll() is None
        one.stack.kill_portal()
        await one.revoke_camera()
        await asyncio.to_thread(one.stack.start_portal)
        code, seen, _ = await asyncio.to_thread(one.stack.end_watch, other)
        assert code != 0
        assert seen["seconds"] > 2 * LEASE_S, "the portal's death alone interrupted nothing"


async def test_while_the_broker_is_away_the_lease_ends_what_nobody_may_watch():
    async with house(is_hostile=True, lease_s=LEASE_S) as (one, broker):
        broker.kill()
        one.take_all()
        assert await one.all_see_nothing(LEASE_S + SOON_S) == NOBODY_SEES, one.stack.log("agent")


@pytest.mark.parametrize("is_revoked", [True, False], ids=["revoked", "left alone"])
async def test_a_camera_revoked_while_the_broker_is_away_is_dark_when_it_is_back(is_revoked):
    """The lease alone would end it too: so the broker is back long before that."""
    async with house(is_hostile=True, watchers=("grant",)) as (one, broker):
        broker.kill()
        if is_revoked:
            await one.revoke_camera()
        broker.start()
        viewer = one.viewers["grant"]
        assert await viewer.sees_nothing_within(2 * SOON_S) == is_revoked, one.stack.log("agent")
