"""What recording costs: CPU time of a minute of pictures, memory, and bytes a day, by mode.

CPU time and not time: other programs on the machine make it no worse than caches do. Pictures come as fast as
the recorder takes them, so the few times a second that it is woken are not in it.
"""

import argparse
import asyncio
import contextlib
import json
import pickle
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from bench.arguments import add_json, folder, one_or_more
from rich.console import Console
from rich.table import Table

from agent.camera.encoder import H264Encoder
from agent.config.settings import RecordSettings
from agent.model.media import EncoderDemand, Unit
from agent.model.threads import call_soon
from agent.record import recorder
from agent.record.card import Place
from agent.record.cleaner import Bounds

BOOT, SECOND_US = "0" * 32, 1_000_000
STREAMS = {"main": (1280, 720, 30, 1_500_000), "preview": (640, 360, 15, 300_000)}
KEYFRAME_S = 4
EVENT_SHARE = 0.05
"""Of a day something happens: as in other systems' figures."""


def coded(width, height, fps, bitrate_bps):
    """A group of pictures of noise that moves, at about this rate."""
    encoder = H264Encoder(width, height, fps, KEYFRAME_S, EncoderDemand(bitrate_bps))
    frame, chance, units = av.VideoFrame(width, height, "yuv420p"), random.Random(1), []
    planes = [bytearray(bytes([128]) * plane.buffer_size) for plane in frame.planes]
    for number in range(3 * KEYFRAME_S * fps):
        row = chance.randrange(height - 40) * frame.planes[0].line_size
        planes[0][row : row + 20 * frame.planes[0].line_size] = chance.randbytes(
            20 * frame.planes[0].line_size
        )
        for plane, data in zip(frame.planes, planes, strict=True):
            plane.update(bytes(data))
        units.append(encoder.encode(frame, number).data)
    return units[-KEYFRAME_S * fps :]


def rss_bytes():
    """Of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


class Camera:
    """Both streams, as fast as they are taken."""

    def __init__(self, groups):
        self.groups, self.readers = groups, {}
        self.now_us = time.monotonic_ns() // 1000
        self._numbers = dict.fromkeys(groups, 0)

    def source(self, name):
        @contextlib.contextmanager
        def reading(reader):
            self.readers[name] = reader
            yield

        return recorder.Source(reading, contextlib.nullcontext, STREAMS[name][3])

    def second(self):
        for name, reader in self.readers.items():
            fps, units = STREAMS[name][2], self.groups[name]
            for picture in range(fps):
                number = self._numbers[name] % len(units)
                self._numbers[name] += 1
                data = bytes(bytearray(units[number]))  # as an encoder, which gives each its own memory
                reader.push(Unit(data, self.now_us + picture * SECOND_US // fps, 0, number == 0))
        self.now_us += SECOND_US


async def measure(mode, seconds, groups, folder):
    """CPU share of a core, bytes of memory more, bytes to the disk a second."""
    camera = Camera(groups)
    recorder.now_us = lambda: camera.now_us
    rss_before = rss_bytes()
    it = recorder.Recorder(
        RecordSettings(mode="off" if mode == "off" else "event" if mode != "continuous" else mode),
        Place(folder, False, Bounds(None, 0, None), BOOT),
        {name: camera.source(name) for name in groups},
        lambda: (0, True),
        lambda *_: None,
        lambda: None,
    )
    loop, running = asyncio.get_running_loop(), asyncio.ensure_future(it.run())
    while mode != "off" and not (camera.readers and it.index and (mode != "continuous" or it._is_base)):
        await asyncio.sleep(0.01)
    if mode == "event":
        it.begin("motion", camera.now_us, "e")
    for warm in (True, False):
        began_s, most = time.process_time(), 0
        bytes_before = it._card.written.size_bytes if it._card else 0
        for _ in range(60 if warm else seconds):
            camera.second()
            if it._card:
                done = asyncio.Event()
                it._card.do(lambda _, done=done: call_soon(loop, done.set))
                await done.wait()
            most = max(most, rss_bytes())
    share = (time.process_time() - began_s) / seconds
    written = it._card.written.size_bytes - bytes_before if it._card else 0
    syncs = it._card.written.syncs if it._card else 0
    running.cancel()
    await asyncio.wait((running,))
    return {
        "cpu_percent": round(share * 100, 3),
        "rss_more_mb": round((most - rss_before) / 1e6, 1),
        "bytes_per_s": written // seconds,
        "syncs": syncs,
    }


def apart(mode, arguments, groups):
    """In a process of its own, whose memory holds nothing else."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        known = Path(folder) / "groups"
        known.write_bytes(pickle.dumps(groups))
        words = [sys.executable, __file__, "--seconds", str(arguments.seconds), "--child", mode, folder]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main(arguments):
    """Each mode in turn."""
    groups = {name: coded(*what) for name, what in STREAMS.items()}
    rates = {name: sum(map(len, group)) * 8 // KEYFRAME_S for name, group in groups.items()}
    result = {"stream_bps": rates, "modes": {}}
    table = Table("mode", "% of a core", "memory, MB more", "GB a day")
    for mode in ("waiting", "event", "continuous"):
        found = apart(mode, arguments, groups)
        found["gb_per_day"] = round(found["bytes_per_s"] * 86_400 / 1e9, 2)
        result["modes"][mode] = found
        table.add_row(mode, str(found["cpu_percent"]), str(found["rss_more_mb"]), str(found["gb_per_day"]))
    by_event = result["modes"]["event"]["gb_per_day"] * EVENT_SHARE
    result["event_5_percent_gb_per_day"] = round(by_event, 2)
    Console().print(table)
    Console().print(f"streams: {rates} b/s; of events 5 % of the day: {by_event:.2f} GB a day")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench recording", description=__doc__)
    parser.add_argument("--seconds", type=one_or_more, default=600, help="of pictures, for each mode")
    parser.add_argument(
        "--folder", type=folder, metavar="FOLDER", help="on which disk; else that of temporary files"
    )
    add_json(parser)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        mode, folder = arguments.child
        groups = pickle.loads((Path(folder) / "groups").read_bytes())  # our own
        print(json.dumps(asyncio.run(measure(mode, arguments.seconds, groups, Path(folder)))))
    else:
        main(arguments)
