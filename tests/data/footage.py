"""Makes a file of camera-like footage: sensor noise, a panning texture, things that move, flickering light.

    python tests/data/footage.py OUT.h264 --seconds 20 --size 1280x720 --fps 30

The same arguments give the same pictures. `write` does it for fixtures.
"""

import argparse
import math
import random
from fractions import Fraction
from pathlib import Path

import av

NOISE_FRAMES = 5
"""Pictures of noise that are made once and laid on at shifting offsets: random enough to a codec."""
NOISE_LEVELS = 14
"""Peak to peak, in levels of luma: a small sensor indoors."""
MAINS_HZ = 100
"""Light flickers at twice the mains frequency, which the frame rate samples into a slow beat."""


class Footage:
    """Pictures of a scene as a cheap camera sees it, each made from its number."""

    def __init__(self, width: int, height: int, fps: float, seed: int = 1) -> None:
        self.width, self.height, self.fps = width, height, fps
        chance = random.Random(seed)
        self._texture = self._make_texture(chance)
        self._noise = [
            bytes(chance.choices(range(NOISE_LEVELS), k=width * height + 4096)) for _ in range(NOISE_FRAMES)
        ]
        self._chance = random.Random(seed + 1)
        self._objects = [
            (
                chance.uniform(0.02, 0.12),
                chance.uniform(0.2, 0.8),
                chance.uniform(0.05, 0.2),
                chance.randint(60, 200),
            )
            for _ in range(6)
        ]

    def frame(self, number: int) -> av.VideoFrame:
        """The picture of this number, as yuv420p."""
        seconds = number / self.fps
        luma = self._panned(int(seconds * 60))
        self._move_objects(luma, seconds)
        luma = self._lit(luma, seconds)
        return self._to_frame(luma, number)

    def _make_texture(self, chance: random.Random) -> list[bytes]:
        """Rows three times as wide as the picture, so that a pan always finds one."""
        waves = [
            (chance.uniform(0.004, 0.09), chance.uniform(0, 6.28), chance.uniform(4, 18)) for _ in range(9)
        ]
        wide = self.width * 3
        base = [sum(size * math.sin(rate * x + phase) for rate, phase, size in waves) for x in range(wide)]
        rows = []
        for y in range(self.height):
            if y % 4 == 0:
                shift = int(30 * math.sin(y * 0.031)) + 40
                level = 110 + 40 * math.sin(y * 0.013)
                row = bytes(max(16, min(220, int(level + base[(x + shift) % wide]))) for x in range(wide))
            rows.append(row)
        return rows

    def _panned(self, offset: int) -> bytearray:
        start = offset % (self.width * 2)
        return bytearray(b"".join(row[start : start + self.width] for row in self._texture))

    def _move_objects(self, luma: bytearray, seconds: float) -> None:
        for index, (rate, where, size, level) in enumerate(self._objects):
            width, height = max(4, int(size * self.width)), max(4, int(size * self.height))
            x = int((math.sin(seconds * rate * 6.28 + index) * 0.5 + 0.5) * (self.width - width))
            y = int(where * (self.height - height))
            for row in range(y, y + height):
                shade = max(16, min(235, level + (row - y) // 4))
                luma[row * self.width + x : row * self.width + x + width] = bytes([shade]) * width

    def _lit(self, luma: bytearray, seconds: float) -> bytes:
        """Flicker and noise in two passes of C speed: a table for the light, an integer sum for the noise."""
        gain = 1 + 0.03 * math.sin(6.28 * MAINS_HZ * 1.003 * seconds)
        table = bytes(max(16, min(235 - NOISE_LEVELS, int(value * gain))) for value in range(256))
        offset = self._chance.randrange(4096)
        noise = self._noise[self._chance.randrange(NOISE_FRAMES)][offset : offset + len(luma)]
        # No byte overflows, for the table leaves room for the noise.
        total = int.from_bytes(luma.translate(table), "little") + int.from_bytes(noise, "little")
        return total.to_bytes(len(luma), "little")

    def _to_frame(self, luma: bytes, number: int) -> av.VideoFrame:
        frame = av.VideoFrame(self.width, self.height, "yuv420p")
        half = self.width // 2
        blue, red = (bytes([128 + int(6 * math.sin(y * 0.02 + part))]) for y, part in ((0, 0), (0, 2)))
        planes = (
            (luma, self.width),
            (blue * half * (self.height // 2), half),
            (red * half * (self.height // 2), half),
        )
        for plane, (data, width) in zip(frame.planes, planes, strict=True):
            rows = (data[at : at + width] for at in range(0, len(data), width))
            plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
        frame.pts, frame.time_base = number, 1 / Fraction(self.fps).limit_denominator(1001)
        return frame


def write(path: Path, seconds: float, size: tuple[int, int], fps: float = 30, seed: int = 1) -> Path:
    """Write H.264 (Annex B, or MP4 by the name's ending) without B-frames; a keyframe every two seconds."""
    width, height = size
    footage = Footage(width, height, fps, seed)
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = round(2 * fps)
        stream.options = {"preset": "veryfast", "crf": "26", "bf": "0", "profile": "high"}
        for number in range(round(seconds * fps)):
            container.mux(stream.encode(footage.frame(number)))
        container.mux(stream.encode(None))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    write(options.out, options.seconds, (width, height), options.fps, options.seed)
    print(
        f"{options.out}: {options.seconds:g} s of {width}x{height}, {options.out.stat().st_size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
