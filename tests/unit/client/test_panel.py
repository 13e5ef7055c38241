"""The panel shows what is known, and lets no escape sequence through."""

import io

from rich.console import Console

from agent.client.device import Device
from agent.client.panel import draw
from agent.client.report import Meter


def shown(device: Device, meter: Meter) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(draw(device, "connected", "host", meter))
    return console.export_text()


def test_a_running_session():
    meter = Meter(offered_at_s=0.0, lost_packets=3, jitter_ms=1.5)
    meter.on_frame(0.2, 1280, 720, 35)
    meter.on_frame(0.3, 1280, 720, 37)
    text = shown(Device(id="gate", name="Gate", online=True, camera_kind="synthetic"), meter)
    for part in (
        "Gate (synthetic)",
        "1280x720 at 10.0 fps",
        "3 packets lost",
        "200 ms",
        "p50 35 ms, p95 37 ms",
    ):
        assert part in text


def test_a_name_cannot_command_the_terminal():
    text = shown(Device(id="gate", name="\x1b[2J[red]x", online=True), Meter())
    assert "\x1b" not in text
    assert "[red]x" in text
