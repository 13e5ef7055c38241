"""A tone to send as sound, and its pitch as the other end hears it."""

import asyncio
import time
from contextlib import contextmanager, nullcontext
from fractions import Fraction

import av
import numpy as np
from aiortc import AudioStreamTrack

from agent.media.stream import Stream
from agent.model.media import RtpFrame, Unit
from agent.rtc.sound import Sound

RATE_HZ, PACKET = 48_000, 960
"""Opus packets of 20 ms."""


def tone(pitch_hz, number):
    """The packet of this number, not yet encoded."""
    at = np.arange(number * PACKET, (number + 1) * PACKET)
    wave = (8000 * np.sin(2 * np.pi * pitch_hz * at / RATE_HZ)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, number * PACKET, Fraction(1, RATE_HZ)
    return frame


def pitch_hz(frame):
    """The loudest pitch."""
    (mono,) = av.AudioResampler(format="s16", layout="mono").resample(frame)
    wave = mono.to_ndarray()[0]
    return np.abs(np.fft.rfft(wave)).argmax() * mono.sample_rate / len(wave)


class Voice(AudioStreamTrack):
    """A tone, for aiortc to send."""

    def __init__(self, hz):
        super().__init__()
        self._hz, self._number = hz, 0
        self._began_s = time.monotonic()

    async def recv(self):
        self._number += 1
        await asyncio.sleep(max(0.0, self._began_s + self._number * 0.02 - time.monotonic()))
        return tone(self._hz, self._number)


class Room:
    """A camera's microphone that hears a tone, and its loudspeaker, which is one a viewer."""

    def __init__(self, hz):
        self._hz = hz
        self.packets = asyncio.Queue()
        self.stream = Stream(self._packetize, nullcontext, lambda _: None)
        self.listeners = 0

    @property
    def sound(self):
        return Sound(self.stream.reading_rtp, self._receiving)

    async def record(self):
        """Until cancelled."""
        encoder = av.CodecContext.create("libopus", "w")
        encoder.sample_rate, encoder.format, encoder.layout = RATE_HZ, "s16", "mono"
        began_s, number = time.monotonic(), 0
        while True:
            for packet in encoder.encode(tone(self._hz, number)):
                self.stream.push(Unit(bytes(packet), number * 20_000, 0, is_keyframe=True, medium="audio"))
            number += 1
            await asyncio.sleep(max(0.0, began_s + number * 0.02 - time.monotonic()))

    async def heard(self):
        """What viewers said in the next 25 packets, decoded."""
        decoder = av.CodecContext.create("opus", "r")
        decoder.sample_rate, decoder.layout = RATE_HZ, "stereo"
        packets = [await asyncio.wait_for(self.packets.get(), 60) for _ in range(25)]
        return packets, [frame for packet in packets for frame in decoder.decode(av.Packet(packet.payload))]

    @contextmanager
    def _receiving(self):
        self.listeners += 1
        yield self.packets.put_nowait
        self.listeners -= 1

    @staticmethod
    def _packetize(unit):
        time_48k = unit.capture_us * RATE_HZ // 1_000_000
        return RtpFrame((unit.data,), time_48k, unit.is_keyframe, len(unit.data))
