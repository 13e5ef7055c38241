"""What each `ptz-` command of the table does with a head."""

from collections.abc import Awaitable, Callable
from typing import Any

from agent.model.command import (
    CommandError,
    Order,
    PtzAim,
    PtzCalibrate,
    PtzKeep,
    PtzNumber,
    PtzTour,
)
from agent.serial.ptz import visca
from agent.serial.ptz.aim import PULSE_SPEED, Calibration, Point, filling, point_at, zoom_share
from agent.serial.ptz.desk import Desk
from agent.serial.ptz.holder import Person
from agent.serial.ptz.memory import Preset
from agent.serial.ptz.motion import (
    ForgetPreset,
    GoPreset,
    GoTo,
    KeepPreset,
    Pulse,
    Velocity,
    ZoomTo,
)
from agent.serial.ptz.motion import Order as HeadOrder


async def leave_alone(_preset: int) -> None:
    """Nobody relies on presets."""


class Orders:
    """Handlers of the table of commands; they raise CommandError."""

    def __init__(self, desk: Desk, on_other: Callable[[int], Awaitable[None]] = leave_alone) -> None:
        """`on_other` hears of a preset that is another place from now on, or none.

        It may raise CommandError, and nothing is changed then.
        """
        self._desk, self._on_other = desk, on_other

    def handlers(self) -> dict[str, Callable[[Order, Any], None]]:
        """By name."""
        return {
            "ptz-stop": self._stop,
            "ptz-take": self._take,
            "ptz-home": self._home,
            "ptz-go": self._go,
            "ptz-tour": self._tour,
            "ptz-move": self._move,
            "ptz-calibrate": self._calibrate,
        }

    def works(self) -> dict[str, Callable[[Order, Any], Awaitable[None]]]:
        """By name as well: they wait for who relies on a preset, and for his disk."""
        return {"ptz-keep": self._keep, "ptz-forget": self._forget}

    def _stop(self, _: Order, __: object) -> None:
        """Whoever holds it: to stop is never wrong."""
        self._desk.stop(self._desk.clock())

    def _take(self, order: Order, _: object) -> None:
        self._desk.take(_person(order), self._desk.clock())

    def _home(self, order: Order, _: object) -> None:
        home = self._desk.home
        if home is None:
            raise CommandError("no-home", "set ptz.home_preset: this protocol has no home of its own")
        self._do(order, home)

    def _go(self, order: Order, wish: PtzNumber) -> None:
        self._check(wish.number)
        self._do(order, GoPreset(wish.number))

    async def _keep(self, order: Order, wish: PtzKeep) -> None:
        self._check(wish.number)
        preset = Preset(wish.number, wish.name)
        self._desk.memory.keep(preset)  # where there is no room nothing is changed
        await self._change(order, KeepPreset(wish.number))
        self._desk.remember(self._desk.memory.keep(preset))

    async def _forget(self, order: Order, wish: PtzNumber) -> None:
        await self._change(order, ForgetPreset(wish.number))
        self._desk.remember(self._desk.memory.forget(wish.number))

    def _tour(self, order: Order, wish: PtzTour) -> None:
        self._check(*wish.presets)
        now_s = self._desk.clock()
        stops = wish.presets or self._desk.memory.numbers
        if wish.seconds and not stops:
            raise CommandError("unknown-preset", "no preset has been kept: keep some first")
        self._desk.claim(_person(order), now_s)
        if wish.seconds:
            self._desk.routine.tour(stops, wish.seconds, now_s)

    def _move(self, order: Order, wish: PtzAim) -> None:
        desk, now_s = self._desk, self._desk.clock()
        orders = self._aim(wish)
        self._do(order, *orders)
        desk.note_move(_person(order), now_s)

    def _aim(self, wish: PtzAim) -> tuple[HeadOrder, ...]:
        desk = self._desk
        driver, settings = desk.head.driver, desk.settings
        if driver.position is None:
            return (*self._pulse("pan", wish.x), *self._pulse("tilt", wish.y))
        position = point_at(driver.position, wish.x, wish.y, settings.fov_deg, desk.magnified)
        turn = GoTo(desk.head.limits.clamp(position))
        if wish.width >= 1 or settings.zoom_max is None or driver.zoom_share is None:
            return (turn,)
        wanted = filling(wish.x, wish.y, wish.width, settings.fov_deg, desk.magnified)
        return (turn, ZoomTo(zoom_share(wanted, settings.zoom_max)))

    def _pulse(self, axis: str, moved: float) -> tuple[Pulse, ...]:
        seconds = self._calibration(axis).pulse_s(moved)
        if seconds is None:
            words = "this head tells no position: calibrate it by two pulses first (ptz-calibrate)"
            raise CommandError("not-calibrated", words)
        speed = PULSE_SPEED if moved > 0 else -PULSE_SPEED
        return (Pulse(_along(axis, speed), seconds),) if moved else ()

    def _calibrate(self, order: Order, wish: PtzCalibrate) -> None:
        if not wish.moved:
            self._do(order, Pulse(_along(wish.axis, PULSE_SPEED), wish.seconds))
            return
        memory = self._desk.memory
        learned = self._calibration(wish.axis).learn(Point(wish.seconds, wish.moved))
        pan, tilt = (learned, memory.tilt) if wish.axis == "pan" else (memory.pan, learned)
        self._desk.remember(type(memory)(memory.presets, pan, tilt))

    def _calibration(self, axis: str) -> Calibration:
        return self._desk.memory.pan if axis == "pan" else self._desk.memory.tilt

    def _check(self, *numbers: int) -> None:
        if self._desk.settings.protocol.startswith("visca") and max(numbers, default=0) > visca.MAX_PRESET:
            raise CommandError("unknown-preset", f"VISCA's presets are 1 to {visca.MAX_PRESET}")

    async def _change(self, order: Order, change: KeepPreset | ForgetPreset) -> None:
        """Who relies on the preset hears of it first, and may refuse."""
        self._desk.claim(_person(order), self._desk.clock())
        await self._on_other(change.number)
        self._do(order, change)  # unless somebody else took the head meanwhile

    def _do(self, order: Order, *orders: HeadOrder) -> None:
        now_s = self._desk.clock()
        self._desk.claim(_person(order), now_s)
        self._desk.head.order(*orders, now_s=now_s)


def _person(order: Order) -> Person:
    return Person(order.user, order.session)


def _along(axis: str, speed: float) -> Velocity:
    return Velocity(pan=speed) if axis == "pan" else Velocity(tilt=speed)
