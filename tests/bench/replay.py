"""The way of a picture to its viewers, from the stream to the sockets, repeated exactly.

`replay.py record VIEWERS FRAMES TRACE` has viewers that answer as Chromium does, keeps what they said and
when, and prints a hash of all that left. `replay.py play VIEWERS FRAMES TRACE` lets the same be said again,
so that the process does the sender's work and nothing else. Time passes when nothing is left to do.
"""

import argparse
import asyncio
import hashlib
import json
import pickle
import random
import secrets
import selectors
import socket
import sys
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from aioice import ice
from aioice.candidate import Candidate
from aiortc.rtcdtlstransport import RTCCertificate
from bench.reports import Reports
from data.offers import CHROMIUM
from pylibsrtp import Policy, Session

from agent.control.demand import Limits
from agent.control.stream import StreamControl
from agent.media.packetizer import to_rtp_frame
from agent.media.stream import Stream
from agent.model.media import Unit
from agent.rtc.alarm import Alarm
from agent.rtc.answer import parse_offer
from agent.rtc.codecs import TRANSPORT_CC
from agent.rtc.lane import Lane
from agent.rtc.peer import Peer

FPS, SECOND_NS = 30, 1_000_000_000
KEYFRAME_BYTES = 60_000
CACHE_BYTES = 48 << 20
"""More than a core's caches hold."""
DELAY_US, JITTER_US = 20_000, 3000
"""Of each packet to its viewer; an office's network."""
REPORT_S, RECEIVER_REPORT_S = 0.062, 1.0
START_NS = 1_000 * SECOND_NS
PROFILE, KEY = Policy.SRTP_PROFILE_AES128_CM_SHA1_80, bytes(range(30))


class Clock(selectors.EpollSelector):
    """The time of the whole process: where the loop would sleep, it is later."""

    def __init__(self, *, is_cold):
        super().__init__()
        self.now_ns = START_NS
        self.busy_ns = self.wakes = 0
        self._others = memoryview(bytearray(CACHE_BYTES)) if is_cold else None
        self._began_ns = time.process_time_ns()

    def select(self, timeout=None):
        """What is ready; if nothing is, the time passes, and others have the CPU and its caches."""
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("nothing is waited for")
            self.now_ns += int(timeout * 1e9) + 1
            self.wakes += timeout > 0
            self.busy_ns += time.process_time_ns() - self._began_ns
            if self._others is not None:
                half = CACHE_BYTES // 2
                self._others[:half] = self._others[half:]
            self._began_ns = time.process_time_ns()
        return events

    def rule(self, loop):
        """From now on nobody knows another time, nor a real random number."""
        chance = random.Random(1)
        loop.time = lambda: self.now_ns / 1e9
        time.monotonic_ns = time.time_ns = lambda: self.now_ns
        time.monotonic = time.time = loop.time
        secrets.randbits, secrets.randbelow = chance.getrandbits, chance.randrange
        secrets.token_hex = lambda n: chance.randbytes(n).hex()


def units(bitrate_bps):
    """Annex B: random bytes without zeros, and so without start codes, in the sizes that an encoder makes."""
    chance = random.Random(2)
    usual = bitrate_bps // 8 // FPS
    made = []
    for number in range(300):
        size = int(usual * chance.uniform(0.8, 1.2)) if number else KEYFRAME_BYTES
        body = chance.randbytes(size).replace(b"\0", b"\1")
        made.append(b"\0\0\0\1" + (b"\x41" if number else b"\x65") + body)
    return made


class Encoders:
    """What the control may ask for, and nobody does."""

    def demand(self, *_):
        pass

    def hold(self, *_, **__):
        pass

    def made_bps(self, _stream):
        return None

    def request_keyframe(self, *_):
        pass


class Viewer:
    """The sender's side of one session, without its handshakes: what ICE and DTLS agree upon is known."""

    def __init__(self, control, alarm, certificate, stack):
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.setblocking(False)
        self.sink.bind(("127.0.0.1", 0))
        self.viewing = stack.enter_context(control.viewer("main"))
        self._offer = parse_offer(CHROMIUM)
        self.peer = Peer(
            self._offer,
            [],
            relay_only=False,
            certificate=certificate,
            viewing=self.viewing,
            playback=None,
            sound=None,
            describe=lambda _: (0, 0, "bench"),
            alarm=alarm,
            command=lambda *_: None,
            open_stick=lambda _: None,
            find_file=lambda _: None,
            on_sent=lambda _: None,
            on_candidate=lambda _: None,
            on_silence=lambda: None,
        )
        self._stack, self._alarm = stack, alarm
        self.protected = Session(Policy(KEY, Policy.SSRC_ANY_OUTBOUND, PROFILE))
        self.extension_id = self._offer.video.extensions[TRANSPORT_CC]

    async def start(self):
        """Connected; the lane's task."""
        peer, (_, port) = self.peer, self.sink.getsockname()
        await peer.answer(["127.0.0.1"], lambda _: None)
        connection, dtls = peer._newest, peer._dtls
        (protocol,) = connection._protocols
        self.address = protocol.transport.get_extra_info("sockname")
        remote = Candidate("1", 1, "udp", 1, "127.0.0.1", port, "host")
        connection._remote_candidates.append(remote)
        connection._nominated[1] = ice.CandidatePair(protocol, remote)
        dtls._tx_srtp = Session(Policy(KEY, Policy.SSRC_ANY_OUTBOUND, PROFILE))
        dtls._rx_srtp = Session(Policy(KEY, Policy.SSRC_ANY_INBOUND, PROFILE))
        catch_up = peer._inbox.catch_up
        peer._lane = Lane(self.viewing.lane, peer._sender, peer._route, self._alarm, None, catch_up)
        peer._inbox.can_wait = peer._lane.can_wait
        self._stack.enter_context(self.viewing.streaming(peer._lane.push))
        task = asyncio.create_task(peer._lane.run())
        await asyncio.sleep(0)
        return task


class Recorder:
    """A viewer's other end: takes what comes, and says what Chromium says of it."""

    def __init__(self, viewer, number, trace, clock, loop):
        self._viewer, self._number, self._trace, self._clock, self._loop = viewer, number, trace, clock, loop
        self._reports = Reports(viewer.extension_id)
        self._chance = random.Random(number)
        self.digest, self.packets = hashlib.sha256(), 0
        loop.add_reader(viewer.sink, self._take)
        phase_s = number * 0.007
        loop.call_later(REPORT_S + phase_s, self._report, REPORT_S, self._reports.feedback)
        loop.call_later(
            RECEIVER_REPORT_S + phase_s, self._report, RECEIVER_REPORT_S, self._reports.receiver_report
        )

    def _take(self):
        while True:
            try:
                packet = self._viewer.sink.recv(2048)
            except BlockingIOError:
                return
            self.packets += 1
            self.digest.update(len(packet).to_bytes(2, "big") + packet)
            late_us = DELAY_US + int(self._chance.random() * JITTER_US)
            self._reports.note(packet, self._clock.now_ns // 1000 + late_us)

    def _report(self, every_s, make):
        self._loop.call_later(every_s, self._report, every_s, make)
        if report := make():
            sealed = self._viewer.protected.protect_rtcp(report)
            at_ns = self._clock.now_ns + 1000 * DELAY_US
            self._trace.append((at_ns, self._number, sealed))
            self._loop.call_at(at_ns / 1e9, self._viewer.sink.sendto, sealed, self._viewer.address)


class Sender:
    """A camera's stream, its control and its viewers."""

    def __init__(self, count, bitrate_bps, stack):
        limits = Limits(100_000, int(bitrate_bps * 1.1), FPS, 1920 * 1080, can_rescale=False)
        self._units = units(bitrate_bps)
        self._stream = Stream(to_rtp_frame, nullcontext, lambda _: None)
        self.control = StreamControl(
            Encoders(), lambda: {"main": limits}, lambda _, take: self._stream.reading_rtp(take)
        )
        alarm, certificate = Alarm(), RTCCertificate.generateCertificate()
        self.viewers = [Viewer(self.control, alarm, certificate, stack) for _ in range(count)]

    def push(self, number, capture_us):
        """Picture number so and so; the first alone is a keyframe."""
        data = self._units[number if number < len(self._units) else 1 + number % (len(self._units) - 1)]
        self._stream.push(Unit(data, capture_us, 0, is_keyframe=number == 0))

    def counters(self):
        """Of all viewers."""
        return [one.peer._sender.counters for one in self.viewers]


@dataclass
class Meter:
    """What was used since some moment."""

    sender: Sender
    clock: Clock
    calls: int = 0

    def begin(self, *, with_calls):
        """From now on."""
        self.busy_ns, self.wakes = self.clock.busy_ns, self.clock.wakes
        self.packets = sum(one.packets for one in self.sender.counters())
        if with_calls:
            sys.setprofile(self._count)

    def figures(self, frames):
        """Of so many frames."""
        sys.setprofile(None)
        packets = sum(one.packets for one in self.sender.counters()) - self.packets
        return {
            "us_a_packet": (self.clock.busy_ns - self.busy_ns) / 1e3 / packets,
            "wakes_a_second": (self.clock.wakes - self.wakes) * FPS / frames,
            "packets_a_second": packets * FPS / frames,
            "calls_a_frame_and_viewer": self.calls / frames / len(self.sender.viewers),
        }

    def _count(self, _frame, event, _argument):
        self.calls += event == "call"


async def run(options, clock):
    """All of it; what is to be printed."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        clock.rule(loop)
        sender = Sender(options.viewers, options.bitrate, stack)
        tasks = [await viewer.start() for viewer in sender.viewers]
        tasks.append(asyncio.create_task(sender.control.run()))
        trace, recorders = [], []
        if options.do == "record":
            recorders = [Recorder(one, n, trace, clock, loop) for n, one in enumerate(sender.viewers)]
        else:
            for at_ns, number, sealed in pickle.loads(options.trace.read_bytes()):
                sink = sender.viewers[number].sink
                loop.call_at(at_ns / 1e9, sink.sendto, sealed, sender.viewers[number].address)
        meter, started_s = Meter(sender, clock), loop.time()
        for number in range(options.frames):
            if number == options.skip:
                meter.begin(with_calls=options.calls)
            sender.push(number, clock.now_ns // 1000)
            await asyncio.sleep(max(0.0, started_s + (number + 1) / FPS - loop.time()))
        counters = sender.counters()
        found = meter.figures(options.frames - options.skip)
        found |= {
            "packets": sum(one.packets for one in counters),
            "frames": sum(one.frames for one in counters),
        }
        if recorders:
            found["arrived"] = sum(one.packets for one in recorders)
            found["hash"] = hashlib.sha256(b"".join(one.digest.digest() for one in recorders)).hexdigest()
            options.trace.write_bytes(pickle.dumps(trace))
        for task in tasks:
            task.cancel()
    return found


def main(options):
    """Run on the clock that is made here."""
    clock = Clock(is_cold=options.cold)
    loop = asyncio.SelectorEventLoop(clock)
    print(json.dumps(loop.run_until_complete(run(options, clock))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("do", choices=["record", "play"])
    parser.add_argument("viewers", type=int)
    parser.add_argument("frames", type=int)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--bitrate", type=int, default=3_800_000, metavar="BPS", help="of the pictures")
    parser.add_argument("--skip", type=int, default=0, help="frames before time and calls count")
    parser.add_argument("--calls", action="store_true", help="count those of Python functions")
    parser.add_argument("--cold", action="store_true", help="empty the caches wherever the process sleeps")
    main(parser.parse_args())
