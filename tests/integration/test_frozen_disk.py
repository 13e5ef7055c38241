"""A recordings' disk that stands still while somebody watches: nobody notices, and the agent can be ended.

The disk is an ext4 of its own, frozen by the kernel: whoever writes to it waits, and cannot even be killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from parts.mosquitto import mosquitto
from parts.need import need
from parts.recordings import decoded
from parts.stack import ROOT, running_stack

PATIENCE_S = 120.0
DISK_BYTES = 64 << 20
CAMERA = """source = "synthetic"
width_px = 320
height_px = 240
fps = 10
[record]
mode = "continuous"
streams = "main"
folder = "{folder}"
own_partition = true
min_free_mb = 1
keyframe_s = 1
"""


@pytest.fixture
def disk(tmp_path):
    """A file system on a loop device."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    folder.mkdir()
    make = ["mkfs.ext4", "-q", "-m", "0", image], ["mount", "-o", "loop", image, folder]
    need(
        os.geteuid() == 0 and not any(subprocess.call(command) for command in make),
        "needs to mount a file system of its own: run as root, after sudo apt-get install e2fsprogs",
    )
    yield folder
    subprocess.run(["umount", folder], check=True)


@contextmanager
def frozen(disk):
    """For the length of the block, whoever writes there waits."""
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)


@contextmanager
def recording(disk):
    """An agent that records there, once it does."""
    camera = CAMERA.format(folder=disk)
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"', camera=camera) as stack:
        until(lambda: recorded_s(stack) > 2)
        yield stack


def until(seen):
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return found


def do(stack, *words):
    """What a command is answered."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "do", "cam", *words, "--json", "--portal", stack.url, *stack.sign_in],
        cwd=ROOT, env=stack.env, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    return json.loads(done.stdout or "{}")


def start_export(stack, film):
    """Of the last minute, left to run."""
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "export", "cam", "1m", "now", film,
         "--portal", stack.url, *stack.sign_in],
        cwd=ROOT, env=stack.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def recorded_s(stack):
    said = do(stack, "recordings")
    return sum(span["end"] - span["start"] for span in said["value"]["spans"]) if said.get("ok") else 0.0


def is_stuck(process):
    """Whether one of its threads can not even be killed now."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(OSError):  # a thread may end while we look
            if (task / "stat").read_text().rpartition(")")[2].split()[0] == "D":
                return True
    return False


@pytest.mark.timeout(600)
def test_whoever_watches_and_asks_is_served_while_the_disk_stands_still(disk):
    with recording(disk) as stack:
        viewer = stack.start_watch("--seconds", "30")
        with frozen(disk):
            until(lambda: "its disk has not answered" in stack.log("agent"))
            now_s = time.time()
            span = f"from_at={now_s - 60}", f"until_at={now_s}"
            assert recorded_s(stack) > 2, "what there is is known"
            assert do(stack, "lock", *span)["ok"] is False
            assert do(stack, "snapshot", "size=small")["ok"] is True
            export = start_export(stack, disk.parent / "a.mp4")
            for _ in range(2):
                code, seen, said = stack.watch("--seconds", "2")
                assert (code, seen["errors"]) == (0, []), said
            assert export.poll() is None, "it waits for the disk"
        code, seen, said = stack.end_watch(viewer)
        assert (code, seen["errors"]) == (0, []), said
        until(lambda: recorded_s(stack) > time.time() - now_s)
        assert len(do(stack, "recordings")["value"]["spans"]) == 1, "what was seen meanwhile is there too"
        export.communicate(timeout=PATIENCE_S)  # who asked may have given up by then
        export = start_export(stack, disk.parent / "b.mp4")
        _, said = export.communicate(timeout=PATIENCE_S)
        assert export.returncode == 0, said
        assert decoded(disk.parent / "b.mp4") > 0


@pytest.mark.timeout(600)
def test_the_agent_says_goodbye_while_the_disk_stands_still(disk):
    with recording(disk) as stack:
        with frozen(disk):
            until(lambda: is_stuck(stack.agent))
            stack.agent.send_signal(signal.SIGTERM)
            until(lambda: "the recordings' disk hangs" in stack.log("agent"))
            until(lambda: "cam is offline" in stack.watch("--seconds", "0.1")[2])
        assert stack.agent.wait(PATIENCE_S) == 0, "nothing but the disk has kept it"
        before = {file: file.stat().st_size for file in disk.glob("*/*.mp4")}
        stack.start_agent()
        until(lambda: recorded_s(stack) > 2)
        assert all(decoded(file) for file in before if file.exists())
