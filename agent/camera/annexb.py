"""H.264 annex B: looked through without copying, and made into access units."""

from itertools import pairwise

from agent.model.media import AccessUnit

SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8
"""NAL unit types, H.264 table 7-1."""


def nal_units(data: bytes) -> list[tuple[int, int]]:
    """Type and offset of the start code of each NAL unit, in order; nothing is copied."""
    units = []
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        units.append((data[at + 3] & 0x1F, at))
        at = data.find(b"\0\0\1", at + 3)
    return units


def is_idr(data: bytes) -> bool:
    """Whether the picture is an IDR; an encoder's flags are not asked."""
    return any(nal_type == IDR_SLICE for nal_type, _ in nal_units(data))


def profile_level_id(data: bytes) -> str | None:
    """RFC 6184 profile-level-id from the first SPS, or None where there is none."""
    for nal_type, at in nal_units(data):
        if nal_type == SPS and len(data) >= at + 7:
            return data[at + 4 : at + 7].hex()
    return None


def parameter_sets(data: bytes) -> bytes:
    """The SPS and PPS with their start codes, or nothing."""
    units = [*nal_units(data), (0, len(data))]
    sets = (data[at:end] for (nal_type, at), (_, end) in pairwise(units) if nal_type in (SPS, PPS))
    return b"".join(b"\0" + part.rstrip(b"\0") for part in sets)  # a zero at the end belongs to what follows


class UnitMaker:
    """Makes access units of what a hardware encoder gives, from its first keyframe on."""

    def __init__(self, fps: float, headers: bytes = b"") -> None:
        """`headers`: SPS and PPS, where they come apart from the pictures."""
        self._interval_us = 1_000_000 / fps
        self._headers = parameter_sets(headers)
        self._last_us: int | None = None
        self._seq = 0

    def make(self, data: bytes, capture_us: int) -> AccessUnit | None:
        """None for what is no picture, or comes before the first keyframe.

        A pause of more than one and a half intervals is counted as pictures lost, so `seq` has a gap there.
        """
        types = {nal_type for nal_type, _ in nal_units(data)}
        if SPS in types:
            self._headers = parameter_sets(data)
        is_keyframe = IDR_SLICE in types
        if not types & {SLICE, IDR_SLICE} or (self._last_us is None and not is_keyframe):
            return None
        if is_keyframe and SPS not in types:
            data = self._headers + data
        self._seq += self._pictures_since(capture_us)
        self._last_us = capture_us
        return AccessUnit(data, capture_us, self._seq, 0, is_keyframe)

    def _pictures_since(self, capture_us: int) -> int:
        if self._last_us is None:
            return 0
        return max(1, round((capture_us - self._last_us) / self._interval_us))
