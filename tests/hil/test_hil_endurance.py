"""An hour of load, and a day: memory, heat, and a picture that stays."""

import time

import pytest

MAX_C = 80.0
"""Where the firmware begins to slow the board down."""


@pytest.mark.timeout(3 * 3600)
def test_heat_under_load(device, viewer, load_s, results, needs):
    """Three viewers for an hour; neither throttled nor slower at the end than at the beginning."""
    interval_s = min(10.0, load_s / 4)
    viewers = [viewer.start(load_s) for _ in range(3)]
    begin_s = time.monotonic()
    flags = []
    while (at_s := time.monotonic() - begin_s) < load_s:
        results.point("temperature under load (°C)", at_s, device.temperature_c())
        results.point("agent's memory under load (MB)", at_s, round(device.memory_mb(), 1))
        flags.append(device.throttled())
        device.wait(interval_s)
    seen = [viewer.end(process, load_s) for process in viewers]
    for number, each in enumerate(seen, 1):
        results.figure(f"frames a second under load, viewer {number}", each["fps"])
        assert each["seconds"] > 0.9 * load_s - 5
    needs(device.is_hardware, "a board that gets hot")
    curve = results.curves.get("temperature under load (°C)")
    needs(curve, "a board that tells its temperature")
    assert max(value for _, value in curve) < MAX_C
    needs(None not in flags, "vcgencmd on the device (raspi-utils): was it throttled?")
    assert not any(each & 0xF for each in flags), f"throttled={max(flags):#x}"


@pytest.mark.timeout(30 * 3600)
def test_soak(device, viewer, soak_s, results):
    """Viewers come and go for a day: there is a picture each time, from one process that does not grow."""
    pid, begin_s = device.agent_pid(), time.monotonic()
    memory = [device.memory_mb()]
    watch_s = min(60.0, max(1.0, soak_s / 5))
    while (at_s := time.monotonic() - begin_s) < soak_s:
        seen = viewer.watch(watch_s)
        memory.append(device.memory_mb())
        results.point("soak: frames a second", at_s, seen["fps"])
        results.point("soak: first frame (ms)", at_s, seen["first_frame_ms"])
        results.point("soak: bit rate (b/s)", at_s, seen["bitrate_bps"])
        results.point("soak: agent's memory (MB)", at_s, round(memory[-1], 1))
        results.point("soak: temperature (°C)", at_s, device.temperature_c())
    assert device.agent_pid() == pid, "the agent was started again"
    settled = memory[len(memory) // 4 :]
    results.figure("soak: memory, first to last", f"{settled[0]:.0f} to {settled[-1]:.0f}", "MB")
    assert settled[-1] < 1.2 * settled[0] + 10
