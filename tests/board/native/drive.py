"""Runs in the board: the agent's own camera class on the real picamera2. Prints what it saw as JSON."""

import asyncio
import faulthandler
import json
import os
import sys
import time
from pathlib import Path

import av

from agent.camera.capture import Capture
from agent.camera.masking import CLEAR, Cover, Masking
from agent.camera.picamera import PiCamera
from agent.camera.select import open_camera
from agent.config import CameraSettings
from agent.errors import CameraError
from agent.model.media import EncoderDemand, Need

LIMIT_S = 60
MODEL = "Raspberry Pi 5 Model B Rev 1.0"
BARS = 8
"""White, yellow, cyan, green, magenta, red, blue and black, each an eighth of the width."""


def settings(**more):
    return CameraSettings.model_validate(
        {"source": "picamera", "width_px": 640, "height_px": 360, "fps": 30, "linger_s": 0}
        | {"preview": {"enabled": True, "width_px": 320, "fps": 10}}
        | more
    )


def picture(units):
    """Of the last one: Y, U and V in the middle of each bar."""
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    frame = (frames + decoder.decode(None))[-1]
    width, height = frame.width, frame.height

    def sample(plane, x, y):
        return bytes(frame.planes[plane])[y * frame.planes[plane].line_size + x]

    middles = [width * (2 * bar + 1) // (2 * BARS) for bar in range(BARS)]
    y = height // 2
    return [[sample(0, x, y), sample(1, x // 2, y // 2), sample(2, x // 2, y // 2)] for x in middles]


def run_camera(**more):
    """Started, steered, and stopped; what came meanwhile."""
    units = {"main": [], "preview": []}
    failures = []
    camera = PiCamera(settings(**more), 0, MODEL)
    demands = {"main": EncoderDemand(2_000_000), "preview": EncoderDemand(400_000)}
    began_s = time.monotonic()
    formats = camera.start(demands, lambda stream, unit: units[stream].append(unit), failures.append)
    config = camera._picam.camera_configuration()
    time.sleep(1.5)
    before = {stream: len(got) for stream, got in units.items()}
    for stream in units:
        camera.apply(stream, EncoderDemand(demands[stream].bitrate_bps, keyframe=True))
    time.sleep(0.7)
    forced = {
        stream: sum(unit.is_keyframe for unit in got[before[stream] :]) for stream, got in units.items()
    }
    last_age_s = time.monotonic() - units["main"][-1].capture_us / 1e6
    camera.stop()
    return {
        "formats": {name: [of.width_px, of.height_px, of.fps] for name, of in formats.items()},
        "agreed": {name: [config[name]["format"], config[name]["stride"]] for name in ("main", "lores")},
        "units": before,
        "first_is_keyframe": {stream: got[0].is_keyframe for stream, got in units.items()},
        "forced": forced,
        "age_s": last_age_s,
        "picture": {stream: picture(got) for stream, got in units.items()},
        "failures": [str(error) for error in failures],
        "took_s": time.monotonic() - began_s,
    }


def masked(**more):
    """The left half covered, then nothing, then both halves: what main and preview showed of the bars."""
    left = Cover((((0, 0), (0.5, 0), (0.5, 1), (0, 1)),))
    whole = Cover((((0, 0), (1, 0), (1, 1), (0, 1)),))
    units, failures, shown = {"main": [], "preview": []}, [], []
    masking = Masking(left)
    camera = PiCamera(settings(**more), 0, MODEL, masking)
    demands = {"main": EncoderDemand(2_000_000), "preview": EncoderDemand(400_000)}
    camera.start(demands, lambda stream, unit: units[stream].append(unit), failures.append)
    for cover in (left, CLEAR, whole):
        masking.show(cover)
        for stream, demand in demands.items():
            camera.apply(stream, EncoderDemand(demand.bitrate_bps, keyframe=True))
        time.sleep(1)
        shown.append({stream: picture(got) for stream, got in units.items()})
    camera.stop()
    return {"shown": shown, "failures": [str(error) for error in failures]}


def rate(**more):
    """Pictures in a second and a half at the whole and at half the rate; bits a second of two bitrates."""
    sizes = []
    camera = PiCamera(settings(preview={"enabled": False}, **more), 0, MODEL)

    def counted(demand):
        camera.apply("main", demand)
        time.sleep(0.3)
        before = len(sizes)
        time.sleep(1.5)
        return len(sizes) - before, sum(sizes[before:]) * 8 / 1.5

    demand = EncoderDemand(2_000_000)
    camera.start(
        {"main": demand, "preview": demand}, lambda _, unit: sizes.append(len(unit.data)), lambda _: None
    )
    whole, high_bps = counted(demand)
    half, _ = counted(EncoderDemand(2_000_000, fps_share=0.5))
    _, low_bps = counted(EncoderDemand(60_000))
    camera.stop()
    return {"whole": whole, "half": half, "high_bps": high_bps, "low_bps": low_bps}


def rests(**more):
    """Looked at for motion alone, then watched, then looked at again: the rate of each, and what it costs."""
    samples, units, failures = [], [], []
    masking = Masking()
    masking.luma.want(samples.append)
    camera = PiCamera(settings(preview={"enabled": False}, **more), 0, MODEL, masking)
    demand = EncoderDemand(2_000_000, is_active=False)
    taken, seconds = [0], 1.5

    def counted():
        began_s, before, looked = time.process_time(), taken[0], len(samples)
        time.sleep(seconds)
        cpu = (time.process_time() - began_s) / seconds
        return {"fps": (taken[0] - before) / seconds, "looks": len(samples) - looked, "cpu": cpu}

    def on_unit(_stream, unit):
        units.append((time.monotonic(), unit.is_keyframe))

    camera.start({"main": demand, "preview": demand}, on_unit, failures.append)
    mask = camera._picam.pre_callback

    def pre_callback(request):
        taken[0] += 1
        mask(request)

    camera._picam.pre_callback = pre_callback
    time.sleep(0.5)
    rest = counted()
    wanted_s = time.monotonic()
    camera.apply("main", EncoderDemand(2_000_000, keyframe=True))
    time.sleep(1.5)
    full = counted()
    first_s = units[0][0] - wanted_s
    camera.apply("main", demand)
    time.sleep(1)
    again = counted()
    camera.stop()
    return {
        "rest": rest, "full": full, "again": again, "first_s": first_s,
        "first_is_keyframe": units[0][1], "failures": [str(error) for error in failures],
    }  # fmt: skip


async def stall(file: Path):
    """Its states while it stalls and comes back, watched all the time."""
    states = []
    wanted = settings()
    capture = Capture(
        lambda: open_camera(wanted), wanted, lambda *_: None,
        lambda state, problem: states.append([state, problem]), lambda *_: None,
    )  # fmt: skip
    task = asyncio.create_task(capture.run())

    async def until(state):
        async with asyncio.timeout(40):
            while capture.state != state:
                await asyncio.sleep(0.02)

    with capture.watching("main"):
        await until("live")
        capture.request_keyframe("main", Need.START)
        async with asyncio.timeout(10):
            while not capture.forced_keyframes:
                await asyncio.sleep(0.02)
        file.touch()  # noqa: ASYNC240  # nobody else waits here
        await until("failed")
        file.unlink()  # noqa: ASYNC240
        await until("live")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {"states": states, "forced": capture.forced_keyframes}


def main():
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    what, *words = sys.argv[1:]
    try:
        if what == "stall":
            seen = asyncio.run(stall(Path(os.environ["PINHOLE_STALL"])))
        else:
            seen = {"camera": run_camera, "masked": masked, "rate": rate, "rests": rests}[what](
                **json.loads(*words)
            )
    except CameraError as exc:
        seen = {"error": str(exc)}
    print("SEEN " + json.dumps(seen))
    sys.stdout.flush()
    os._exit(0)  # a camera that hangs must not keep us


main()
