"""Our agent with the bench's footage as its camera: `footage_device.py [--no-parity] FOOTAGE TARGETS FILE`.

At each change of the bitrate that the main stream is asked for, and each second, the file TARGETS gets a line
of JSON: [Unix ms, bits/s, pictures that the camera has made].
"""

import json
import sys
import threading
import time
from pathlib import Path

from bench.scene import FPS, HEIGHT_PX, WIDTH_PX, Scene, tick_of, video_frame

import agent.app
from agent import cli
from agent.camera.duo import Duo
from agent.camera.masking import Masking
from agent.camera.worker import Worker
from agent.control.lane import LaneControl


class FootageCamera:
    """As `ReplayCamera`, with a stamp in each picture."""

    kind = "replay"
    has_stamp = False  # the dashboard need not read it too
    damaged = 0

    def __init__(self, footage, targets, settings):
        self._scene, self._targets, self._settings = Scene(footage), targets, settings
        self._worker = self._duo = None
        self._bps = self._pictures = 0

    def start(self, demands, on_unit, on_failure):
        duo = Duo(self._settings, WIDTH_PX, HEIGHT_PX, FPS, demands, Masking())

        def body(stopping: threading.Event):
            tick = tick_of(time.time() * 1000) + 1
            while not stopping.wait(max(0, tick / FPS - time.time())):
                frame = video_frame(self._scene.picture(tick), WIDTH_PX, HEIGHT_PX, "yuv420p")
                for stream, unit in duo.encode(frame, time.monotonic_ns() // 1000):
                    on_unit(stream, unit)
                self._pictures += 1
                if self._pictures % FPS == 0:
                    self._note()
                tick = max(tick + 1, tick_of(time.time() * 1000))

        self._duo = duo
        self._worker = Worker("camera-footage", body, on_failure)
        self._worker.start()
        return duo.formats

    def apply(self, stream, demand):
        if self._duo:
            self._duo.apply(stream, demand)
            if stream == "main":
                self._bps = demand.bitrate_bps
                self._note()

    def _note(self):
        with self._targets.open("a") as file:
            file.write(json.dumps([time.time() * 1000, self._bps, self._pictures]) + "\n")

    def stop(self):
        worker, self._worker, self._duo = self._worker, None, None
        if worker:
            worker.stop()


def opener(footage, targets):
    """In the place of `agent.camera.select.open_camera`; the settings alone matter here."""
    return lambda settings, *_: FootageCamera(footage, targets, settings)


if __name__ == "__main__":
    *flags, footage, targets, settings_file = map(Path, sys.argv[1:])
    if flags:
        LaneControl.offer_parity = lambda _: None
    agent.app.open_camera = opener(footage, targets)
    sys.argv = ["pinhole", "run", "--config", str(settings_file)]
    cli.main()
