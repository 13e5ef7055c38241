"""Recordings on their whole way: camera, broker, portal and an S3 server, each a program of its own."""

import json
import subprocess
import sys
import time

import pytest
from parts.mosquitto import mosquitto
from parts.recordings import decoded
from parts.s3 import s3_server, secret_in
from parts.stack import ROOT, running_stack

PATIENCE_S = 100.0
CAMERA = """source = "synthetic"
width_px = 320
height_px = 240
fps = 10
[record]
mode = "event"
streams = "main"
pre_s = 2
post_s = 1
min_free_mb = 10
keyframe_s = 1
[record.upload]
what = "all"
allow_http = true
"""


def until(seen, stack):
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < deadline_s, stack.log("agent") + stack.log("portal")
        time.sleep(0.2)
    return found


def run(stack, *words):
    done = subprocess.run(
        [sys.executable, "-m", "agent", *words, "--json", "--portal", stack.url, *stack.sign_in],
        cwd=ROOT, env=stack.env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout or "null")


def record(stack):
    """Some seconds, by hand, as soon as the camera can."""
    until(lambda: (run(stack, "do", "cam", "record", "seconds=3") or {}).get("ok"), stack)


@pytest.fixture
def server():
    with s3_server() as server:
        yield server


@pytest.fixture
def stack(server, tmp_path):
    settings = server.settings(str(secret_in(tmp_path)), prefix="yard")
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
    with (
        mosquitto() as broker,
        running_stack(
            f'url = "{broker.settings().url}"', camera=CAMERA, portal=f"[portal.upload]\n{lines}\n"
        ) as running,
    ):
        yield running


@pytest.mark.timeout(400)
def test_what_was_recorded_is_in_the_store_once_whatever_begins_anew(server, stack, tmp_path):
    def stored():
        """Once the store has every file of the camera, which are several where a busy machine held it up."""
        files = [file.read_bytes() for file in (stack.folder / "camera" / "recordings").glob("*/*-main.mp4")]
        objects = server.objects()
        return sorted(objects.values()) == sorted(files) and objects

    record(stack)
    first = until(stored, stack)
    for key, data in first.items():
        assert key.startswith("yard/cam/20")
        file = tmp_path / "stored.mp4"
        file.write_bytes(data)
        assert decoded(file) >= 1
    assert server.unfinished() == []

    stack.kill_portal()
    stack.restart_agent()
    stack.start_portal()
    record(stack)
    objects = until(lambda: len(server.objects()) > len(first) and stored(), stack)
    assert objects.items() > first.items()
    begun = [line for line in server.requests if line.startswith("POST") and line.endswith("?uploads")]
    assert len(begun) == len(objects), "what is there is not sent again"
    for name in ("agent", "portal"):
        assert "X-Amz" not in stack.log(name)


@pytest.mark.timeout(400)
def test_while_the_store_is_away_recordings_wait_and_the_portal_says_why(server, stack):
    server.answers["all"] = 503
    record(stack)
    until(lambda: "uploads wait: the store says" in stack.log("portal"), stack)
    assert server.objects() == {}
    server.answers.clear()
    until(server.objects, stack)
    assert stack.portal.poll() is None


def test_a_portal_of_no_store_leaves_a_camera_waiting():
    with (
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', camera=CAMERA) as stack,
    ):
        record(stack)

        def waits():
            [device] = (run(stack, "fleet") or {}).get("devices") or [{}]
            return device.get("sections", {}).get("upload", {}).get("waiting")

        assert until(waits, stack) >= 1
        assert "upload" not in stack.log("portal")
