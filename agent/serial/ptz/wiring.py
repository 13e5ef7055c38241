"""Builds a head from its settings. No logic of its own."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from agent.config import PtzSettings
from agent.model.event import EventKind
from agent.model.signal import Detail, Result
from agent.serial.port import Line, LineSettings
from agent.serial.ptz import pelco, visca
from agent.serial.ptz.album import Album, Scene
from agent.serial.ptz.bus import Bus
from agent.serial.ptz.desk import Desk
from agent.serial.ptz.driver import Driver
from agent.serial.ptz.head import Head
from agent.serial.ptz.memory import Store
from agent.serial.ptz.motion import Limits
from agent.serial.ptz.orders import Orders, leave_alone
from agent.serial.ptz.pelco_head import PelcoHead
from agent.serial.ptz.runner import Runner, Wire
from agent.serial.ptz.udp import UdpWire
from agent.serial.ptz.visca_head import ViscaHead
from agent.serial.ptz.visca_ip import PORT

BAUD = {"pelco-d": pelco.D_BAUD, "pelco-p": pelco.P_BAUD, "visca": visca.BAUD}
BITS_A_BYTE = 10
"""Start, eight, stop."""


@dataclass(frozen=True, slots=True)
class Ptz:
    """One head, and who may do what with it."""

    runner: Runner
    desk: Desk
    orders: Orders
    album: Album | None


def build(
    settings: PtzSettings,
    store: Store,
    *,
    clock: Callable[[], float],
    tell: Callable[[str, Result], None],
    on_change: Callable[[], None],
    on_event: Callable[[EventKind, str, dict[str, Detail]], None],
    on_place: Callable[[int | None], None] = lambda _: None,
    on_other: Callable[[int], Awaitable[None]] = leave_alone,
    pictures: tuple[Path, Scene] | None = None,
) -> Ptz:
    """From settings that name a port.

    `on_place` is told the preset at which the head has shown to stand, or None: before a motion's first frame
    goes out. `on_other` hears of a preset before it is another place, or none, and may raise CommandError.
    `pictures` says where those of presets are kept, and of what.
    """
    woken = asyncio.Event()
    bus = bus_of(settings)
    album = Album(*pictures, clock, woken.set) if pictures else None

    def place(now_s: float) -> None:
        believed = head.place(now_s)
        is_trusted = settings.trust_presets and not head.driver.answers
        on_place(believed if is_trusted else head.proven_place(now_s))
        if album:  # a small picture of another place does no harm
            album.note(believed)

    async def other(number: int) -> None:
        await on_other(number)
        if album:
            album.drop(number)

    def on_head() -> None:
        woken.set()
        place(clock())

    def tick(now_s: float) -> float:
        place(now_s)
        look_s = album.look(desk.memory.numbers) if album else math.inf
        return min(look_s, desk.tick(now_s))

    head = Head(driver_of(settings, bus.byte_s), bus, limits_of(settings), on_head)
    desk = Desk(
        settings,
        head,
        store,
        clock=clock,
        wake=woken.set,
        tell=tell,
        on_change=on_change,
        on_fault=lambda words: on_event("ptz-fault", words, {}),
        picture_at=album.taken_at if album else lambda _: 0.0,
    )
    runner = Runner(head, partial(make_wire, settings, on_event=on_event), tick, clock, woken)
    return Ptz(runner, desk, Orders(desk, other), album)


def baud_of(settings: PtzSettings) -> int:
    """What is set, or what its protocol is spoken at everywhere."""
    return settings.baud or BAUD[settings.protocol]


def bus_of(settings: PtzSettings) -> Bus:
    """How fast its bytes follow each other."""
    return Bus(0.0 if settings.protocol == "visca-ip" else BITS_A_BYTE / baud_of(settings))


def driver_of(settings: PtzSettings, byte_s: float) -> Driver:
    """Who speaks its protocol."""
    match settings.protocol:
        case "pelco-d":
            return PelcoHead("pelco-d", settings.address, pelco.D_BYTES * byte_s)
        case "pelco-p":
            return PelcoHead("pelco-p", settings.address, pelco.P_BYTES * byte_s)
        case _:
            return ViscaHead(settings.address, settings.units_per_deg)


def limits_of(settings: PtzSettings) -> Limits:
    """How far it may turn."""
    pan, tilt = settings.pan_limits_deg, settings.tilt_limits_deg
    return Limits((pan[0], pan[1]) if pan else None, (tilt[0], tilt[1]) if tilt else None)


def make_wire(
    settings: PtzSettings,
    on_bytes: Callable[[bytes], None],
    on_opened: Callable[[], bytes],
    on_lost: Callable[[str], None],
    on_event: Callable[[EventKind, str, dict[str, Detail]], None] = lambda _, __, ___: None,
) -> Wire:
    """What it hangs on."""
    assert settings.port is not None
    if settings.protocol == "visca-ip":
        parts = urlsplit(settings.port)
        return UdpWire(parts.hostname or "", parts.port or PORT, on_bytes, on_opened, on_lost)
    line = LineSettings("ptz", settings.port, baud_of(settings), rs485=settings.rs485)
    return Line(line, on_bytes, on_opened=on_opened, on_lost=on_lost, on_event=on_event)
