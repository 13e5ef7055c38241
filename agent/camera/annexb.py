"""H.264 annex B: looked through without copying, and made into access units."""

from collections.abc import Callable
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


class ParameterSets:
    """The SPS and PPS of a stream by kind and id: each may come alone, and a later one replaces its namesake.

    Bounded: H.264 section 7.4 knows 32 SPS and 256 PPS.
    """

    def __init__(self, name_colors: Callable[[bytes], bytes] | None = None) -> None:
        """`name_colors` takes an SPS with its start code, and gives it back with the colours named."""
        self._name_colors = name_colors
        self._given: dict[tuple[int, int], bytes] = {}
        self._sets: dict[tuple[int, int], bytes] = {}
        """The same with the colours named."""

    def __bytes__(self) -> bytes:
        """All of them with their start codes, each SPS before any PPS."""
        return b"".join(self._sets[key] for key in sorted(self._sets))

    def take(self, data: bytes) -> bytes:
        """Keep those in the data, and give back what else is in it."""
        rest = []
        units = nal_units(data)
        for (nal_type, at), (_, end) in pairwise([*units, (0, len(data))]):
            unit = data[at:end].rstrip(b"\0")  # a zero at the end belongs to what follows
            if not (nal_type in (SPS, PPS) and self._keep(nal_type, unit)):
                rest.append(unit)
        return b"".join(b"\0" + part for part in rest)

    def _keep(self, nal_type: int, unit: bytes) -> bool:
        # An SPS begins with profile, constraints and level; a PPS with its id (sections 7.3.2.1, .2).
        set_id = _unsigned_exp_golomb(unit[7:11] if nal_type == SPS else unit[4:8])
        if set_id is None or set_id >= (32 if nal_type == SPS else 256):
            return False
        key = nal_type, set_id
        if self._given.get(key) != unit:  # some cameras repeat theirs with every picture
            named = self._name_colors(b"\0" + unit) if nal_type == SPS and self._name_colors else b"\0" + unit
            self._given[key], self._sets[key] = unit, named
        return True


def _unsigned_exp_golomb(data: bytes) -> int | None:
    """The ue(v) that the bytes begin with (H.264 section 9.1), or None where they are too short."""
    bits = "".join(f"{byte:08b}" for byte in data.replace(b"\0\0\3", b"\0\0"))
    zeros = bits.find("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1 if 0 <= zeros <= (len(bits) - 1) // 2 else None


class UnitMaker:
    """Makes access units of what a hardware encoder gives, from its first keyframe on."""

    def __init__(self, headers: bytes = b"", name_colors: Callable[[bytes], bytes] | None = None) -> None:
        """`headers`: SPS and PPS, where they come apart from pictures; `name_colors` as `ParameterSets`."""
        self._sets = ParameterSets(name_colors)
        self._sets.take(headers)
        self._sets_due = False
        self._has_begun = False

    def make(self, data: bytes, capture_us: int) -> AccessUnit | None:
        """None for what is no picture, or comes before the first keyframe."""
        types = {nal_type for nal_type, _ in nal_units(data)}
        is_keyframe = IDR_SLICE in types
        self._sets_due |= bool(types & {SPS, PPS})
        rest = self._sets.take(data) if is_keyframe or self._sets_due else data
        if not types & {SLICE, IDR_SLICE} or not (self._has_begun or is_keyframe):
            return None
        if is_keyframe or self._sets_due:  # in whatever packets they came, all stand before the picture
            data, self._sets_due = bytes(self._sets) + rest, False
        self._has_begun = True
        return AccessUnit(data, capture_us, 0, is_keyframe)
