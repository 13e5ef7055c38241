"""The picture: how soon, how smooth, how large, how late."""

import re

import pytest
from glass import measure_led

WATCH_S = 8


@pytest.fixture(scope="module")
def seen(rig, results):
    """One viewer for some seconds, with the camera already running, as its statistics."""
    cold = rig.viewer.watch(1)
    results.figure("first frame, camera at rest", cold["first_frame_ms"], "ms")
    seen = rig.viewer.watch(WATCH_S)
    results.figure("first frame, camera running", seen["first_frame_ms"], "ms")
    results.figure("frames a second", seen["fps"])
    results.figure("bit rate", seen["bitrate_bps"], "b/s")
    results.figure("picture", f"{seen['width_px']}x{seen['height_px']}")
    return seen


def test_every_frame_arrives(seen, device, results, needs):
    wanted = configured(device, "fps") or (25.0 if "Zero 2" in device.inventory().model else 30.0)
    results.figure("frames a second, configured", wanted)
    assert seen["frames"] > 1
    needs(device.is_hardware, "a device that does nothing else: a frame rate is no property of this machine")
    assert seen["fps"] >= 0.9 * wanted
    assert seen["lost_packets"] == 0


def test_the_bit_rate_is_obeyed(seen, device):
    limit = configured(device, "bitrate_bps") or 2_000_000
    assert seen["bitrate_bps"] <= 1.25 * limit, "retransmissions and headers are in it"


def test_a_keyframe_comes_when_it_is_asked_for(viewer, results):
    """Who joins a running stream waits for an IDR alone, far less than the interval between two."""
    other = viewer.start(6)
    try:
        viewer.until_back(20)
        joined = [viewer.watch(0.5)["first_frame_ms"] for _ in range(2)]
    finally:
        viewer.end(other, 6)
    results.figure("first frame beside another viewer", min(joined), "ms")
    assert min(joined) < 5000


def test_both_streams(viewer, needs, results):
    """Main and preview, where the agent offers both."""
    main, preview = viewer.watch(6, "--stream", "main"), viewer.watch(6, "--stream", "preview")
    needs(preview["width_px"] != main["width_px"], "a board that encodes two streams")
    results.figure("preview", f"{preview['width_px']}x{preview['height_px']}")
    assert preview["width_px"] < main["width_px"]


def test_glass_to_glass_by_the_stamp(seen, needs, results):
    needs(seen["latency_ms"], "the test picture, which carries the time")
    results.figure("stamp to decoded picture, median", seen["latency_ms"]["p50"], "ms")
    results.figure("stamp to decoded picture, 95 %", seen["latency_ms"]["p95"], "ms")


def test_glass_to_glass_by_an_led(led, device, viewer, results, tmp_path):
    latencies_ms = measure_led(device, viewer, led, tmp_path / "led.mp4")
    results.figure("LED to decoded picture, median", sorted(latencies_ms)[len(latencies_ms) // 2], "ms")
    assert len(latencies_ms) >= 5, "the LED's flashes are not in the picture: is it in the camera's sight?"


def configured(device, key):
    """A value of [camera] in the device's settings, where it is set."""
    text = device.ask("sudo -n cat /etc/pinhole/pinhole.toml") if device.is_service else ""
    found = re.search(rf"^{key}\s*=\s*([\d_.]+)", text, re.MULTILINE)
    return float(found[1].replace("_", "")) if found else None
