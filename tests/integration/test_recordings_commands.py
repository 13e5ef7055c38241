"""A real agent that records: by hand, listed and locked from a terminal, and after a kill."""

import json
import subprocess
import sys
import time

import pytest
from parts.mosquitto import mosquitto
from parts.recordings import decoded
from parts.stack import ROOT, running_stack

PATIENCE_S = 90.0
CAMERA = """source = "synthetic"
width_px = 320
height_px = 240
fps = 10
[record]
mode = "event"
pre_s = 2
post_s = 1
min_free_mb = 10
keyframe_s = 1
"""


def until(seen):
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    return found


@pytest.fixture
def stack():
    with (
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', camera=CAMERA) as running,
    ):
        yield running


def ask(stack, *words):
    """Its answer, or what is wrong; empty where none came."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "do", "cam", *words, "--json", "--portal", stack.url, *stack.sign_in],
        cwd=ROOT, env=stack.env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout or "{}")


def do(stack, *words):
    """What it answered, empty where it did not do it."""
    said = ask(stack, *words)
    return (said.get("ok") and said.get("value")) or {}


def has_ended_for_good(stack, s):
    """The last stretch, when nothing was added to it for so long that no later one is joined to it."""
    spans = listed(stack).get("spans")
    return spans and time.time() > spans[-1]["end"] + s and spans[-1]


def listed(stack, stream="main"):
    said = do(stack, "recordings", f"stream={stream}")
    return said if said.get("spans") else {}


def test_recorded_listed_locked_and_there_after_a_kill(stack):
    seen = until(lambda: do(stack, "snapshot", "size=small").get("taken_at"))
    until(lambda: time.time() > seen + 2)
    until(lambda: ask(stack, "record", "seconds=2").get("ok"))

    def ended():
        said = listed(stack)
        return said and said["events"] and said["spans"][-1]["end"] >= said["events"][-1]["end"] and said

    said = until(ended)
    # Several where a busy machine held up the camera, or the command's answer.
    span, event = said["spans"][-1], said["events"][-1]
    assert event["cause"] == "command"
    assert span["start"] <= event["start"] - 0.3, "it began before"
    assert until(lambda: listed(stack, "preview"))["spans"]
    wanted = f"from_at={span['start']}", f"until_at={span['end']}"
    locked = until(lambda: (said := do(stack, "lock", *wanted)).get("files") and said)
    assert locked["locked_bytes"] > 0
    span = until(lambda: has_ended_for_good(stack, 10))
    until(lambda: ask(stack, "record", "seconds=600").get("ok"))
    for stream in ("main", "preview"):  # each has a file of its own, which the kill may find begun or not
        until(lambda stream=stream: listed(stack, stream).get("spans", [span])[-1]["start"] > span["end"])
    stack.restart_agent()
    again = until(lambda: listed(stack))
    assert span["start"] in [one["start"] for one in again["spans"]]
    assert again["locked"]
    unlocked = until(lambda: (said := do(stack, "unlock", *wanted)).get("files") and said)
    assert unlocked["files"] == locked["files"]
    files = sorted((stack.folder / "camera" / "recordings").glob("*/*.mp4"))
    assert len(files) >= 4
    assert all(decoded(file) for file in files)
    stack.agent.kill()
    stack.agent.wait()
    config = stack.folder / "pinhole.toml"
    config.write_text(config.read_text().replace('mode = "event"', 'mode = "off"'))
    stack.start_agent()
    said = until(lambda: (answer := ask(stack, "recordings")).get("code") == "off" and answer)
    assert "set record.mode=event" in said["message"]
