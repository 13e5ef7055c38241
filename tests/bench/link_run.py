"""One sender in one scenario: the lab, the viewers' browsers, what they and the link note."""

import asyncio
import base64
import json
import re
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench.figures import Recording, Viewing, delay_ms, ssim
from bench.scenarios import SETTLE_S, Scenario
from bench.scene import HEIGHT_PX, WIDTH_PX
from netlab.frames import watch_peers
from netlab.internet import internet
from netlab.namespaces import LabError
from netlab.plan import HOSTS, SERVER_IP, Plan, hosts_file
from netlab.servers import start_service
from netlab.shape import Counters, Shape
from netlab.traffic import Upload, start_upload
from netlab.viewer import play, viewing
from parts.chromium import REPORTS_BY_SOURCE
from playwright.async_api import Error as PlaywrightError

HERE = Path(__file__).parent
SENDERS = {
    "ours": ("footage_device.py",),
    "no-parity": ("footage_device.py", "--no-parity"),
    "l4s": ("footage_device.py",),
    "chromium": ("chromium_device.py",),
    "aiortc": ("stock_device.py",),
}
FIRST_BPS = 4e6
STATS_EVERY_MS, SHOT_EVERY_MS = 250, 2000
GUEST_IP = "203.0.113.40"
_PROBE = (HERE / "viewer_probe.js").read_text()


async def run(
    scenario: Scenario, sender: str, footage: Path, scene, *, logs: Path | None = None
) -> Recording:
    """Build the network, play, let the scenario happen. A LabError becomes part of the result."""
    recording = Recording(scenario, sender, [])
    nat = "symmetric" if scenario.is_relayed else "port-restricted"
    plan = Plan(nat, nat, uplink=_calm(scenario.uplink), downlink=_calm(scenario.feedback))
    try:
        with internet(plan) as lab:
            targets = lab.spaces.folder / "targets"
            script, *flags = SENDERS[sender]
            program = (str(HERE / script), *flags, str(footage), str(targets))
            camera = f'source = "synthetic"\nbitrate_bps = {scenario.camera_bps}'
            if sender == "l4s":
                camera += "\n[webrtc]\nl4s = true"
            service = start_service(lab, ("udp",), camera=camera, program=program)
            try:
                await _view(recording, lab, service, targets, scene)
            finally:
                if logs:
                    _keep(logs / f"{scenario.name}-{sender}.log", service.agent.log())
    except (LabError, PlaywrightError) as exc:
        recording.fault = brief(str(exc))
        if logs:
            _keep(logs / f"{scenario.name}-{sender}-fault.log", str(exc))
    return recording


def _calm(shape: Shape) -> Shape:
    """Until the first picture, with which traces and losses begin."""
    rate_bps = FIRST_BPS if shape.trace else shape.rate_bps
    return shape.changed(trace=None, rate_bps=rate_bps, loss=0.0, burst=None)


def brief(text: str) -> str:
    """The first line, and the last one that says something: of a program's log that is its exception."""
    lines = [line.strip() for line in text.splitlines() if re.search("[a-z]", line)] or [text]
    return " … ".join(dict.fromkeys((lines[0], lines[-1])))


async def _view(recording: Recording, lab, service, targets: Path, scene) -> None:
    scenario = recording.scenario
    hosts = ["viewer"] * scenario.viewers
    if scenario.guest_bps:
        _add_guest(lab, scenario.guest_bps)
        hosts.append("guest")
    async with AsyncExitStack() as stack:
        flags = (REPORTS_BY_SOURCE,) if recording.sender == "l4s" else ()
        pages = [await stack.enter_async_context(viewing(lab, service, host, flags)) for host in hosts]
        for page in pages:
            await watch_peers(page)
        await asyncio.gather(*(play(page) for page in pages))
        start_s = time.time()
        for side, shape in (("uplink", scenario.uplink), ("downlink", scenario.feedback)):
            lab.link.change(
                side, rate_bps=shape.rate_bps, trace=shape.trace, loss=shape.loss, burst=shape.burst
            )
        if scenario.changes:
            lab.link.plan([(at_s, "uplink", change) for at_s, change in scenario.changes])
        options = {"statsEveryMs": STATS_EVERY_MS, "shotEveryMs": SHOT_EVERY_MS}
        for page in pages:
            await page.evaluate(_PROBE, options)
        errors = _receive_errors(lab)
        upload = await _upload(lab, scenario, start_s)
        await _sleep_until(start_s + SETTLE_S)
        before = lab.link.statistics().uplink
        await _sleep_until(start_s + scenario.seconds + 0.5)
        after = lab.link.statistics().uplink
        recording.receive_errors = _receive_errors(lab) - errors
        recording.viewings = [await _collect(page, start_s, scene) for page in pages]
    offset_s = time.time() - time.monotonic() - start_s
    recording.waits = [
        (one.at_ns / 1e9 + offset_s, one.size_bytes, one.waited_ns / 1e6)
        for one in lab.link.passages()["uplink"]
    ]
    recording.overflow_packets = after.overflow_packets
    recording.came_packets = after.in_packets - before.in_packets
    recording.lost_packets = _lost(after) - _lost(before)
    if upload:
        recording.upload = [(at_s + offset_s, size_bytes) for at_s, size_bytes in upload.arrived()]
    for at_s, bps, pictures in _read_targets(targets, start_s):
        recording.targets.append((at_s, bps))
        recording.made.append((at_s, pictures))


async def _upload(lab, scenario: Scenario, start_s: float) -> Upload | None:
    if scenario.upload_s is None:
        return None
    await _sleep_until(start_s + scenario.upload_s)
    return start_upload(lab, "device", "server", SERVER_IP)


def _lost(counters: Counters) -> int:
    return counters.lost_packets + counters.overflow_packets


async def _sleep_until(unix_s: float) -> None:
    await asyncio.sleep(unix_s - time.time())


def _read_targets(file: Path, start_s: float) -> list[tuple[float, int, int]]:
    lines = file.read_text().splitlines() if file.exists() else []  # stock aiortc does not tell
    return [(at_ms / 1000 - start_s, bps, pictures) for at_ms, bps, pictures in map(json.loads, lines)]


def _keep(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


async def _collect(page, start_s: float, scene) -> Viewing:
    said = await page.evaluate("() => ({ frames: bench.frames, stats: bench.stats })")
    result = Viewing()
    result.frames = [(now / 1000 - start_s, delay_ms(now, stamp)) for now, stamp in said["frames"]]
    result.stats = [{"at_s": one.pop("now") / 1000 - start_s, **one} for one in said["stats"]]
    while shot := await page.evaluate("() => takeShot()"):
        if shot["now"] / 1000 - start_s < SETTLE_S:
            continue
        source = scene.luma(shot["stamp"], shot["now"])
        picture = base64.b64decode(shot["luma"])
        result.ssim.append(ssim(shot["width"], shot["height"], picture, (WIDTH_PX, HEIGHT_PX), source))
    return result


def _add_guest(lab, rate_bps: int) -> None:
    """One more host on the public segment, behind a bottleneck of the kernel's."""
    lab.spaces.run("", "ip", "netns", "add", "guest")
    lab.spaces.lay("guest", hosts_file(lab.plan))
    lines = [
        "link add guest netns exchange type veth peer name eth0 netns guest",
    ]
    lab.spaces.run("", "ip", "-batch", "-", stdin="\n".join(lines))
    lab.spaces.run("exchange", "ip", "link", "set", "guest", "master", "bridge", "up")
    rate = ("rate", f"{rate_bps}", "burst", "3000", "limit", "30000")
    lab.spaces.run("exchange", "tc", "qdisc", "add", "dev", "guest", "root", "tbf", *rate)
    lab.spaces.run("guest", "ip", "link", "set", "lo", "up")
    lab.spaces.run("guest", "ip", "address", "add", f"{GUEST_IP}/24", "dev", "eth0")
    lab.spaces.run("guest", "ip", "link", "set", "eth0", "up")
    assert "guest" not in HOSTS


def _receive_errors(lab) -> int:
    """UDP's RcvbufErrors on the server (RFC 4113's udpInErrors in part), where coturn is."""
    lines = [line.split() for line in lab.spaces.run("server", "cat", "/proc/net/snmp").splitlines()]
    names, values = (line for line in lines if re.match("Udp:", line[0]))
    return int(values[names.index("RcvbufErrors")])
