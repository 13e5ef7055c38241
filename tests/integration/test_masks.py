"""Privacy masks of a running agent: set from afar, kept over a start, and blank where they are spoilt."""

import base64
import json
import time

from parts.fleet_broker import fleet
from parts.masked import assert_black, assert_seen, jpeg
from parts.portal import PASSWORD, USER

MASK = "0.1,0.7 0.9,0.7 0.9,1 0.1,1"
POLYGON = [tuple(map(float, corner.split(","))) for corner in MASK.split(" ")]
EVERYTHING = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
BARS = [(0.03, 0.88), (0.3, 0.88)]
"""Of the test picture, the second one under the mask."""
PATIENCE_S = 60.0


def test_a_mask_is_set_kept_spoilt_and_set_anew():
    with fleet() as one:
        one.enroll("door", one.claim())
        one.start_agent("door")
        password = one.folder / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        who = ("--portal", one.url, "--user", USER, "--password-file", password)

        def do(name, *arguments):
            done = one.pinhole("do", "door", name, *arguments, "--json", *who, check=False)
            return json.loads(done.stdout or "{}")

        def still():
            told = do("snapshot")
            assert told["ok"], told
            return jpeg(base64.b64decode(told["value"]["jpeg"]))

        deadline_s = time.monotonic() + PATIENCE_S
        while not do("masks").get("ok"):  # the portal knows of it a moment later
            assert time.monotonic() < deadline_s
        assert_seen(still(), *BARS)
        told = do("set-masks", f"polygons={MASK}")
        assert (told["value"]["state"], told["value"]["set_by"]) == ("in-force", USER)
        masked = still()
        assert_black(masked, [POLYGON])
        assert_seen(masked, BARS[0])
        refused = one.pinhole("do", "door", "set-masks", "polygons=0,0 1,1", *who, check=False)
        assert refused.returncode == 1
        assert "a mask has 3 to 24 corners, and this one 2" in " ".join(refused.stderr.split())

        one.stop_agent("door")
        one.start_agent("door")
        assert_black(still(), [POLYGON])

        one.stop_agent("door")
        (one.folder / "state-door" / "masks.json").unlink()
        one.start_agent("door")
        assert_black(still(), [EVERYTHING])
        assert do("masks")["value"]["state"] == "blank"
        assert "is gone, and masks were set here" in one.log("door")
        doctor = one.pinhole("doctor", "--json", "--no-camera", "-c", one.camera("door"), check=False)
        (finding,) = [each for each in json.loads(doctor.stdout)["findings"] if each["check"] == "masks"]
        assert finding["verdict"] == "fault"
        assert "set-masks" in finding["advice"]
        assert do("set-masks", "polygons=")["value"]["state"] == "none"
        assert_seen(still(), *BARS)
