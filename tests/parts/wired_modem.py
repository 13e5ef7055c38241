"""A modem that fails on a wire, and all that heals it: our port, the talk, the parsers, the ladder.

Only what is beyond the wire is made up: the modem, root's steps, the link that leads by the modem to the
portal. The time is a `LeapingLoop`'s.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from fakes.leaping_loop import LeapingLoop
from fakes.modem import Fault, SimModem
from parts.terminal import SocketWire, Terminal, is_busy
from pydantic import TypeAdapter

from agent.config import ModemSettings
from agent.serial.modem.data import DataCount, Forgets
from agent.serial.modem.ladder import DAY_S, Memory, Step
from agent.serial.modem.recovery import Recovery, World
from agent.serial.modem.wire import WireModem
from agent.serial.port import LineSettings, Port, open_serial

MEMORY = TypeAdapter(Memory)
NOTICE_S = 45.0
"""The MQTT link is found dead within one and a half keepalives."""
BOARD_S = 40.0
"""A reboot of the board, to the agent's start."""
GIVEN_UP_S = 3 * 3600.0
"""What is not cured by then is cured by hand."""
USUAL_REST_S = 5 * 3600.0
"""Between two faults, on average."""
NAP_S = 2 * 3600.0
"""While all is well the time leaps so far."""
LATENCIES_S = (0.002, 0.01, 0.05, 0.3)
LOST_S = 10.0
"""By the real clock: what a pseudo terminal has not brought by then was flushed; a busy machine is slow."""
SHARES: dict[Fault, tuple[float, tuple[float, float]]] = {
    "bearer": (0.12, (0, 0)),
    "detached": (0.10, (0, 0)),
    "replugged": (0.06, (5, 40)),
    "radio": (0.16, (0, 0)),
    "zombie": (0.08, (0, 0)),
    "silent": (0.08, (0, 0)),
    "garbage": (0.06, (0, 0)),
    "vanished": (0.07, (0, 0)),
    "hung": (0.02, (0, 0)),
    "dead": (0.04, (0, 0)),
    "no-usb": (0.01, (0, 0)),
    "no-coverage": (0.10, (20, 2400)),
    "denied": (0.05, (20, 2400)),
    "no-sim": (0.03, (60, 2400)),
    "pin": (0.02, (60, 2400)),
}
"""How often each comes, and how long one lasts that ends by itself."""


@dataclass(frozen=True, slots=True)
class Suffered:
    """One fault, and what became of it."""

    fault: Fault
    lasted_s: float
    is_cured: bool
    steps: tuple[Step, ...]
    """That were taken meanwhile."""


class Wire:
    """A pair of sockets, or a pseudo terminal, of which is known what the kernel has yet to bring."""

    def __init__(self, link: Path, *, is_real: bool) -> None:
        self.ends = Terminal(link) if is_real else SocketWire(link)
        self.is_real = is_real
        self.to_device = self.to_port = 0
        """Bytes that were written, and not read yet."""
        self.is_heard: Callable[[], bool] = bool
        """The agent has it open: what the modem says else, the next open flushes."""
        self._stale_s = 0.0

    def open_port(self, settings: LineSettings) -> Port:
        """What the line opens, in a thread."""
        self.forget()
        return open_serial(settings) if self.is_real else self.ends.open_port(settings)  # type: ignore[union-attr, return-value]

    def count(self, *, to_device: int = 0, to_port: int = 0) -> None:
        """So much was written, or read where it is less than 0. A pair of sockets has it there at once."""
        if self.is_real:
            self.to_device = max(0, self.to_device + to_device)
            self.to_port = max(0, self.to_port + to_port)
            self._stale_s = time.monotonic() + LOST_S

    def forget(self) -> None:
        """What was under way is lost, as by a hang-up."""
        self.to_device = self.to_port = 0

    def is_busy(self) -> bool:
        """The kernel is, or a thread."""
        return self.brings() or is_busy()

    def brings(self) -> bool:
        """Something is under way."""
        if time.monotonic() > self._stale_s or not self.ends.is_plugged:
            self.forget()
        if not self.is_heard():
            self.to_port = 0
        return self.to_device > 0 or self.to_port > 0


class Jack:
    """The modem's end: what it says arrives late, in pieces, and not at all where it vanished meanwhile."""

    def __init__(self, modem: SimModem, wire: Wire, random: Random, loop: LeapingLoop) -> None:
        self.modem, self._wire, self._random, self._loop = modem, wire, random, loop
        self._plugged, self._last_s, self._next_s = 0, 0.0, 0.0

    def turn(self) -> None:
        """What happened since the last turn: plugged, unplugged, heard, said. Again when that is due."""
        now_s, ends = self._loop.now_s, self._wire.ends
        is_there = self.modem.is_there(now_s)
        if ends.is_plugged != is_there:
            self._plugged += 1
            self._wire.forget()
            ends.plug() if is_there else ends.unplug()
        if is_there:
            self._talk(now_s)
        if self._wire.brings() and self._wire.to_device:
            self._loop.call_soon(self.turn)
        next_s = self.modem.changes_s(now_s)
        if next_s != self._next_s and next_s < float("inf"):
            self._loop.call_at(next_s + 1e-3, self.turn)
        self._next_s = next_s

    def _talk(self, now_s: float) -> None:
        if heard := self._wire.ends.heard():
            self._wire.count(to_device=-len(heard))
            self.modem.receive(heard, now_s)
        if said := self.modem.transmit():
            self._last_s = max(self._last_s, now_s + self._random.choice(LATENCIES_S))
            for piece in self._pieces(said):
                self._loop.call_at(self._last_s, self._say, piece, self._plugged)
                self._last_s += 1e-3

    def _pieces(self, said: bytes) -> list[bytes]:
        if self._random.random() < 0.8:
            return [said]
        cuts = sorted(self._random.randrange(len(said) + 1) for _ in range(3))
        return [said[a:b] for a, b in pairwise([0, *cuts, len(said)]) if a < b]

    def _say(self, piece: bytes, plugged: int) -> None:
        if plugged != self._plugged or not self._wire.ends.is_plugged:
            return
        with contextlib.suppress(BlockingIOError):
            self._wire.ends.say(piece)
            self._wire.count(to_port=len(piece))


class Device:
    """One that lives for years: an agent's parts, begun anew with each boot, and what was kept of them."""

    def __init__(
        self, folder: Path, seed: int, *, rest_s: float = USUAL_REST_S, is_real: bool = False
    ) -> None:
        """`is_real`: by a pseudo terminal, as pyserial opens it."""
        self._random, self._rest_s = Random(seed), rest_s
        self.wire = Wire(folder / "pinhole-modem", is_real=is_real)
        self.sim = SimModem(noise=self._noise)
        self.taken: dict[Step, list[float]] = defaultdict(list)
        """When each step was taken."""
        self.kept = MEMORY.dump_json(Memory(lived_s=DAY_S))
        self._link_until_s = 0.0
        self._reboots = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def live(self, faults: int) -> list[Suffered]:
        """So many faults, one after the other."""
        with asyncio.Runner(loop_factory=lambda: LeapingLoop(self.wire.is_busy)) as runner:
            return runner.run(self._live(faults))

    async def _live(self, faults: int) -> list[Suffered]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, LeapingLoop)
        self._loop = loop
        self.sim.power_cycle(loop.now_s - 60)
        self.jack = Jack(self.sim, self.wire, self._random, loop)
        self._start()
        try:
            return [await self._suffer() for _ in range(faults)]
        finally:
            await self._stop()
            self.wire.ends.unplug()

    async def _suffer(self) -> Suffered:
        """One fault after a rest, to its end."""
        await self._rest()
        sim, loop, random = self.sim, self._loop, self._random
        names = list(SHARES)
        (fault,) = random.choices(names, [SHARES[name][0] for name in names])
        low_s, high_s = SHARES[fault][1]
        began_s = loop.now_s
        sim.tells = random.random() < 0.7
        sim.boot_s, sim.register_s = random.uniform(8, 25), random.uniform(2, 12)
        ends_s = began_s + random.uniform(low_s, high_s) if high_s else float("inf")
        self._link_until_s = began_s + random.uniform(0, NOTICE_S)
        before = {step: len(times) for step, times in self.taken.items()}
        sim.strike(fault, began_s, ends_s)
        self.jack.turn()
        while not (is_cured := sim.has_data(loop.now_s)) and loop.now_s - began_s < GIVEN_UP_S:
            await self._pass(1.0)
        lasted_s = loop.now_s - began_s
        steps = tuple(step for step, times in self.taken.items() for _ in times[before.get(step, 0) :])
        if not is_cured:
            sim.reboot(loop.now_s)
            self.jack.turn()
        return Suffered(fault, lasted_s, is_cured, steps)

    async def _rest(self) -> None:
        """Until it is well, and then for hours; at times the agent is begun anew."""
        end_s = self._loop.now_s + self._random.expovariate(1 / self._rest_s)
        while self.modem.status.state != "connected":
            await self._pass(5.0)
        if self._random.random() < 0.1:
            await self._stop()
            self._start()
        while (left_s := end_s - self._loop.now_s) > 0:
            if self.modem.status.state == "connected" and not self.modem._talk.is_busy:
                self._loop.now_s += min(left_s, NAP_S)
            await self._pass(10.0)

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for task in self._tasks:
            assert not task.done(), task.result()
        if self._reboots.is_set():
            self._reboots.clear()
            await self._stop()
            self.sim.reboot(self._loop.now_s)
            self.jack.turn()
            await asyncio.sleep(BOARD_S)
            self._start()

    def _start(self) -> None:
        loop, born_s = self._loop, self._loop.now_s
        self.modem = WireModem(
            ModemSettings(backend="at", port=str(self.wire.ends.link)),
            DataCount(Forgets(), str, bool),
            lambda: None,
            lambda *_: None,
            self.wire.open_port,
        )
        line = self.modem.line
        self.wire.is_heard = lambda: line.state == "open"
        write, on_bytes = line.write, line._on_bytes

        async def written(data: bytes) -> None:
            self.wire.count(to_device=len(data))
            try:
                await write(data)
            finally:
                loop.call_soon(self.jack.turn)

        def read(data: bytes) -> None:
            self.wire.count(to_port=-len(data))
            on_bytes(data)

        line.write, line._on_bytes = written, read  # type: ignore[method-assign]
        recovery = Recovery(
            self.modem,
            self._world(),
            self,
            self,
            self._on_event,
            lambda: loop.now_s - born_s,
            reboots_a_day=4,
        )
        self._tasks = [loop.create_task(self.modem.run()), loop.create_task(recovery.run())]

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._tasks = []

    def _world(self) -> World:
        async def reach() -> bool:
            return self.sim.has_data(self._loop.now_s)

        return World(
            is_connected=lambda: self.sim.has_data(self._loop.now_s) or self._loop.now_s < self._link_until_s,
            reach=reach,
            has_second=True,
            other_ways=str,
            has_media=bool,
            is_plan_spent=bool,
            is_voltage_low=bool,
            may_reboot=lambda: True,
            reboot=self._reboots.set,
        )

    def _on_event(self, kind: str, _words: str, details: "dict[str, Any]") -> None:
        if kind == "modem-reset":
            self.taken[details["step"]].append(self._loop.now_s)

    def _noise(self, heard: bytes) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 2 * len(heard) + 2))

    def most_in_a_day(self, step: Step) -> int:
        """How often it was taken within any 24 hours."""
        times = self.taken[step]
        return max(
            (sum(0 <= each - first < DAY_S for each in times[i : i + 99]) for i, first in enumerate(times)),
            default=0,
        )

    # --- root's steps

    def able(self) -> frozenset[Step]:
        """What `Helpers` says."""
        return frozenset({"reauthorize-usb", "power-cycle"})

    def ask(self, step: Step) -> None:
        """Done by a unit, a moment later."""
        act = self.sim.reauthorize if step == "reauthorize-usb" else self.sim.power_cycle
        self._loop.call_later(0.5, lambda: (act(self._loop.now_s), self.jack.turn()))

    # --- the disk

    def load(self) -> Memory:
        """What the last agent left."""
        return MEMORY.validate_json(self.kept)

    def write(self, memory: Memory) -> None:
        """As a file of it would be."""
        self.kept = MEMORY.dump_json(memory)
