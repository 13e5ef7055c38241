"""A head on a wire, the agent's parts that move it, and a viewer with a stick: everything that can be cut.

All of ours is the real thing, as the agent has it: the viewer's data channel, the desk, the head's core, the
runner, the line. The wire is a pair of sockets that takes as long for a byte as its baud rate says; the link
to the viewer loses, delays and reorders. The time is a `LeapingLoop`'s.
"""

import asyncio
import itertools
import json
import math

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from fakes.ptz_rig import ANSWER_S, Store
from parts.terminal import SocketWire, is_busy

from agent.config import PtzSettings
from agent.rtc.data import PTZ_LABEL, DataChannels
from agent.serial.ptz.wiring import build, bus_of

WORD_S = 0.1
"""A viewer says how its stick stands ten times a second."""
TURN_S = 0.4
"""And turns it so often."""
LINK_DELAY_S = (0.005, 0.08)
LINK_LOSS = 0.02
PATIENCE_S = 60.0
"""More than the longest pause of a line."""


class Wire(SocketWire):
    """With a head on it, which hears each frame when its last byte has left."""

    def __init__(self, link, head, byte_s, loop):
        self._head, self._byte_s, self._loop = head, byte_s, loop
        self._free_s = 0.0
        self._opened = 0
        """Counts up with each port: what is under way on an old one is lost."""
        self.first, self.first_s = b"", math.inf
        """What the newest port was given before all else, and when."""
        self.changes = []
        """When the head began to move, or came to rest."""
        super().__init__(link)

    def open_port(self, settings):
        """In the line's thread."""
        port = super().open_port(settings)
        self.first, self.first_s = b"", math.inf
        self._opened += 1
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._device.fileno(), self._hear)
        return port

    def is_busy(self):
        """A port is opened or closed."""
        return is_busy()

    def cut(self):
        """Whoever had the port is gone; what had left it arrives."""
        if self._device:
            self._loop.remove_reader(self._device.fileno())
            self._device.close()
            self._device = None

    def unplug(self):
        """The port hangs up; what is under way is lost."""
        self.cut()
        self._opened += 1
        super().unplug()

    def _hear(self):
        data = self.heard()
        if not data:
            self.cut()
            return
        now_s = self._loop.time()
        if not self.first:
            self.first, self.first_s = data, now_s
        self._free_s = max(self._free_s, now_s) + len(data) * self._byte_s
        self._loop.call_at(self._free_s, self._arrive, data, self._opened)

    def _arrive(self, data, opened):
        if opened != self._opened:
            return
        now_s, was_moving = self._loop.time(), self._head.is_moving
        if answer := self._head.feed(data, now_s):
            self._loop.call_later(ANSWER_S, self._answer, answer, opened)
        if self._head.is_moving != was_moving:
            self.changes.append(now_s)

    def _answer(self, data, opened):
        if opened == self._opened:
            self.say(data)


class Agent:
    """One process of it, as far as it has to do with the head."""

    def __init__(self, settings, loop):
        self._loop = loop
        self.ptz = build(
            settings,
            Store(),
            clock=loop.time,
            tell=lambda *_: None,
            on_change=lambda: None,
            on_event=lambda *_: None,
        )
        self.running = loop.create_task(self.ptz.runner.run())

    async def shut_down(self):
        """SIGTERM: the head first of all."""
        await self.ptz.runner.stop()
        await self.end()

    async def end(self):
        """To the last of its tasks."""
        self.running.cancel()
        await asyncio.wait((self.running,))
        assert self.running.cancelled(), self.running.exception()


class Room:
    """The head, its wire and the agent of now."""

    def __init__(self, folder, settings, head, loop, monkeypatch):
        self.settings = PtzSettings(port=str(folder / "pinhole-ptz"), **settings)
        self.head, self.loop = head, loop
        self.wire = Wire(folder / "pinhole-ptz", head, bus_of(self.settings).byte_s, loop)
        monkeypatch.setattr("agent.serial.port.open_serial", self.wire.open_port)
        self._dead = []
        self._names = itertools.count()

    async def start(self):
        """The agent, until its port is open; when that was."""
        self.agent = Agent(self.settings, self.loop)
        return await self.opened()

    async def opened(self):
        """Until the port is; the first that it is given stops the head."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.wire.first:
                await asyncio.sleep(0.01)
        assert self.wire.first.startswith(self.agent.ptz.desk.head.driver.stop()[0])
        return self.wire.first_s

    def kill(self):
        """SIGKILL: not one byte more. What is left of it here has no port, and ends meanwhile."""
        self.wire.cut()
        self.wire.first = b""
        self._dead.append(self.loop.create_task(self.agent.end()))

    async def end(self):
        """Of everything."""
        await self.agent.shut_down()
        await asyncio.gather(*self._dead)
        self.wire.cut()

    def viewer(self, random):
        """A new one."""
        return Viewer(self, random, f"viewer {next(self._names)}")


class Viewer:
    """Holds a stick, and says so over a data channel without order and without repeats."""

    def __init__(self, room, random, name):
        self._loop, self._random = room.loop, random
        self.last_s = room.loop.time()
        """When its last word that moves the head arrived."""
        self.is_cut = False
        """Nothing of it arrives any more."""
        self._seq, self._heard_seq, self._late, self._stick = 0, 0, None, {}
        open_stick = room.agent.ptz.desk.open
        self.channels = DataChannels(
            lambda *_: None, lambda send: open_stick(name, name, lambda: True, send), print, print, print
        )
        how = RTCDataChannelParameters(PTZ_LABEL, ordered=False, maxRetransmits=0)
        self.channel = RTCDataChannel(None, how, send_open=False)  # "connecting": it tells nobody anything
        self.channels.on_channel(self.channel)
        self._holding = room.loop.create_task(self._hold())

    async def _hold(self):
        random, turned_s = self._random, -math.inf
        while True:
            if self._loop.time() >= turned_s + TURN_S:
                self._stick = {axis: round(random.uniform(-1, 1), 2) for axis in ("pan", "tilt", "zoom")}
                self._stick["pan"] = random.choice((-1, 1))  # it is out of the middle
                turned_s = self._loop.time()
            self.say(self._stick)
            await asyncio.sleep(WORD_S)

    def say(self, stick):
        """One word, which may arrive."""
        self._seq += 1
        if self._late is not None:
            self._late.append((self._seq, stick))
        elif self._random.random() >= LINK_LOSS:
            self._loop.call_later(self._random.uniform(*LINK_DELAY_S), self._arrive, self._seq, stick)

    def _arrive(self, seq, stick):
        if self.is_cut:
            return
        if stick and seq > self._heard_seq:
            self.last_s = self._loop.time()
        self._heard_seq = max(seq, self._heard_seq)
        self.channel.emit("message", json.dumps({"seq": seq, **stick}))

    def stall(self):
        """From now on nothing arrives until `resume`."""
        self._late = []

    def resume(self):
        """All that was said meanwhile arrives at once, and in any order."""
        late, self._late = self._late, None
        self._random.shuffle(late)
        for seq, stick in late:
            self._arrive(seq, stick)

    def let_go(self):
        """As the page does: three words, of which some may be lost."""
        self._holding.cancel()
        for number in range(3):
            self._loop.call_later(number * 0.05, self.say, {})

    def die(self):
        """It says nothing more; what was under way is lost."""
        self._holding.cancel()
        self.is_cut = True

    def close(self):
        """Its session is over, as the agent sees it."""
        self.die()
        self.channels.close()
