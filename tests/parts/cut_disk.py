"""A recorder on a disk whose power fails at random moments: `cut_disk.py ROUNDS SEED`, as root.

It records onto ext4, on a loop device whose writes and flushes are noted. A cut is any number of those: what
was flushed before it is there, and of the rest any part. Each is mounted, and looked at as the next start
does. Mounts are in a namespace of our own, so that nothing is left. Prints what was found.
"""

import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from parts.killed_recorder import RUN_US, Child, look, told
from parts.recordings import START_US, group
from parts.write_log import WriteLog

DISK_BYTES = 48 << 20
STARTS, LINES = 4, 700
"""Starts of the recorder, and what it tells in each: three events and a bit."""
OPTIONS = "loop,noatime,commit=1"
"""The shortest commits: so much is written that nobody asked for."""


class Teller:
    """What one start of a recorder tells over a pipe, with how much the disk had noted before each line."""

    def __init__(self, pipe, log):
        self.lines = []
        self._pipe, self._log, self._begun = pipe, log, b""
        self._lock = threading.Lock()

    def drain(self):
        """Take what has been told; never waits."""
        with self._lock:
            while select.select([self._pipe], [], [], 0)[0] and (data := os.read(self._pipe, 1 << 16)):
                *whole, self._begun = (self._begun + data).split(b"\n")
                self.lines += [(len(self._log.writes), line) for line in whole]

    def told(self, count):
        """What had been told when the disk had noted so much, and the time of the last picture."""
        events, last_us = told(b"\n".join(line for noted, line in self.lines if noted <= count), {})
        return [[begin_us, end_us or last_us] for begin_us, end_us in events], last_us


def record(folder, number, log):
    """One start of the recorder, which is killed once it has told so much; what it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            asyncio.run(Child(folder, START_US + number * RUN_US, writing).run())
        finally:
            os._exit(1)
    os.close(writing)
    teller = Teller(reading, log)
    log.before_each = teller.drain
    while len(teller.lines) < LINES:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child has ended by itself"
        teller.drain()
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    log.before_each = lambda: None
    teller.drain()
    os.close(reading)
    return teller


@contextmanager
def mounted(image, at):
    subprocess.run(["mount", "-o", OPTIONS, image, at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def cut(folder, rounds, seed):
    """Record in this folder, cut so often, and look; what was found."""
    chance = random.Random(seed)
    image, disk, at = folder / "image", folder / "disk", folder / "at"
    image.write_bytes(bytes(DISK_BYTES))
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    disk.touch()
    at.mkdir()
    log = WriteLog(image)
    with log.served(disk), mounted(disk, at):
        begun = len(log.writes)
        starts = [record(at / "recordings", number, log) for number in range(STARTS)]
    found = Counter(lost_s=0.0, repair_ms=0.0, noted=len(log.writes), flushes=log.writes.count(None))
    found["faults"] = []
    for _ in range(rounds):
        found["rounds"] += 1
        count = chance.randint(begun, len(log.writes))
        image.write_bytes(log.after_cut(count, chance))
        found["seen_ns"] = {}
        with mounted(image, at):
            (at / "recordings").mkdir(exist_ok=True)
            events, last_us = zip(*(start.told(count) for start in starts), strict=True)
            look(at / "recordings", [event for those in events for event in those], max(last_us), found)
        if found["faults"]:
            found["faults"].append(f"after {count} of {len(log.writes)}")
            break
    del found["seen_ns"]
    return found


def main(rounds, seed):
    group()
    with tempfile.TemporaryDirectory(prefix="cut-disk-") as name:
        # In memory: no cut shall wait for the disk of this machine.
        subprocess.run(["mount", "-t", "tmpfs", "pinhole-test", name], check=True)
        try:
            print(json.dumps(cut(Path(name), rounds, seed)))
        finally:
            subprocess.run(["umount", name], check=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
