"""Who may watch no longer sees nothing soon, whoever is away, and whatever the viewer does.

A grant, a user, a share link, a session and the camera itself are taken away: while all is well, while the
portal is dead, while the broker is, and from viewers who refuse to leave. Real agent, portal and Mosquitto.
"""

import asyncio
import contextlib
import secrets
import time

import aiohttp
import pytest
from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER
from parts.stack import running_stack

from agent.config import load
from agent.errors import PortalError
from agent.portal.accounts import sessions, shares
from agent.portal.accounts.access import Access
from agent.portal.accounts.desk import Desk
from agent.portal.accounts.tokens import key_of
from agent.portal.store import open_store
from agent.server import revoke_device
from agent.watch.peer import Peer
from agent.watch.portal import Server
from agent.watch.report import Meter

LEASE_S = 24.0
SOON_S = 10.0
"""Far below a real lease, far above a second: this machine may be busy."""
PATIENCE_S = 60.0
QUIET_S = 1.5
CAMERA = 'source = "synthetic"\nwidth_px = 320\nheight_px = 240\nfps = 10'
EVERYBODY = ("grant", "user", "share link", "session")


class Viewer:
    """A browser with a stream; one that is hostile hears no `bye`, and stays as long as it is let."""

    def __init__(self, stack, *, is_hostile):
        self.stack = stack
        self.is_hostile = is_hostile
        self.meter = Meter()
        self.told = []
        self.session_key = ""
        self._stack = contextlib.AsyncExitStack()

    async def watch(self, enter, words, address, cookie):
        """Come in by POST `enter` of `words`, open the WebSocket at `address`, and play."""
        jar = aiohttp.CookieJar(unsafe=True)
        http = await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        async with http.post(self.stack.url + enter, json=words) as answer:
            assert answer.status == 200, await answer.text()
            self.session_key = key_of(answer.cookies[cookie].value)
        self.socket = await self._stack.enter_async_context(http.ws_connect(self.stack.url + address))
        hello = await self.socket.receive_json()
        servers = [Server.model_validate(server) for server in hello["ice_servers"]]
        self.peer = Peer(servers, relay_only=False, stream="main", meter=self.meter)
        self._stack.push_async_callback(self.peer.close)
        name = secrets.token_hex(16)
        offer = {"type": "offer", "session": name, "device": "cam", "sdp": await self.peer.offer()}
        await self.socket.send_json(offer)
        for work in (self._listen(name), self._look()):
            self._stack.callback(asyncio.create_task(work).cancel)
        return self

    async def close(self):
        await self._stack.aclose()

    async def _listen(self, name):
        async for frame in self.socket:
            message = frame.json()
            if message.get("session") != name:
                continue
            self.told.append(message["type"])
            if message["type"] == "answer":
                await self.peer.accept(message["sdp"])
            elif message["type"] == "candidate":
                await self.peer.add_candidate(message["candidate"])
            elif message["type"] == "bye" and not self.is_hostile:
                await self.peer.close()

    async def _look(self):
        async for _ in self.peer.frames():
            pass

    async def sees(self, timeout_s=PATIENCE_S):
        """Whether another picture comes."""
        before, until_s = self.meter.frames, time.monotonic() + timeout_s
        while self.meter.frames == before and time.monotonic() < until_s:
            await asyncio.sleep(0.05)
        return self.meter.frames > before

    async def sees_nothing_within(self, limit_s):
        """Until no picture comes any more; False where they go on."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            if not await self.sees(QUIET_S):
                return True
        return False


class House:
    """A stack, everybody who watches, and how each of them loses that."""

    def __init__(self, stack, *, is_hostile):
        self.stack = stack
        self.settings = load(stack.folder / "pinhole.toml")
        self.viewers = {right: Viewer(stack, is_hostile=is_hostile) for right in EVERYBODY}
        self.share_id = 0

    async def fill(self):
        with Desk.open(self.settings.portal) as desk:
            desk.add_user("grant", None, cameras=("cam",), password=PASSWORD)
            desk.add_user("user", "viewer", password=PASSWORD)
            desk.add_user("session", "viewer", password=PASSWORD)
        token, share = self._in_store(
            lambda db: shares.make(db, "cam", "the plumber", USER, 3600.0, time.time())
        )
        self.share_id = share.id
        for right, viewer in self.viewers.items():
            if right == "share link":
                way = ("/api/share/open", {"token": token}, "/api/share/ws", "pinhole-link")
            else:
                way = ("/api/login", {"user": right, "password": PASSWORD, "code": ""}, "/api/ws", "pinhole")
            await viewer.watch(*way)
            assert await viewer.sees(), self.stack.log("agent")

    async def close(self):
        for viewer in self.viewers.values():
            await viewer.close()

    def take_all(self):
        """As an administrator does on the server, whether the portal runs or not."""
        session, everything = self.viewers["session"].session_key, Access("admin")
        with Desk.open(self.settings.portal) as desk:
            desk.revoke("grant", camera="cam", group=None)
            desk.set_disabled("user", disabled=True)
        self._in_store(lambda db: shares.revoke(db, self.share_id, everything))
        self._in_store(lambda db: sessions.end_session(db, session))

    async def revoke_camera(self):
        with contextlib.suppress(PortalError):  # the broker may be away
            await revoke_device(self.settings, "cam")

    def _in_store(self, work):
        store = open_store(self.settings.portal)
        try:
            return store.run_here(work)
        finally:
            store.close()

    async def all_see_nothing(self, limit_s):
        gone = (viewer.sees_nothing_within(limit_s) for viewer in self.viewers.values())
        return dict(zip(self.viewers, await asyncio.gather(*gone), strict=True))


NOBODY_SEES = dict.fromkeys(EVERYBODY, True)


@contextlib.asynccontextmanager
async def house(*, is_hostile, lease_s=None):
    with mosquitto() as broker:
        settings = f'url = "{broker.settings().url}"\nreconnect_max_s = 2'
        with running_stack(settings, camera=CAMERA, lease_s=lease_s) as stack:
            one = House(stack, is_hostile=is_hostile)
            try:
                await one.fill()
                yield one, broker
            finally:
                await one.close()


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
        await one.revoke_camera()
        assert await one.all_see_nothing(LEASE_S + SOON_S) == NOBODY_SEES, one.stack.log("agent")
