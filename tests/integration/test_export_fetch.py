"""From a camera's card to a file that counts as evidence, by the programs as a person starts them."""

import json
import subprocess
import sys
import time

from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER
from parts.recordings import decoded
from parts.stack import running_stack

PATIENCE_S = 90.0


def test_a_recording_is_exported_fetched_and_verified():
    record = '\n[record]\nmode = "continuous"\nstreams = "main"\nmin_free_mb = 1\nkeyframe_s = 1\n'
    camera = 'source = "synthetic"\nwidth_px = 320\nheight_px = 240'
    with mosquitto() as broker:
        settings = f'url = "{broker.settings().url}"'
        with running_stack(settings, camera=camera, portal=record) as stack:
            password = stack.folder / "portal-password"
            who = ("--portal", stack.url, "--user", USER, "--password-file", password)
            assert password.read_text() == PASSWORD

            def pinhole(*words):
                command = [sys.executable, "-m", "agent", *map(str, words)]
                return subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=PATIENCE_S
                )

            def recorded_s():
                told = json.loads(pinhole("do", "cam", "recordings", "--json", *who).stdout or "{}")
                spans = told["value"]["spans"] if told.get("ok") else []
                return sum(span["end"] - span["start"] for span in spans)

            deadline_s = time.monotonic() + PATIENCE_S
            while recorded_s() < 4:
                assert time.monotonic() < deadline_s
            film = stack.folder / "door.mp4"
            fetched = pinhole("export", "cam", "1d", "now", film, *who)
            assert fetched.returncode == 1, "a day is too long"
            assert "4 hours" in fetched.stderr
            fetched = pinhole("export", "cam", "10m", "now", film, *who)
            assert fetched.returncode == 0, fetched.stderr
            verified = pinhole("verify", film, *who, "--json")
            assert verified.returncode == 0, verified.stdout + verified.stderr
            told = json.loads(verified.stdout)
            assert (told["intact"], told["key_is_trusted"], told["manifest"]["device"]) == (True, True, "cam")
            assert decoded(film) == sum(part["pictures"] for part in told["manifest"]["parts"])
            data = bytearray(film.read_bytes())
            data[len(data) // 3] ^= 1
            film.write_bytes(data)
            assert pinhole("verify", film, *who).returncode == 1
            again = pinhole("export", "cam", "10m", "now", film, *who)
            assert (again.returncode, "is there already" in again.stderr) == (1, True)
            audit = (stack.folder / "portal-audit.jsonl").read_text()
            assert '"export"' in audit
