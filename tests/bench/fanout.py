r"""What each viewer costs the sender: 1080p30 at 4 Mb/s, direct and through coturn, ours and stock aiortc.

The receivers run in this process, each sender in one of its own that measures its CPU time. Both senders get
the same encoded pictures, and feedback as Chromium sends it for what each negotiates: ours transport-wide
reports, which its congestion control reads meanwhile, stock REMB.

With --peer-url and --peer-feed another server on this machine is measured beside them, such as MediaMTX.
It is given the same pictures by RTSP and asked for them by WHEP; its CPU time holds both. It must run before,
here with the ports that it has by default and a path of any name:

  scripts/bench fanout --paths direct --peer-url http://127.0.0.1:8889/bench/whep \
                       --peer-feed rtsp://127.0.0.1:8554/bench
"""

import argparse
import asyncio
import contextlib
import json
import os
import pickle
import random
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import av
import psutil
from bench.arguments import above_zero, add_json, not_negative, one_or_more, url
from bench.fanout_receiver import Receiver
from bench.programs import usage
from parts.coturn import SECRET, coturn
from rich.console import Console
from rich.table import Table

from agent.camera.encoder import H264Encoder
from agent.model.media import EncoderDemand
from agent.portal.turn import rest_credential

WIDTH_PX, HEIGHT_PX, FPS, BITRATE_BPS = 1920, 1080, 30, 4_000_000
UNITS = 300
WIDTH = 140
"""In columns: a narrower terminal, or a pipe, would cut the figures of the table."""
PORTS = {"http": 80, "https": 443, "rtsp": 554}
SENT = 0.95
"""Of the pictures that are due, and of their bytes: less, and a sender saves by not sending."""
SENDER = Path(__file__).with_name("fanout_sender.py")


def encode():
    """Ten seconds of noise that moves, as (bytes, is it a keyframe), from an IDR on."""
    chance = random.Random(5)
    tiles = [chance.randbytes(WIDTH_PX * HEIGHT_PX) for _ in range(2)]
    encoder = H264Encoder(WIDTH_PX, HEIGHT_PX, FPS, 3600, EncoderDemand(BITRATE_BPS))
    units = []
    for number in range(UNITS):
        frame = av.VideoFrame(WIDTH_PX, HEIGHT_PX, "yuv420p")
        shift = number * 7919 % (WIDTH_PX * 400)
        luma, *chroma = frame.planes
        luma.update((tiles[number % 2][shift:] + tiles[number % 2][:shift])[: luma.buffer_size])
        for plane in chroma:
            plane.update(bytes([128]) * plane.buffer_size)
        unit = encoder.encode(frame, number)
        units.append((unit.data, unit.is_keyframe))
    return units


class Sender:
    """Ours or stock, in the other process."""

    def __init__(self, process):
        self._process = process
        self._answers = {}
        self._receivers = {}
        self._replies = asyncio.Queue()
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, kind, frames):
        """Of this kind, with the pictures in this file."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SENDER),
            kind,
            str(frames),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        return cls(process)

    async def connect(self, receiver, servers):
        self._receivers[receiver.session] = receiver
        self._answers[receiver.session] = asyncio.get_running_loop().create_future()
        sdp = await receiver.offer()
        self._order(do="answer", session=receiver.session, sdp=sdp, ice_servers=servers)
        reply = await asyncio.wait_for(self._answers[receiver.session], 20)
        await asyncio.wait_for(receiver.accept(reply["sdp"]), 20)

    async def clock(self):
        """What it used and made so far."""
        return await self.ask("clock")

    async def ask(self, what):
        self._order(do=what)
        return await asyncio.wait_for(self._replies.get(), 20)

    def tell(self, what):
        self._order(do=what)

    async def close(self):
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 10)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._task.cancel()

    def _order(self, **order):
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _read(self):
        while line := await self._process.stdout.readline():
            reply = json.loads(line)
            if "sdp" in reply:
                self._answers[reply["session"]].set_result(reply)
            elif "candidate" in reply:
                await self._receivers[reply["session"]].add(reply["candidate"])
            else:
                self._replies.put_nowait(reply)


class Feed:
    """The pictures by RTSP, in a thread of its own, for the length of the block."""

    def __init__(self, url, units):
        self._url, self._units = url, units
        self._ends, self._error = threading.Event(), None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.frames = self.bytes = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join(10)

    def made(self):
        """How many pictures and bytes it has given so far."""
        if self._error is not None:
            raise SystemExit(f"the peer takes nothing at {self._url}: {self._error}")
        return {"frames": self.frames, "bytes": self.bytes}

    def _run(self):
        try:
            with av.open(self._url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as output:
                track = output.add_mux_stream("h264", rate=FPS, width=WIDTH_PX, height=HEIGHT_PX)
                start_s = time.monotonic()
                while not self._ends.wait(max(0.0, start_s + self.frames / FPS - time.monotonic())):
                    data, is_keyframe = self._units[self.frames % len(self._units)]
                    packet = av.Packet(data)
                    packet.stream, packet.time_base = track, Fraction(1, FPS)
                    packet.pts = packet.dts = self.frames
                    packet.is_keyframe = is_keyframe
                    output.mux(packet)
                    self.frames, self.bytes = self.frames + 1, self.bytes + len(data)
        except av.FFmpegError as exc:
            self._error = exc


class Peer:
    """Another server on this machine, asked by WHEP (draft-ietf-wish-whep)."""

    def __init__(self, url, feed):
        self._url, self._feed = url, feed
        self._pid = listener(url)
        self._client = aiohttp.ClientSession()

    async def connect(self, receiver, _servers):
        self._feed.made()  # a feed that failed says why
        offer, content = await receiver.offer(), {"Content-Type": "application/sdp"}
        async with self._client.post(self._url, data=offer, headers=content) as answer:
            sdp = await answer.text()
            if answer.status != 201:
                raise SystemExit(f"the peer answers {answer.status} to a viewer: {sdp[:200]}")
        await asyncio.wait_for(receiver.accept(sdp), 20)

    async def clock(self):
        used = usage(self._pid)
        times = psutil.Process(self._pid).cpu_times()
        clock = {"cpu_s": used.cpu_s, "at_s": used.at_s, "wakes": used.wakeups, "system_s": times.system}
        return clock | self._feed.made()

    async def close(self):
        await self._client.close()


async def check(url, feed):
    """The peer takes pictures and shows them to a viewer, or the bench ends: before anything is measured."""
    peer, receiver = Peer(url, feed), Receiver()
    try:
        async with asyncio.timeout(20):
            while not feed.made()["frames"]:
                await asyncio.sleep(0.05)
        await peer.connect(receiver, ())
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise SystemExit(f"the peer shows nothing at {url}: {exc or 'for 20 s'}") from exc
    finally:
        await receiver.close()
        await peer.close()


def listener(url):
    """The process that listens on this URL's TCP port."""
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
            return one.pid
    raise SystemExit(f"nothing of ours listens on port {port}: the peer must run on this machine")


async def measure(kind, viewers, servers, sender, options):
    """One row: CPU share of a core, µs a packet, packets a second and viewer; and a profile."""
    receivers = [Receiver() for _ in range(viewers)]
    try:
        for receiver in receivers:
            await sender.connect(receiver, servers)
        await asyncio.sleep(options.settle)
        before = await sender.clock()
        packets, size = sum(r.packets for r in receivers), sum(r.bytes for r in receivers)
        await asyncio.sleep(options.seconds)
        after = await sender.clock()
        packets = sum(r.packets for r in receivers) - packets
        size = sum(r.bytes for r in receivers) - size
        profile = ""
        if options.profile and kind != "peer":
            sender.tell("profile")
            await asyncio.sleep(min(5, options.seconds))
            profile = (await sender.ask("profiled"))["profile"]
    finally:
        await sender.close()  # before its viewers, or it would find them lost
        await asyncio.gather(*(receiver.close() for receiver in receivers))
    made = {name: after[name] - before[name] for name in ("frames", "bytes")}
    if fault := shortfall(made, size, viewers, options.seconds):
        raise SystemExit(f"{kind}, {viewers_of(viewers)}: {fault}")
    cpu_s, wall_s = after["cpu_s"] - before["cpu_s"], after["at_s"] - before["at_s"]
    row = {
        "cpu_percent": round(100 * cpu_s / wall_s, 2),
        "us_a_packet": round(1e6 * cpu_s / packets, 2),
        "packets_a_second_and_viewer": round(packets / wall_s / viewers, 1),
        "bps_a_viewer": round(size * 8 / wall_s / viewers),
        "wakes_a_second": round((after["wakes"] - before["wakes"]) / wall_s, 1),
        "system_share": round((after["system_s"] - before["system_s"]) / cpu_s, 2),
    }
    return row, profile


def shortfall(made, arrived_bytes, viewers, seconds):
    """What is missing of the pictures that were due and of what arrived of them; None where it counts."""
    due_bytes = made["bytes"] * viewers
    if made["frames"] >= SENT * FPS * seconds and arrived_bytes >= SENT * due_bytes > 0:
        return None
    return (
        f"{arrived_bytes / 1e6:.1f} of {due_bytes / 1e6:.1f} MB in {made['frames']} pictures: "
        "the machine is too busy, or the sender holds back. Measure again when nothing else runs."
    )


def line_of(rows):
    """Least squares of the CPU share over the viewers: per cent a viewer, and the worst distance from it."""
    xs, ys = [float(n) for n in rows], [row["cpu_percent"] for row in rows.values()]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if not spread:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    off = max(abs(y - mean_y - slope * (x - mean_x)) for x, y in zip(xs, ys, strict=True))
    return {"percent_a_viewer": round(slope, 3), "worst_residual_percent": round(off, 2)}


async def main(options):
    console = Console(width=max(WIDTH, Console().width), soft_wrap=True)
    console.print(
        f"{sys.executable}: {sys.version}", f"load {os.getloadavg()[0]:.1f}", sep="\n", markup=False
    )
    for one in filter(None, (options.peer_url, options.peer_feed)):
        listener(one)
    result, profiles = {}, {}
    try:
        await measure_all(options, console, result, profiles)
    finally:  # what was measured stays, also where a later run fails
        if result:
            show(console, result)
        for title, profile in profiles.items():
            console.print(f"\n{title}\n{profile}", markup=False, highlight=False)
        if result and options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")


async def measure_all(options, console, result, profiles):
    """Each path, number of viewers and sender in turn."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pinhole-fanout-")))
        frames = folder / "frames"
        units = encode()
        frames.write_bytes(pickle.dumps(units))
        feed = stack.enter_context(Feed(options.peer_feed, units)) if options.peer_url else None
        if feed:
            await check(options.peer_url, feed)
        for path in options.paths:
            servers = []
            if path == "turn":
                server = stack.enter_context(coturn())
                username, credential = rest_credential(SECRET, "bench", int(time.time()) + 3600)
                servers = [{"urls": server.url("udp"), "username": username, "credential": credential}]
            for viewers in options.viewers:
                for kind in ("stock", "ours", "peer") if feed and path == "direct" else ("stock", "ours"):
                    sender = (
                        Peer(options.peer_url, feed) if kind == "peer" else await Sender.start(kind, frames)
                    )
                    row, profile = await measure(kind, viewers, servers, sender, options)
                    result.setdefault(path, {}).setdefault(kind, {})[viewers] = row
                    if profile and viewers == max(options.viewers):
                        profiles[f"{path}, {kind}, {viewers_of(viewers)}"] = profile
                    console.print(f"{path}, {viewers_of(viewers)}, {kind}: {in_words(row)}")


def viewers_of(number):
    return f"{number} viewer" if number == 1 else f"{number} viewers"


def in_words(row):
    """One row of the result."""
    return (
        f"{row['cpu_percent']} % of a core, of it {100 * row['system_share']:.0f} % in the kernel; "
        f"{row['us_a_packet']} µs a packet; {row['wakes_a_second']} wake-ups/s; a viewer gets "
        f"{row['packets_a_second_and_viewer']} packets/s, {row['bps_a_viewer'] / 1e6:.2f} Mb/s"
    )


def show(console, result):
    """The table, and what it says of an added viewer; both go into the result too."""
    kinds = [kind for kind in ("stock", "ours", "peer") if any(kind in those for those in result.values())]
    ratios = [kind for kind in kinds if kind != "ours"]
    heads = [head for kind in kinds for head in (f"{kind}: core", "µs a packet")]
    table = Table(caption="core: CPU time of one; ours / another: of the µs a packet")
    for head in ("path", "viewers", *heads, *(f"ours / {kind}" for kind in ratios)):
        table.add_column(head, no_wrap=True)
    for path, those in result.items():
        for viewers in dict.fromkeys(number for rows in those.values() for number in rows):
            rows = {kind: those[kind][viewers] for kind in kinds if viewers in those.get(kind, {})}
            for kind in ratios:
                if kind in rows and "ours" in rows:
                    ratio = round(rows["ours"]["us_a_packet"] / rows[kind]["us_a_packet"], 3)
                    rows["ours"][f"of_{kind}"] = ratio
            cells = [
                cell
                for kind in kinds
                for cell in (
                    (f"{rows[kind]['cpu_percent']} %", str(rows[kind]["us_a_packet"]))
                    if kind in rows
                    else ("-", "-")
                )
            ]
            of = [str(rows.get("ours", {}).get(f"of_{kind}", "-")) for kind in ratios]
            table.add_row(path, str(viewers), *cells, *of)
        those["line"] = {kind: line_of(rows) for kind, rows in those.items()}
    console.print(table)
    for path, those in result.items():
        for kind, line in those["line"].items():
            if line:
                console.print(
                    f"{path}, {kind}: an added viewer costs {line['percent_a_viewer']} % of a core; "
                    f"the worst row is {line['worst_residual_percent']} % off that line"
                )


def parse(words=None):
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench fanout", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--viewers", type=one_or_more, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--paths", nargs="+", choices=["direct", "turn"], default=["direct", "turn"])
    parser.add_argument("--seconds", type=above_zero, default=6, help="of each measurement")
    parser.add_argument(
        "--settle", type=not_negative, default=5, help="seconds before it: the estimate climbs"
    )
    parser.add_argument("--profile", action="store_true", help="of the largest number of viewers")
    parser.add_argument(
        "--peer-url", type=url("http", "https"), metavar="URL", help="where another server answers"
    )
    parser.add_argument(
        "--peer-feed", type=url("rtsp"), metavar="URL", help="where it takes pictures: rtsp://…"
    )
    add_json(parser)
    arguments = parser.parse_args(words)
    if bool(arguments.peer_url) != bool(arguments.peer_feed):
        parser.error("--peer-url and --peer-feed go together")
    if arguments.peer_url and "direct" not in arguments.paths:
        parser.error("a peer is measured on the direct path alone: --paths direct")
    return arguments


if __name__ == "__main__":
    asyncio.run(main(parse()))
