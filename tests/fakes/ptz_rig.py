"""A desk, a head's core and a simulated head on one wire, with a clock of their own."""

import heapq
import itertools
import json
from dataclasses import dataclass, field
from functools import partial

from fakes.ptz_head import PelcoHead, ViscaCamera

from agent.config import PtzSettings
from agent.serial.ptz.desk import Desk
from agent.serial.ptz.head import Head
from agent.serial.ptz.memory import Memory
from agent.serial.ptz.orders import Orders
from agent.serial.ptz.wiring import bus_of, driver_of, limits_of

ANSWER_S = 0.02
"""A head answers within a picture's time."""
PORTS = {"visca-ip": "udp://head.example"}


@dataclass
class Store:
    memory: Memory | None = None

    def load(self):
        return self.memory

    def keep(self, memory, _now_s, *, is_urgent):
        assert is_urgent
        self.memory = memory

    def try_again(self, _now_s): ...


@dataclass
class Heard:
    """What a viewer heard."""

    said: list = field(default_factory=list)

    def __call__(self, text):
        self.said.append(json.loads(text))


class Rig:
    """`fake` is the head; the agent may be killed and started again around it."""

    def __init__(self, protocol="pelco-d", fake=None, **settings):
        self.settings = PtzSettings(protocol=protocol, port=PORTS.get(protocol, "/dev/head"), **settings)
        self.fake = fake or (ViscaCamera() if protocol.startswith("visca") else PelcoHead(protocol))
        self.now_s = 100.0
        self.store, self.told, self.faults, self.changes = Store(), [], [], 0
        self._events, self._order = [], itertools.count()
        self._plugged = 0
        """Counts up with each plugging: what is under way on an old one is lost."""
        self.start()

    def start(self):
        """The agent; its port is not open yet."""
        bus = bus_of(self.settings)
        self._byte_s = bus.byte_s
        driver = driver_of(self.settings, bus.byte_s)
        self.head = Head(driver, bus, limits_of(self.settings), lambda: None)
        self.desk = Desk(
            self.settings,
            self.head,
            self.store,
            clock=lambda: self.now_s,
            wake=lambda: None,
            tell=lambda session, result: self.told.append((session, result.name)),
            on_change=self._note_change,
            on_fault=self.faults.append,
        )
        self.orders = orders_at_once(Orders(self.desk))
        self.sent = []
        """Frames of this start, with their times."""

    def plug(self):
        """The port is there, and opened."""
        self._plugged += 1
        self._write(self.head.opened(self.now_s))

    def unplug(self):
        self._plugged += 1
        self.head.lost()

    def kill(self):
        """SIGKILL: not one byte more, and nobody is there."""
        self._plugged += 1
        self.start()

    def viewer(self, user="ann", session=None, may=lambda: True):
        heard = Heard()
        channel = self.desk.open(session or user, user, may, heard)
        return channel, heard

    def at(self, when_s, act, of=None):
        """Have it happen then."""
        heapq.heappush(self._events, (when_s, next(self._order), act, of))

    def forget(self, of, after_s=-1.0):
        """What was to happen of somebody's does not; how much that was."""
        kept = [each for each in self._events if each[3] is not of or each[0] < after_s]
        forgotten = len(self._events) - len(kept)
        heapq.heapify(kept)
        self._events = kept
        return forgotten

    def run_to(self, ends_s):
        """Let time pass."""
        while True:
            self._pump()
            tick_s = self.desk.tick(self.now_s)
            wake_s = min(self.head.wake_s(self.now_s), tick_s)
            event_s = self._events[0][0] if self._events else ends_s
            next_s = max(self.now_s, min(wake_s, event_s))
            if next_s >= ends_s:
                break
            self.now_s = next_s
            while self._events and self._events[0][0] <= self.now_s:
                heapq.heappop(self._events)[2]()
        self.now_s = ends_s
        while self._events and self._events[0][0] <= ends_s:
            heapq.heappop(self._events)[2]()
        self.fake.pass_to(self.now_s)

    def run_for(self, seconds):
        self.run_to(self.now_s + seconds)

    def _note_change(self):
        self.changes += 1

    def _pump(self):
        while (frame := self.head.next_frame(self.now_s)) is not None:
            self._write(frame)

    def _write(self, frame):
        self.sent.append((self.now_s, frame))
        plugged = self._plugged
        arrives_s = self.now_s + len(frame) * self._byte_s
        self.at(arrives_s, lambda: self._arrive(frame, plugged))

    def _arrive(self, frame, plugged):
        if plugged != self._plugged:
            return
        answer = self.fake.feed(frame, self.now_s)
        if answer:
            self.at(self.now_s + ANSWER_S, lambda: self._answer(answer, plugged))
        for ends_s in getattr(self.fake, "sockets", {}).values():
            self.at(ends_s, lambda: self._answer(self.fake.due(self.now_s), plugged))

    def _answer(self, data, plugged):
        if data and plugged == self._plugged and self.head.is_open:
            self.head.feed(data, self.now_s)


def orders_at_once(orders):
    """The handlers by name, also of what waits for somebody's disk: here nobody has one."""
    return orders.handlers() | {name: partial(_done, work) for name, work in orders.works().items()}


def _done(work, order, arguments):
    try:
        work(order, arguments).send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")
