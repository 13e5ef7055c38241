"""Glass to glass with an LED: it flashes at a known time, and the recording tells when it was seen."""

import json
import re
import time

import av
from device import Device, DeviceError
from viewer import Viewer

FLASHES = 8
PERIOD_S, LIT_S = 1.0, 0.3
SCRIPT = """
import json, subprocess, time
times = []
for _ in range({flashes}):
    time.sleep({dark})
    times.append(time.time())
    subprocess.run({command}, check=True)
print(json.dumps(times))
"""


def measure_led(device: Device, viewer: Viewer, gpio: int, recording) -> list[float]:
    """Milliseconds from the LED's current to the decoded picture, one a flash that was seen.

    The recording's own clock begins with its first picture, whose time the viewer tells; the device's clock
    is compared with ours over ssh first.
    """
    command = lit_command(device.run("gpioset --version"), device.run("sudo -n gpiodetect"), gpio, LIT_S)
    offset_s = clock_offset_s(device)
    seconds = FLASHES * PERIOD_S + 6
    process = viewer.start(seconds, "--record", str(recording))
    viewer.until_back(20, seconds=0.2)
    script = SCRIPT.format(flashes=FLASHES, dark=PERIOD_S - LIT_S, command=json.dumps(command))
    flashes = [flash - offset_s for flash in json.loads(device.run(f"sudo -n python3 -c '{script}'"))]
    seen = viewer.end(process, seconds)
    return match(flashes, [seen["first_frame_at"] + step for step in brightness_steps(recording)])


def lit_command(version: str, chips: str, gpio: int, lit_s: float) -> list[str]:
    """`gpioset` for one pin of the header that is on for `lit_s`; libgpiod 2 has other options than 1."""
    chip = header_chip(chips)
    found = re.search(r"\(libgpiod\) v(\d+)\.", version)
    if found is None:
        raise DeviceError(f"which gpioset is this? {version.strip()!r}")
    if int(found[1]) < 2:
        return ["gpioset", "--mode=time", f"--usec={int(lit_s * 1e6)}", chip, f"{gpio}=1"]
    return ["gpioset", "--toggle", f"{int(lit_s * 1e3)}ms,0", "--chip", chip, f"{gpio}=1"]


def header_chip(said: str) -> str:
    """`gpiochip4 [pinctrl-rp1] (54 lines)` of gpiodetect: the header's chip; its number differs by kernel."""
    found = re.search(
        r"^(gpiochip\d+) \[pinctrl-(?:rp1|bcm2711|bcm2835)\] \(5[48] lines\)", said, re.MULTILINE
    )
    if found is None:
        raise DeviceError(f"no chip of the header: {said.strip()!r}")
    return found[1]


def clock_offset_s(device: Device) -> float:
    """How far the device's clock is ahead, from the command with the shortest way there and back."""
    best = (float("inf"), 0.0)
    for _ in range(8):
        sent = time.time()
        there = float(device.run("date +%s.%N"))
        back = time.time()
        best = min(best, (back - sent, there - (sent + back) / 2))
    return best[1]


def brightness_steps(recording) -> list[float]:
    """Seconds from the first picture to each sudden brightening of any part of the picture."""
    before, steps = None, []
    with av.open(str(recording)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(width=32, height=18, format="gray")
            cells = bytes(small.planes[0])
            if before and max(new - old for new, old in zip(cells, before, strict=True)) > 40:
                steps.append(float(frame.time))
            before = cells
    return steps


def match(flashes: list[float], seen: list[float], limit_s: float = 0.9) -> list[float]:
    """For each flash the first step after it, where that is near enough to be its own."""
    delays = []
    for flash in flashes:
        after = [step - flash for step in seen if 0 <= step - flash < limit_s]
        if after:
            delays.append(round(min(after) * 1000, 1))
    return delays
