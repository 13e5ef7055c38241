"""`pinhole demo` as a person runs it: comes up, shows a picture, ends, and leaves nothing behind."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from agent.model.program import command

READY_TIMEOUT_S = 60.0
END_TIMEOUT_S = 8.0
"""What the demo promises."""


@dataclass
class Demo:
    process: psutil.Popen
    run_time: Path
    env: dict[str, str]
    log: Path

    def url(self) -> str | None:
        files = list(self.run_time.glob("pinhole-demo/*/url"))
        return files[0].read_text().strip() if files else None

    def ready(self) -> bool:
        return "Ctrl-C ends the demo" in self.log.read_text()

    def signed_in(self) -> int:
        """How many sessions the portal knows."""
        [file] = self.run_time.glob("pinhole-demo/*/portal.db")
        with contextlib.closing(sqlite3.connect(file)) as db:
            return db.execute("SELECT count(*) FROM web_sessions").fetchone()[0]

    def watch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agent", "watch", *arguments],
            env=self.env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def start(tmp_path):
    """Starts demos; ends by pid whatever a failed test left."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Demo:
            demo = stack.enter_context(running_demo(tmp_path, *arguments))
            until(lambda: demo.ready() or demo.process.poll() is not None, READY_TIMEOUT_S)
            return demo

        yield start


@contextlib.contextmanager
def running_demo(tmp_path: Path, *arguments: str) -> Iterator[Demo]:
    run_time = tmp_path / "run"
    run_time.mkdir(mode=0o700, exist_ok=True)
    env = os.environ | {"XDG_RUNTIME_DIR": str(run_time)}
    log = tmp_path / f"demo-{len(list(tmp_path.iterdir()))}.log"
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "agent", "demo", "--camera", "synthetic", *arguments],
            env=env, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield Demo(process, run_time, env, log)
    finally:
        # By this test's own folder in the command line: a killed demo's children are nobody's children.
        left = [other for other in psutil.process_iter(["cmdline"]) if is_of(other, run_time)]
        for member in (process, *left):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait(10)


def is_of(process: psutil.Process, run_time: Path) -> bool:
    return any(word.startswith(f"{run_time}/") for word in process.info["cmdline"] or ())


def until(done, timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.05)


def test_one_command_shows_a_picture_and_leaves_nothing_behind(start, tmp_path):
    demo = start("--port", "0")
    text = demo.log.read_text()
    assert demo.url() in text, text
    assert "Password" in text
    assert f"  In a terminal: {command()} watch" in text
    assert re.search(r"^camera   id [\w-]{1,64}: ", text, re.MULTILINE), "which `pinhole do` asks for"
    signs_in_once(demo)

    seen = demo.watch("--seconds", "3", "--json", "--snapshot", str(tmp_path / "a.jpg"))
    assert seen.returncode == 0, seen.stderr + demo.log.read_text()
    report = json.loads(seen.stdout)
    assert report["errors"] == []
    assert report["fps"] > 0
    assert (report["width_px"], report["height_px"]) == (1280, 720)
    assert report["first_frame_ms"] > 0
    assert report["latency_ms"]["p50"] > 0
    assert report["path"] == "host"
    assert report["bitrate_bps"] > 0
    assert (tmp_path / "a.jpg").read_bytes().startswith(b"\xff\xd8")

    family = demo.process.children(recursive=True)
    assert len(family) == 2
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(END_TIMEOUT_S) == 0
    assert not [member for member in family if member.is_running()]
    assert not (demo.run_time / "pinhole-demo").exists()


def signs_in_once(demo: Demo) -> dict[str, str]:
    """The link that a person sees needs no password, and is good for one browser: this one's headers."""
    url, token = re.search(r"(http\S+)/#/enter/([\w-]{43})\n", demo.log.read_text()).groups()
    request = urllib.request.Request(
        f"{url}/api/enter",
        json.dumps({"token": token}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["user"] == "demo"
        cookie = "; ".join(one.partition(";")[0] for one in answer.headers.get_all("Set-Cookie"))
    session = urllib.request.Request(f"{url}/api/session", headers={"Cookie": cookie})
    with urllib.request.urlopen(session, timeout=60) as answer:
        assert json.load(answer)["admin"] is True
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(request, timeout=60)
    return {"Cookie": cookie}


def test_somebody_walks_by_and_is_an_event_with_a_picture_and_a_recording(start):
    demo = start("--port", "0")
    assert "looked at for motion" in demo.log.read_text()
    headers = signs_in_once(demo)

    def get(path: str) -> bytes:
        request = urllib.request.Request(f"{demo.url()}/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def walk() -> dict | None:
        events = json.loads(get("api/events?kind=motion"))["events"]
        return next((one for one in events if one["thumbnail"] and one["until"]), None)

    until(walk, 2 * READY_TIMEOUT_S)
    event = walk()
    device = event["device"]
    picture = get(f"api/devices/{device}/events/{event['event_id']}/picture")
    assert picture.startswith(b"\xff\xd8"), "a JPEG"
    done = subprocess.run(
        [sys.executable, "-m", "agent", "do", device, "recordings", "--json"],
        env=demo.env, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    spans = json.loads(done.stdout)["value"]["spans"]
    assert any(span["start"] < event["at"] < span["end"] for span in spans), "from before it began"


def test_a_killed_demo_leaves_no_process_and_the_next_one_clears_up(start):
    demo = start("--port", "0")
    family = demo.process.children(recursive=True)
    demo.process.kill()
    until(lambda: not [member for member in family if member.is_running()], 2 * END_TIMEOUT_S)
    left = list((demo.run_time / "pinhole-demo").iterdir())
    assert len(left) == 1

    following = start("--port", "0")
    assert following.ready()
    assert not left[0].exists()


def test_a_taken_port_is_passed_over(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = start("--port", str(port))
        assert demo.url() not in (None, f"http://127.0.0.1:{port}")
        assert f"port {port} is taken" in demo.log.read_text()


def test_a_part_that_dies_ends_the_demo_with_its_last_words(start):
    demo = start("--port", "0")
    children = demo.process.children()
    portal = next(child for child in children if "portal" in child.cmdline())
    portal.kill()
    assert demo.process.wait(END_TIMEOUT_S) == 1
    assert "the portal ended with exit code -9" in demo.log.read_text()
    assert not [child for child in children if child.is_running()]


def test_a_camera_that_is_not_there_is_said_at_once(start):
    demo = start("--camera", "replay:/nowhere/clip.mp4")
    assert demo.process.wait(END_TIMEOUT_S) == 1
    assert "no such file: /nowhere/clip.mp4" in demo.log.read_text()


def test_watch_tells_a_wrong_password_and_an_unknown_camera(start, tmp_path):
    demo = start("--port", "0")
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense")
    wrong.chmod(0o600)
    refused = demo.watch("--password-file", str(wrong), "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["errors"] == ["the portal refuses user name or password"]
    lost = demo.watch("--device", "elsewhere")
    assert lost.returncode == 1
    assert "no camera elsewhere; there are:" in lost.stderr
    relayed = demo.watch("--relay-only", "--json")
    assert relayed.returncode == 1
    assert "no TURN server" in relayed.stderr


def test_watch_ended_by_hand_still_reports(start, tmp_path):
    demo = start("--port", "0")
    picture = tmp_path / "first.jpg"
    with subprocess.Popen(
        [sys.executable, "-m", "agent", "watch", "--json", "--snapshot", str(picture)],
        env=demo.env, stdout=subprocess.PIPE, text=True,
    ) as watch:  # fmt: skip
        until(picture.exists, READY_TIMEOUT_S)
        watch.send_signal(signal.SIGINT)
        report = json.loads(watch.communicate(timeout=60)[0])
    assert watch.returncode == 0
    assert report["frames"] > 0
    assert demo.signed_in() == 0


def test_who_asks_from_a_terminal_is_signed_out_at_the_end_however_that_comes(start):
    demo = start("--port", "0")
    for words, ended_by in (
        (("watch", "--seconds", "0.5"), None),
        (("fleet",), None),
        (("fleet",), signal.SIGINT),
    ):
        with subprocess.Popen(
            [sys.executable, "-m", "agent", *words, "--json"], env=demo.env, stdout=subprocess.PIPE
        ) as asking:
            # One that ends by itself may be through before we look: its sign-out is counted below.
            until(lambda: demo.signed_in() == 1 or asking.poll() is not None, READY_TIMEOUT_S)
            if ended_by:
                asking.send_signal(ended_by)
            asking.communicate(timeout=30)
        assert demo.signed_in() == 0, (words, ended_by)
    [audit] = demo.run_time.glob("pinhole-demo/*/portal-audit.jsonl")
    until(lambda: audit.read_text().count('"sign-out"') >= 3, READY_TIMEOUT_S)  # written a moment later
    assert audit.read_text().count('"sign-out"') == 3, "beside the table"
