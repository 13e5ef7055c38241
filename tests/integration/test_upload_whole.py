"""A camera, a portal, a broker and an S3 server as they are run: what is recorded is in the store."""

import time
from urllib.parse import urlsplit

from parts.mosquitto import mosquitto
from parts.recordings import decoded
from parts.s3 import ACCESS_KEY, BUCKET, REGION, SECRET, s3_server, secret_in
from parts.stack import running_stack

PATIENCE_S = 100.0


def until(seen):
    ends_s = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < ends_s
        time.sleep(0.1)
    return found


def test_what_a_killed_camera_had_recorded_is_sent_once_it_is_back(tmp_path):
    secret = secret_in(tmp_path)
    camera = 'source = "synthetic"\nwidth_px = 320\nheight_px = 240'
    with s3_server() as store, mosquitto() as broker:
        tables = (
            f'[portal.upload]\nendpoint = "{store.url}"\nregion = "{REGION}"\nbucket = "{BUCKET}"\n'
            f'prefix = "yard"\npath_style = true\naccess_key = "{ACCESS_KEY}"\nsecret_file = "{secret}"\n'
            '[record]\nmode = "continuous"\nstreams = "main"\nmin_free_mb = 1\nkeyframe_s = 1\n'
            '[record.upload]\nwhat = "all"\nallow_http = true\n'
        )
        settings = f'url = "{broker.settings().url}"'
        with running_stack(settings, camera=camera, portal=tables) as stack:
            folder = stack.folder / "camera" / "recordings"
            file = until(lambda: next(folder.glob("*/*-main.mp4"), None))
            until(lambda: file.stat().st_size > 100_000)
            stack.restart_agent()
            objects = until(store.objects)
            ((key, data), *_) = objects.items()
            assert key.startswith("yard/cam/20")
            assert data == file.read_bytes()
            assert decoded(file) > 1
            said = (
                stack.log("agent") + stack.log("portal") + (stack.folder / "portal-audit.jsonl").read_text()
            )
            assert "X-Amz-Signature" not in said
            assert SECRET not in said
            note = stack.folder / "camera" / "upload.json"  # kept in a thread, once the part has gone
            until(lambda: note.exists() and urlsplit(store.url).netloc in note.read_text())
