"""The test picture: colour bars, a clock, a ball that moves, who walks by, and the machine-readable stamp.

Drawn without numpy: rows of bytes, copied; what never moves is painted once.
"""

import math
import time
from collections.abc import Iterator

import av

from agent.camera.color import LIMITED, MATRIX
from agent.model import stamp

Color = tuple[int, int, int]
"""Y, Cb, Cr in BT.601 video range."""

_TITLE = "PINHOLE TEST PICTURE"
_REVOLUTION_US = 6_000_000
"""The ball runs around the clock once in this time."""
_WALK_EVERY_US, _WALK_AFTER_US, _WALK_US = 40_000_000, 24_000_000, 10_000_000
"""Somebody crosses the picture, for who looks for motion: a ball that never stops counts as a leaf. The first
walk is when clock and ball are long known, and each is over before the next is an event of its own."""
_STEPS = 9
_POSES = 12
"""From legs that are closed to legs far apart."""

# Segments a to g of each digit, as on a seven-segment display.
_SEGMENTS = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc",
    "5": "afgcd", "6": "afgedc", "7": "abc", "8": "abcdefg", "9": "abcdfg",
}  # fmt: skip

# A 5x7 dot font, a row a number, for what the picture says about itself.
_FONT = {
    "A": (14, 17, 17, 31, 17, 17, 17), "C": (14, 17, 16, 16, 16, 17, 14), "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16), "H": (17, 17, 17, 31, 17, 17, 17), "I": (14, 4, 4, 4, 4, 4, 14),
    "L": (16, 16, 16, 16, 16, 16, 31), "N": (17, 25, 21, 19, 17, 17, 17), "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16), "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4), "U": (17, 17, 17, 17, 17, 17, 14), "x": (0, 0, 17, 10, 4, 10, 17),
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14), "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12), ".": (0, 0, 0, 0, 0, 12, 12),
}  # fmt: skip


def ycbcr(red: int, green: int, blue: int) -> Color:
    """BT.601 video range from 8-bit RGB."""
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        round(16 + luma * 219 / 255),
        round(128 + (blue - luma) / 1.772 * 224 / 255),
        round(128 + (red - luma) / 1.402 * 224 / 255),
    )


_PANEL = ycbcr(13, 17, 23)
_INK = 225
_GHOST = 34
"""Luma of lit and of unlit segments."""
_BALL = ycbcr(255, 138, 48)
_WHITE = ycbcr(250, 250, 250)
_ACCENT = ycbcr(45, 190, 200)
_BARS = tuple(
    ycbcr(*rgb)
    for rgb in (
        (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191),
    )
)  # fmt: skip
"""75 % colour bars in the order of EBU and SMPTE."""


class Canvas:
    """Three planes of yuv420p as rows of bytes, without padding."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.luma = bytearray(width_px * height_px)
        self.chroma = (bytearray(width_px * height_px // 4), bytearray(width_px * height_px // 4))

    def fill(self, x: int, y: int, width: int, height: int, color: Color) -> None:
        """A filled rectangle, cut at the borders."""
        luma, *chroma = color
        left, top = max(0, x), max(0, y)
        right, bottom = min(self.width_px, x + width), min(self.height_px, y + height)
        if left >= right or top >= bottom:
            return
        for row in range(top, bottom):
            at = row * self.width_px
            self.luma[at + left : at + right] = bytes([luma]) * (right - left)
        half = self.width_px // 2
        for plane, value in zip(self.chroma, chroma, strict=True):
            for row in range(top // 2, (bottom + 1) // 2):
                at = row * half
                plane[at + left // 2 : at + (right + 1) // 2] = bytes([value]) * (
                    (right + 1) // 2 - left // 2
                )

    def dot(self, x: int, y: int, luma: int) -> None:
        if 0 <= x < self.width_px and 0 <= y < self.height_px:
            self.luma[y * self.width_px + x] = luma

    def text(self, x: int, y: int, text: str, scale: int, luma: int) -> None:
        """Text of 5x7 dots on what is there, each dot `scale` px."""
        for index, letter in enumerate(text):
            for row, bits in enumerate(_FONT.get(letter, ())):
                for column in range(5):
                    if bits >> (4 - column) & 1:
                        self._block(x + (index * 6 + column) * scale, y + row * scale, scale, luma)

    def _block(self, x: int, y: int, size: int, luma: int) -> None:
        for row in range(y, y + size):
            for column in range(x, x + size):
                self.dot(column, row, luma)


class Digits:
    """Seven-segment text; its glyphs share nine kinds of rows, so that a line of text costs nine joins."""

    # From top to bottom; each arm is cut in three, for a colon's points stand in its middle.
    _ROWS = ("a", "fb", "fb", "fb", "g", "ec", "ec", "ec", "d")
    _COLON, _POINT = (2, 6), (8,)

    def __init__(self, height_px: int) -> None:
        thick = max(1, round(height_px * 0.13))
        arm = max(thick, (height_px - 3 * thick) // 2)
        above = (arm - thick) // 2
        arms = (above, thick, arm - thick - above)
        self.row_heights_px = (thick, *arms, thick, *arms, thick)
        self.height_px = sum(self.row_heights_px)
        self._thick_px = thick
        self._bar_px = max(1, round(height_px * 0.36))
        self._gap_px = max(1, round(height_px * 0.14))
        self._glyphs = {digit: self._digit(lit) for digit, lit in _SEGMENTS.items()}
        self._glyphs[":"] = self._points(self._COLON)
        self._glyphs["."] = self._points(self._POINT)

    def width_px(self, text: str) -> int:
        return len(self.strips(text)[0])

    def strips(self, text: str) -> list[bytes]:
        """One row of luma for each of `row_heights_px`."""
        return [b"".join(self._glyphs[letter][row] for letter in text) for row in range(len(self._ROWS))]

    def _digit(self, lit: str) -> list[bytes]:
        blank = bytes([_PANEL[0]])
        rows = []
        for segments in self._ROWS:
            inks = [bytes([_INK if segment in lit else _GHOST]) for segment in segments]
            if len(segments) == 1:
                row = blank * self._thick_px + inks[0] * self._bar_px + blank * self._thick_px
            else:
                row = inks[0] * self._thick_px + blank * self._bar_px + inks[1] * self._thick_px
            rows.append(row + blank * self._gap_px)
        return rows

    def _points(self, lit_rows: tuple[int, ...]) -> list[bytes]:
        gap = bytes([_PANEL[0]]) * self._gap_px
        return [
            bytes([_INK if row in lit_rows else _PANEL[0]]) * self._thick_px + gap
            for row in range(len(self._ROWS))
        ]


class Sprite:
    """A shaded ball: for each row its left edge and its bytes, in luma and chroma."""

    def __init__(self, radius_px: int) -> None:
        self.radius_px = radius_px
        self.luma = [self._row(radius_px, dy, radius_px) for dy in range(-radius_px, radius_px)]
        half = radius_px // 2
        self.chroma = [(math.isqrt(half * half - dy * dy), dy) for dy in range(-half, half)]

    @staticmethod
    def _row(radius: int, dy: int, scale: int) -> tuple[int, bytes]:
        reach = math.isqrt(radius * radius - dy * dy)
        light = (-0.4, -0.5, 0.77)
        row = bytearray()
        for dx in range(-reach, reach):
            depth = math.sqrt(max(0, radius * radius - dx * dx - dy * dy))
            shade = max(0.0, (dx * light[0] + dy * light[1] + depth * light[2]) / scale)
            row.append(min(235, round(40 + (_BALL[0] - 40) * (0.25 + 0.75 * shade) + 70 * shade**12)))
        return reach, bytes(row)


class Walker:
    """A figure as on a pedestrian light: tall enough for several cells of what looks for motion."""

    def __init__(self, height_px: int) -> None:
        self.height_px = max(8, round(height_px * 0.21)) & ~1
        self._poses = [list(self._pose(index / _POSES)) for index in range(_POSES + 1)]

    def strips(self, swing: float) -> list[tuple[int, int, int]]:
        """(row, left, right) of what is two rows high, from its middle; `swing`: of the legs, 0 to 1."""
        return self._poses[round(swing * _POSES)]

    def _pose(self, swing: float) -> Iterator[tuple[int, int, int]]:
        tall = self.height_px
        for row in range(0, tall, 2):
            for middle, reach in self._spans((row + 1) / tall, swing):
                left, right = (round((middle + side) * tall) & ~1 for side in (-reach, reach))
                yield row, left, max(left + 2, right)

    @staticmethod
    def _spans(at: float, swing: float) -> Iterator[tuple[float, float]]:
        """Middle and half width of what there is at a part of its height, all in heights."""
        if at < 0.18:
            yield 0.0, math.sqrt(0.09**2 - (at - 0.09) ** 2)
        elif 0.2 <= at < 0.52:
            arm = 0.07 + 0.16 * swing * (at - 0.2) / 0.32
            yield from ((0.0, 0.09), (arm, 0.03), (-arm, 0.03))
        elif at >= 0.52:
            leg = 0.05 + 0.17 * swing * (at - 0.52) / 0.48
            yield from ((leg, 0.05), (-leg, 0.05))


class TestPicture:
    """Draws the test picture into a yuv420p frame of its own, which each `draw` overwrites."""

    __test__ = False  # its name must not make pytest collect it

    def __init__(self, width_px: int, height_px: int, fps: float) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.frame = av.VideoFrame(width_px, height_px, "yuv420p")
        self.frame.colorspace, self.frame.color_range = MATRIX, LIMITED
        self._planes = tuple(memoryview(plane).cast("B") for plane in self.frame.planes)
        self._strides = tuple(plane.line_size for plane in self.frame.planes)
        self._large, self._small = Digits(round(height_px * 0.15)), Digits(round(height_px * 0.09))
        self._sprite = Sprite(max(4, round(height_px * 0.05)) & ~1)
        self._walker = Walker(height_px)
        self._layout()
        self._background = self._padded(self._paint(fps))

    def draw(self, elapsed_us: int, unix_ms: int) -> av.VideoFrame:
        """The picture of a moment: motion by `elapsed_us`, clock and stamp by `unix_ms` (since the epoch)."""
        for plane, background in zip(self._planes, self._background, strict=True):
            plane[:] = background
        self._draw_ball(elapsed_us)
        self._draw_walker(elapsed_us)
        self._draw_clock(unix_ms)
        self._draw_stamp(unix_ms)
        return self.frame

    def _layout(self) -> None:
        width, height = self.width_px, self.height_px
        clock_px = self._large.width_px("00:00:00") + self._small.width_px(".000")
        self._clock_x = (width - clock_px) // 2
        self._clock_y = round(height * 0.36)
        margin = round(height * 0.06)
        self._panel = (
            self._clock_x - margin & ~1,
            round(height * 0.25) & ~1,
            clock_px + 2 * margin & ~1,
            round(height * 0.37) & ~1,
        )
        track_y = self._clock_y + self._large.height_px + round(height * 0.05)
        self._track = (self._clock_x, track_y & ~1, clock_px, max(2, height // 90 & ~1))

    def _paint(self, fps: float) -> Canvas:
        width, height = self.width_px, self.height_px
        canvas = Canvas(width, height)
        for row in range(0, height, 2):
            part = row / height
            canvas.fill(
                0, row, width, 2, ycbcr(round(22 + 10 * part), round(34 + 26 * part), round(58 + 44 * part))
            )
        self._paint_grid(canvas)
        self._paint_bars(canvas)
        self._paint_panel(canvas, f"{width}x{height} {fps:g} FPS")
        cell_w, cell_h = stamp.cell_size_px(width, height)
        canvas.fill(0, 0, cell_w * stamp.CELLS, cell_h, (stamp.BLACK, 128, 128))
        return canvas

    def _paint_grid(self, canvas: Canvas) -> None:
        step = max(8, self.height_px // 12)
        for y in range(step, self.height_px, step):
            for x in range(self.width_px):
                canvas.dot(x, y, canvas.luma[y * self.width_px + x] + 9)
        for x in range(self.width_px // 2 % step, self.width_px, step):
            for y in range(self.height_px):
                if y % step:
                    canvas.dot(x, y, canvas.luma[y * self.width_px + x] + 9)

    def _paint_bars(self, canvas: Canvas) -> None:
        width, height = self.width_px, self.height_px
        top, middle, bottom = (round(height * part) & ~1 for part in (0.82, 0.93, 1.0))
        for index, color in enumerate(_BARS):
            left, right = (width * i // len(_BARS) & ~1 for i in (index, index + 1))
            canvas.fill(left, top, right - left, middle - top, color)
        for index in range(11):
            left, right = (width * i // 11 & ~1 for i in (index, index + 1))
            canvas.fill(left, middle, right - left + 2, bottom - middle, (16 + round(21.9 * index), 128, 128))

    def _paint_panel(self, canvas: Canvas, caption: str) -> None:
        left, top, width, height = self._panel
        corner = max(2, self.height_px // 40)
        for row in range(0, height, 2):  # rounded corners
            from_edge = min(row, height - 2 - row)
            inset = corner - math.isqrt(corner**2 - (corner - from_edge) ** 2) if from_edge < corner else 0
            canvas.fill(left + inset, top + row, width - 2 * inset, 2, _PANEL)
        letters = len(_TITLE) + len(caption) + 2
        scale = max(1, min(round(self.height_px * 0.0045), self._track[2] // (6 * letters)))
        y = top + (self._clock_y - top - 7 * scale) // 2
        canvas.text(self._clock_x, y, _TITLE, scale, 150)
        right = self._clock_x + self._track[2] - len(caption) * 6 * scale
        canvas.text(right, y, caption, scale, 90)
        canvas.fill(*self._track, (_GHOST, _ACCENT[1], _ACCENT[2]))

    def _padded(self, canvas: Canvas) -> list[bytes]:
        """The planes with rows as long as the frame's own."""
        widths = (canvas.width_px, canvas.width_px // 2, canvas.width_px // 2)
        planes = []
        for data, width, stride in zip((canvas.luma, *canvas.chroma), widths, self._strides, strict=True):
            rows = (bytes(data[at : at + width]) for at in range(0, len(data), width))
            planes.append(b"".join(row.ljust(stride, b"\0") for row in rows))
        return planes

    def _draw_ball(self, elapsed_us: int) -> None:
        angle = elapsed_us % _REVOLUTION_US / _REVOLUTION_US * 2 * math.pi
        radius = self._sprite.radius_px
        x = round(self.width_px * (0.5 + 0.43 * math.sin(angle))) & ~1
        y = round(self.height_px * (0.435 - 0.29 * math.cos(angle))) & ~1
        luma, stride = self._planes[0], self._strides[0]
        for row, (reach, shade) in enumerate(self._sprite.luma, start=y - radius):
            at = row * stride + x - reach
            luma[at : at + 2 * reach] = shade
        for plane, stride, value in zip(self._planes[1:], self._strides[1:], _BALL[1:], strict=True):
            for reach, dy in self._sprite.chroma:
                at = (y // 2 + dy) * stride + x // 2 - reach
                plane[at : at + 2 * reach] = bytes([value]) * (2 * reach)

    def _draw_walker(self, elapsed_us: int) -> None:
        count, at_us = divmod(elapsed_us, _WALK_EVERY_US)
        share = (at_us - _WALK_AFTER_US) / _WALK_US
        if not 0 <= share <= 1:
            return
        middle = round(self.width_px * (1 - share if count % 2 else share)) & ~1
        top = round(self.height_px * 0.97) - self._walker.height_px & ~1
        luma, *chroma = zip(self._planes, self._strides, _WHITE, strict=True)
        for row, left, right in self._walker.strips(abs(math.sin(math.pi * _STEPS * share))):
            begin, end = max(0, middle + left), min(self.width_px, middle + right)
            if begin >= end:
                continue
            plane, stride, value = luma
            strip = bytes([value]) * (end - begin)
            at = (top + row) * stride + begin
            plane[at : at + len(strip)] = plane[at + stride : at + stride + len(strip)] = strip
            for plane, stride, value in chroma:
                at = ((top + row) * stride + begin) // 2
                plane[at : at + len(strip) // 2] = bytes([value]) * (len(strip) // 2)

    def _draw_clock(self, unix_ms: int) -> None:
        seconds, millis = divmod(unix_ms, 1000)
        text = time.strftime("%H:%M:%S", time.localtime(seconds))
        self._draw_digits(self._large, self._clock_x, self._clock_y, text)
        below = self._large.height_px - self._small.height_px
        x = self._clock_x + self._large.width_px(text)
        self._draw_digits(self._small, x, self._clock_y + below, f".{millis:03}")
        left, top, width, height = self._track
        done = bytes([_ACCENT[0]]) * (width * millis // 1000)
        for row in range(top, top + height):
            at = row * self._strides[0] + left
            self._planes[0][at : at + len(done)] = done

    def _draw_digits(self, digits: Digits, x: int, y: int, text: str) -> None:
        luma, stride = self._planes[0], self._strides[0]
        at = y * stride + x
        for strip, rows in zip(digits.strips(text), digits.row_heights_px, strict=True):
            for _ in range(rows):
                luma[at : at + len(strip)] = strip
                at += stride

    def _draw_stamp(self, unix_ms: int) -> None:
        cell_w, cell_h = stamp.cell_size_px(self.width_px, self.height_px)
        cells = (bytes([stamp.WHITE if bit else stamp.BLACK]) * cell_w for bit in stamp.encode_bits(unix_ms))
        row = b"".join(cells)
        for at in range(0, cell_h * self._strides[0], self._strides[0]):
            self._planes[0][at : at + len(row)] = row
