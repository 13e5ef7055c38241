"""Somebody with a share link takes every place of a camera and connects none, on a real stack."""

import asyncio
import secrets
import time

import aiohttp
import pytest
from parts.mosquitto import mosquitto
from parts.portal import USER
from parts.stack import running_stack

from agent.client.peer import Peer
from agent.client.report import Meter
from agent.config import load
from agent.portal.accounts import shares
from agent.portal.store import open_store

PLACES = 8
CONNECT_S = 20.0
"""`webrtc.connect_timeout_s` as it comes."""


@pytest.fixture(scope="module")
def stack():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as running:
        yield running


def make_link(stack):
    store = open_store(load(stack.folder / "pinhole.toml").portal)
    try:
        return store.run_here(lambda db: shares.make(db, "cam", "grandma", USER, 3600.0, time.time()))[0]
    finally:
        store.close()


class Guest:
    """A browser that came with the link; what it was told about its sessions."""

    def __init__(self, socket):
        self._socket = socket
        self.told = {}

    async def offer(self, sdp):
        session = secrets.token_hex(16)
        await self._socket.send_json({"type": "offer", "session": session, "device": "cam", "sdp": sdp})
        return session

    async def listen(self):
        async for frame in self._socket:
            message = frame.json()
            if message["type"] in ("answer", "reject", "bye"):
                self.told.setdefault(message["session"], []).append(message)

    async def until(self, condition, timeout_s=60.0):
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.02)

    def ends(self):
        return [message for told in self.told.values() for message in told if message["type"] == "bye"]


async def test_who_owns_the_camera_watches_at_once_whatever_a_link_asked_for(stack):
    token = make_link(stack)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        assert (await http.post(f"{stack.url}/api/share/open", json={"token": token})).status == 200
        async with http.ws_connect(f"{stack.url}/api/share/ws") as socket:
            guest = Guest(socket)
            listening = asyncio.create_task(guest.listen())
            peer = Peer([], relay_only=False, stream="main", meter=Meter())
            try:
                sdp = await peer.offer()
                taken = [await guest.offer(sdp) for _ in range(PLACES)]
                await guest.until(lambda: set(taken) <= guest.told.keys())
                assert {guest.told[one][0]["type"] for one in taken} == {"answer"}
                over = await guest.offer(sdp)
                await guest.until(lambda: over in guest.told)
                [refused] = guest.told[over]
                assert refused["code"] == "too-many-viewers"
                assert "8 of them are yours" in refused["message"]
                code, seen, said = await asyncio.to_thread(stack.watch, "--seconds", "2")
                assert code == 0, said
                assert seen["frames"] > 0
                # One was given up for it. What never connects is given up, too, whoever holds it: on a busy
                # machine perhaps by now.
                await guest.until(lambda: len(guest.ends()) == PLACES, CONNECT_S + 15)
                reasons = [end["reason"] for end in guest.ends()]
                assert ["somebody who may do more" in reason for reason in reasons].count(True) == 1
            finally:
                listening.cancel()
                await peer.close()
    code, _, said = await asyncio.to_thread(stack.watch, "--seconds", "1")
    assert code == 0, said
