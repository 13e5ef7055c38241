"""Kills a recorder at random moments, and looks at what is left: `killed_recorder.py ROUNDS SEED [cut]`.

A child is forked for each round, so that none costs an import. It tells what it has seen over a pipe, and
waits for its own card, so that no machine is too slow for it. With `cut` the power fails as well: of each
file what was not synced is gone, or zeros, and the index is one of before, or none. Prints what was found.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from parts.recordings import BOOT, FPS, GOP, OFFSET_US, START_US, decoded, group

from agent.config.settings import RecordSettings
from agent.model.media import Unit
from agent.model.threads import call_soon
from agent.record import recorder, writer
from agent.record.card import Place
from agent.record.cleaner import Bounds
from agent.record.index import FILE, Index

PRE_S, QUIET_S, EVENT_S = 2, 5, 7
SECOND_US = 1_000_000
RUN_US = 3600 * SECOND_US
"""Each child's time begins so much later."""
MOST_LINES = 600
"""That a child tells until it is killed: some three events, however slow the machine is."""


class Child:
    """Records, and tells: B and E of an event, P of a picture, S of a file that was synced."""

    def __init__(self, folder, begin_us, pipe):
        self.now_us, self._pipe, self._number, self._readers = begin_us, pipe, 0, []
        recorder.now_us = lambda: self.now_us
        real_sync = os.fdatasync

        def sync(descriptor):
            real_sync(descriptor)
            name = Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(folder)
            self.tell("S", name, os.fstat(descriptor).st_size)

        writer.os = type("os", (), {**vars(os), "fdatasync": staticmethod(sync)})
        self._recorder = recorder.Recorder(
            RecordSettings(mode="event", streams="main", pre_s=PRE_S, post_s=0),
            Place(folder, False, Bounds(None, 0, None), BOOT),
            {"main": recorder.Source(self._reading, contextlib.nullcontext, 1_000_000)},
            lambda: (OFFSET_US, True),
            lambda *_: None,
            lambda: None,
        )

    def tell(self, *words):
        os.write(self._pipe, (" ".join(map(str, words)) + "\n").encode())

    async def run(self):
        running = asyncio.ensure_future(self._recorder.run())
        while not (self._readers and self._recorder.index):
            await asyncio.sleep(0.001)
        while not running.done():
            await self._push(QUIET_S)
            self._recorder.begin("motion", self.now_us, f"event-{self.now_us}")
            self.tell("B", self.now_us)
            await self._written()
            await self._push(EVENT_S)
            self._recorder.end("motion", self.now_us)
            self.tell("E", self.now_us)
        running.result()

    async def _push(self, seconds):
        for number in range(seconds * FPS):
            unit = Unit(group()[self._number % GOP], self.now_us, 0, self._number % GOP == 0)
            self._number += 1
            for reader in self._readers:
                reader.push(unit)
            self.tell("P", self.now_us)
            self.now_us += SECOND_US // FPS
            if number % 3 == 0:
                await self._written()

    async def _written(self):
        """What was handed to the card is on it."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._recorder._card.do(lambda _: call_soon(loop, done.set))
        await done.wait()

    @contextlib.contextmanager
    def _reading(self, reader):
        self._readers.append(reader)
        yield


def told(data, synced):
    """What a child had to tell."""
    events, last_us = [], 0
    for line in data.decode().splitlines():
        match line.split():
            case ["B", at_us]:
                events.append([int(at_us), None])
            case ["E", at_us]:
                events[-1][1] = int(at_us)
            case ["P", at_us]:
                last_us = int(at_us)
            case ["S", name, size]:
                synced[name] = int(size)
    return events, last_us


def cut_power(folder, synced, chance):
    for file in folder.glob("*/*.mp4"):
        name, size_bytes = str(file.relative_to(folder)), file.stat().st_size
        kept = chance.randint(min(synced.get(name, 0), size_bytes), size_bytes)
        if name in synced or chance.random() < 0.5:
            os.truncate(file, kept)
            if chance.random() < 0.5:
                os.truncate(file, size_bytes)  # its length was kept, and zeros for its data
    if chance.random() < 0.2:
        for file in folder.glob(f"{FILE}*"):
            file.unlink()
    elif chance.random() < 0.5 and (log := folder / f"{FILE}-wal").exists():
        os.truncate(log, chance.randint(0, log.stat().st_size))


def look(folder, events, last_us, found):
    """What the next start makes of it."""
    index = Index(folder)
    torn = len(list(folder.glob("*/*.mp4")))
    began_s = time.process_time()
    mended = index.reconcile()
    found["repair_ms"] = max(found["repair_ms"], (time.process_time() - began_s) * 1000 / max(1, mended))
    found["mended"] += mended
    found["files"] += torn
    spans = [(start - OFFSET_US, end - OFFSET_US) for start, end in index.spans("main", 0, 1 << 60)]
    for begin_us, end_us in events:
        until_us = min(end_us or last_us, last_us)
        if until_us - begin_us <= SECOND_US:
            continue
        found["events"] += 1
        covering = [end for start, end in spans if start <= begin_us - PRE_S * SECOND_US <= end]
        lost_us = until_us - max(covering, default=begin_us - PRE_S * SECOND_US)
        found["lost_s"] = max(found["lost_s"], lost_us / SECOND_US)
        if lost_us > SECOND_US:
            found["faults"].append(f"event at {begin_us}: {lost_us} µs lost, of {spans}")
    rows = index.segments("main", 0, 1 << 60)
    files = {str(file.relative_to(folder)): file.stat().st_size for file in folder.glob("*/*.mp4")}
    if {row.name: row.size_bytes for row in rows} != files:
        found["faults"].append(f"the index is not what there is: {rows} {files}")
    index.close()
    for row in rows:
        file = folder / row.name
        if file.stat().st_mtime_ns > found["seen_ns"].get(row.name, 0):
            found["seen_ns"][row.name] = file.stat().st_mtime_ns
            if not decoded(file):
                found["faults"].append(f"{row.name} shows nothing")
            found["decoded"] += 1
    if files and shutil.which("ffprobe"):
        last = folder / max(files)
        said = subprocess.run(["ffprobe", "-v", "warning", last], capture_output=True, check=False)
        found["probed"] += 1
        if said.returncode or said.stderr:
            found["faults"].append(f"ffprobe: {said.stderr.decode()[:500]}")


def main(rounds, seed, *, is_cut):
    chance = random.Random(seed)
    group()
    found = Counter(lost_s=0.0, repair_ms=0.0)
    found["faults"], found["seen_ns"] = [], {}
    folder, synced = Path(tempfile.mkdtemp(prefix="killed-recorder-")), {}
    try:
        for number in range(rounds):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.close(reading)
                try:
                    asyncio.run(Child(folder, START_US + number * RUN_US, writing).run())
                finally:
                    os._exit(1)
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                lines = [pipe.readline() for _ in range(chance.randint(1, MOST_LINES))]
                assert all(lines), "the child has ended by itself"
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                events, last_us = told(b"".join(lines) + pipe.read(), synced)
            if is_cut:
                cut_power(folder, synced, chance)
            look(folder, events, last_us, found)
            synced.update(
                (str(file.relative_to(folder)), file.stat().st_size) for file in folder.glob("*/*.mp4")
            )
            if number % 10 == 9:
                shutil.rmtree(folder)
                found["seen_ns"].clear()
                synced.clear()
            if found["faults"]:
                break
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found["rounds"] = number + 1
    del found["seen_ns"]
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), is_cut=sys.argv[3:] == ["cut"])
