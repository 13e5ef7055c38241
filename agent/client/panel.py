"""How a session looks in a terminal."""

from collections.abc import Callable

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.client.device import Device
from agent.client.report import Meter
from agent.model.text import printable

UNKNOWN = "-"


def draw(device: Device, state: str, path: str | None, meter: Meter) -> Panel:
    """The panel for this moment."""
    rows = {
        "camera": f"{device.name or device.id} ({device.sections.camera.kind or 'unknown kind'})",
        "state": state,
        "path": path or UNKNOWN,
        "picture": f"{meter.width_px}x{meter.height_px} at {meter.fps:.1f} fps"
        if meter.frames
        else "none yet",
        "bit rate": _known(meter.bitrate_bps, lambda bps: f"{bps / 1e6:.2f} Mb/s"),
        "frames": f"{meter.frames}, {meter.lost_packets} packets lost",
        "jitter": _known(meter.jitter_ms, lambda ms: f"{ms:.1f} ms"),
        "first frame": _known(meter.first_frame_ms, lambda ms: f"{ms:.0f} ms after the offer"),
        "latency": _latency(meter),
    }
    table = Table.grid(padding=(0, 2))
    for label, value in rows.items():
        table.add_row(Text(label, "dim"), Text(printable(value)))
    return Panel(table, title="pinhole watch", subtitle="Ctrl-C ends", expand=False)


def _latency(meter: Meter) -> str:
    median = meter.latency_ms(0.5)
    return (
        "the picture carries no time stamp"
        if median is None
        else f"p50 {median} ms, p95 {meter.latency_ms(0.95)} ms"
    )


def _known(value: float | None, show: Callable[[float], str]) -> str:
    return UNKNOWN if value is None else show(value)
