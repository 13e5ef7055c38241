"""Pinhole, whose test picture is a yard through which people walk, and which says when what happens.

The device says when the first picture of a walk is taken, when that is found, and when it goes to the broker;
the portal when it arrives, is in the store, and is taken to be told. Arguments are Pinhole's own.
"""

import time

import av
import numpy as np
from parts import clips

from agent.camera import synthetic
from agent.camera.color import LIMITED, MATRIX
from agent.cli import main
from agent.device.journal import Journal
from agent.portal.event_intake import EventIntake
from agent.portal.notify.notifier import Notifier
from agent.signaling.service import SignalingService

CALM_S, EACH_S = 20.0, 28.0
"""How long a yard is empty at first, and is shown. Each walk has another one: where somebody has just walked
by, it takes more to be seen."""
CONTRASTS = (12, 25, 50)
SIDE_PX = 5
"""Of what the scene draws as one."""


def mark(what, at=None):
    """A line of the log."""
    print(f"mark {what} {time.time() if at is None else at:.4f}", flush=True)


class Yard:
    """See `agent.camera.picture.TestPicture`."""

    def __init__(self, _width_px, _height_px, _fps):
        self._scene, self._began_us, self._count = clips.Scene(0), 0, 0
        self._chance, self._walk = np.random.default_rng(5), None

    def draw(self, capture_us, unix_ms):
        """The picture of this moment."""
        self._began_us = self._began_us or capture_us
        at_s = (capture_us - self._began_us) / 1e6
        if at_s >= EACH_S * self._count + CALM_S:
            contrast = CONTRASTS[self._count % len(CONTRASTS)]
            self._count += 1
            self._walk = clips.random_walk(self._chance, contrast, at_s)
            self._scene.add(self._walk)
            mark("walk", unix_ms / 1000)
        elif self._walk and at_s >= EACH_S * self._count:
            self._scene, self._walk = clips.Scene(self._count), None
        luma = 16 + self._scene.picture(at_s) * 219 / 255
        large = np.kron(np.clip(luma, 16, 235).astype(np.uint8), np.ones((SIDE_PX, SIDE_PX), np.uint8))
        rows, columns = large.shape
        planes = np.vstack([large, np.full((rows // 2, columns), 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.color_range, frame.colorspace = LIMITED, MATRIX
        return frame


def marking(what, method, kinds_of):
    """The method, which says so where it is about motion."""

    def wrapped(self, *arguments, **named):
        if "motion" in kinds_of(*arguments):
            mark(what)
        return method(self, *arguments, **named)

    return wrapped


def kinds(events):
    return [event.kind for event in events]


synthetic.TestPicture = Yard  # type: ignore[misc]
Journal.note = marking("found", Journal.note, lambda kind, *_: [kind])  # type: ignore[method-assign]
SignalingService.tell_events = marking(  # type: ignore[method-assign]
    "told", SignalingService.tell_events, lambda events, _: kinds(events)
)
EventIntake.on_events = marking(  # type: ignore[method-assign]
    "arrived", EventIntake.on_events, lambda _, message: kinds(message.events)
)
EventIntake._after = marking(  # type: ignore[method-assign]
    "written", EventIntake._after, lambda told: kinds(told.events)
)
Notifier._tell = marking(  # type: ignore[method-assign]
    "taken", Notifier._tell, lambda taken: kinds(taken.items)
)

if __name__ == "__main__":
    main()
