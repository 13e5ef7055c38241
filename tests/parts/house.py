"""A real stack in which everybody watches who can be shut out, each by a right of their own."""

import asyncio
import contextlib
import secrets
import time

import aiohttp
from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER
from parts.stack import running_stack

from agent.client.peer import Peer
from agent.client.report import Meter
from agent.client.session import Server
from agent.config import load
from agent.errors import PortalError
from agent.portal.accounts import sessions, shares
from agent.portal.accounts.access import Access
from agent.portal.accounts.desk import Desk
from agent.portal.accounts.tokens import key_of
from agent.portal.store import open_store
from agent.server import revoke_device

PATIENCE_S = 60.0
QUIET_S = 5.0
"""Without a picture, of ten a second: agent, viewer and test may each come a second late."""
CAMERA = 'source = "synthetic"\nwidth_px = 320\nheight_px = 240\nfps = 10'
EVERYBODY = ("grant", "user", "share link", "session")


class Viewer:
    """A browser with a stream; one that is hostile hears no `bye`, and stays as long as it is let."""

    def __init__(self, stack, *, is_hostile):
        self.stack = stack
        self.is_hostile = is_hostile
        self.meter = Meter()
        self.told = []
        self.seen_at_s = 0.0
        """Of the last picture."""
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
        self.session = name = secrets.token_hex(16)
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
            self.seen_at_s = time.monotonic()

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

    def __init__(self, stack, watchers, *, is_hostile):
        self.stack = stack
        self.settings = load(stack.folder / "pinhole.toml")
        self.viewers = {right: Viewer(stack, is_hostile=is_hostile) for right in watchers}
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

    def take(self, right):
        """As an administrator does on the server, whether the portal runs or not."""
        match right:
            case "grant":
                with Desk.open(self.settings.portal) as desk:
                    desk.revoke("grant", camera="cam", group=None)
            case "user":
                with Desk.open(self.settings.portal) as desk:
                    desk.set_disabled("user", disabled=True)
            case "share link":
                self._in_store(lambda db: shares.revoke(db, self.share_id, Access("admin")))
            case "session":
                key = self.viewers["session"].session_key
                self._in_store(lambda db: sessions.end_session(db, key))

    def take_all(self):
        for right in self.viewers:
            self.take(right)

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


@contextlib.asynccontextmanager
async def house(*, is_hostile, lease_s=None, watchers=EVERYBODY):
    with mosquitto() as broker:
        settings = f'url = "{broker.settings().url}"\nreconnect_max_s = 2'
        with running_stack(settings, camera=CAMERA, lease_s=lease_s) as stack:
            one = House(stack, watchers, is_hostile=is_hostile)
            try:
                await one.fill()
                yield one, broker
            finally:
                await one.close()
