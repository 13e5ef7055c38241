"""Builds what notices motion, where the settings ask for it, and wires it. No logic of its own."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from agent.camera.capture import Capture
from agent.camera.luma import LumaTap
from agent.config import Settings
from agent.config.settings import MotionSettings
from agent.device.commands import Handler
from agent.device.journal import Journal
from agent.device.late import Work
from agent.device.ledger import Ledger
from agent.model.clock import now_us
from agent.model.command import CommandError, Order
from agent.model.labels import Area, Crop, Sightings
from agent.model.motion import Tuning
from agent.model.part import Part
from agent.model.sections import ReadSection
from agent.model.threads import call_soon, in_background

COMMANDS = "motion", "set-motion", "motion-now"
MakeHandlers = Callable[[Callable[[Work], Handler]], dict[str, Handler]]
"""Given what makes a handler of work that is answered when it is done."""


class Attention:
    """Motion, or nothing at all."""

    def __init__(
        self,
        settings: Settings,
        capture: Capture,
        tap: LumaTap,
        journal: Journal,
        is_turning: Callable[[], bool],
        on_begun: Callable[[str, int], None],
        on_seen: Callable[[str], None],
        on_ended: Callable[[str, int], None],
        on_change: Callable[[], None],
    ) -> None:
        """For who keeps pictures of it: `on_begun(event, at_us)` and `on_ended`, by the camera's clock.

        `on_seen(event)` is for who takes one of what is seen now.
        """
        self.sections: dict[str, ReadSection] = {}
        self.handlers: MakeHandlers = lambda _: dict.fromkeys(COMMANDS, _not_enabled)
        """What each command of the table does here."""
        self._parts: list[Part] = []
        if not settings.motion.enabled:
            return
        from agent.motion.asking import Asking  # noqa: PLC0415
        from agent.motion.events import Events  # noqa: PLC0415
        from agent.motion.watch import MotionWatch, World  # noqa: PLC0415

        events = Events(journal.note, on_begun, on_seen, on_ended)
        asked, load = settings.motion, _network_of(settings.motion)
        want = partial(_want_crop, tap)

        def on_sightings(sightings: Sightings) -> None:
            watch.on_sightings(sightings)

        asking = Asking(load, want, on_sightings) if load else None
        world = World(
            look=partial(capture.looking, tap),
            clock=time.time,
            monotonic_us=now_us,
            is_turning=is_turning,
            on_begun=events.begin,
            on_seen=events.see,
            on_ended=events.end,
            on_motion=asking.on_motion if asking else lambda *_: None,
            on_change=on_change,
        )
        watch = MotionWatch(
            Tuning(asked.sensitivity, asked.min_size_percent),
            Ledger(settings.device.state_dir / "motion.json", TypeAdapter(Tuning), in_background),
            asked.quiet_s,
            asked.merge_gap_s,
            world,
        )
        self.sections["motion"] = watch.section
        self.handlers = lambda late: {
            "motion": lambda _, __: watch.tuning,
            "set-motion": late(lambda _, wish: watch.tune(wish)),
            "motion-now": lambda _, __: watch.now(),
        }
        self._parts.append(Part("motion", watch.run, on_change))
        if asking:
            self._parts.append(Part("labels", asking.run, on_change))

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside the camera, each until cancelled, and by name."""
        for part in self._parts:
            yield part.name, part.run()


def _network_of(asked: MotionSettings) -> Callable[[], Any] | None:
    """What loads a network for the CPU; one for the sensor is the camera's."""
    if asked.network is None or asked.network.suffix != ".tflite":
        return None
    from agent.motion.litert import LiteRt  # noqa: PLC0415

    assert asked.classes is not None, "the settings were checked"
    return partial(LiteRt, asked.network, asked.classes, asked.min_score)


def _want_crop(tap: LumaTap, area: Area, size: tuple[int, int], on_crop: Callable[[Crop], None]) -> None:
    tap.want_crop(area, size, partial(call_soon, asyncio.get_running_loop(), on_crop))


def _not_enabled(_order: Order, _arguments: object) -> object:
    raise CommandError(
        "not-enabled",
        "this camera does not look for motion: set motion.enabled=true, here or in its settings",
    )
