"""What a head's camera sees: where something that stands in the world appears in its picture.

A pinhole camera on a head whose tilt turns with its pan, by matrices. The lens is one that blocks of 18-fold
zoom have: their makers' table of positions and magnifications.
"""

import math
from bisect import bisect_right

_LENS = (
    (0x0000, 1.0), (0x16A1, 2.0), (0x2063, 3.0), (0x2628, 4.0), (0x2A1D, 5.0), (0x2D13, 6.0), (0x2F6D, 7.0),
    (0x3161, 8.0), (0x330D, 9.0), (0x3486, 10.0), (0x3709, 12.0), (0x3920, 14.0), (0x3ADD, 16.0),
    (0x4000, 18.0),
)  # fmt: skip
ZOOM_MAX = 18.0
ZOOM_WAY_DEG = 60.0
"""The whole way of a simulated head's lens is so many of its degrees."""


def magnified_at(zoom_deg):
    """By the lens, where it stands so."""
    position = zoom_deg / ZOOM_WAY_DEG * 0x4000
    at = min(bisect_right(_LENS, (position, math.inf)), len(_LENS) - 1)
    (x0, y0), (x1, y1) = _LENS[at - 1], _LENS[at]
    return y0 + (y1 - y0) * (position - x0) / (x1 - x0)


class View:
    """`fov_deg` is how wide the picture is at the wide end."""

    def __init__(self, fov_deg):
        self._half = math.tan(math.radians(fov_deg / 2))

    def ray(self, position, x, y):
        """From a place in the picture, in widths right of and above its middle, into the world."""
        pan, tilt, magnified = self._pose(position)
        right, up = 2 * x * self._half / magnified, 2 * y * self._half / magnified
        ahead = math.cos(tilt) - up * math.sin(tilt)
        above = math.sin(tilt) + up * math.cos(tilt)
        return (
            ahead * math.cos(pan) - right * math.sin(pan),
            ahead * math.sin(pan) + right * math.cos(pan),
            above,
        )

    def place(self, position, ray):
        """Where it appears in the picture; None behind the camera."""
        pan, tilt, magnified = self._pose(position)
        ahead = ray[0] * math.cos(pan) + ray[1] * math.sin(pan)
        right = -ray[0] * math.sin(pan) + ray[1] * math.cos(pan)
        depth = ahead * math.cos(tilt) + ray[2] * math.sin(tilt)
        up = -ahead * math.sin(tilt) + ray[2] * math.cos(tilt)
        if depth <= 0:
            return None
        scale = magnified / (2 * self._half * depth)
        return right * scale, up * scale

    def _pose(self, position):
        return math.radians(position[0]), math.radians(position[1]), magnified_at(position[2])
