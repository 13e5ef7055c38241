"""Access units of what a hardware encoder gives: H.264 in annex B, cut anyhow."""

from collections.abc import Callable, Iterable

from agent.model.h264 import IDR_SLICE, PPS, SLICE, SPS, START_CODE, nal_type, split_nals
from agent.model.media import Unit


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

    def take(self, nals: Iterable[bytes]) -> bytes:
        """Keep those that are one, and give back the others as a byte stream."""
        return b"".join(START_CODE + nal for nal in nals if not self._keep(nal))

    def _keep(self, nal: bytes) -> bool:
        if (kind := nal_type(nal)) not in (SPS, PPS):
            return False
        # An SPS begins with profile, constraints and level; a PPS with its id (sections 7.3.2.1, .2).
        set_id = _unsigned_exp_golomb(nal[4:8] if kind == SPS else nal[1:5])
        if set_id is None or set_id >= (32 if kind == SPS else 256):
            return False
        key = kind, set_id
        if self._given.get(key) != nal:  # some cameras repeat theirs with every picture
            coded = START_CODE + nal
            named = self._name_colors(coded) if kind == SPS and self._name_colors else coded
            self._given[key], self._sets[key] = nal, named
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
        self._sets.take(split_nals(headers))
        self._sets_due = False
        self._has_begun = False

    def make(self, data: bytes, capture_us: int) -> Unit | None:
        """None for what is no picture, or comes before the first keyframe."""
        nals = list(split_nals(data))
        types = set(map(nal_type, nals))
        is_keyframe = IDR_SLICE in types
        self._sets_due |= bool(types & {SPS, PPS})
        rest = self._sets.take(nals) if is_keyframe or self._sets_due else data
        if not types & {SLICE, IDR_SLICE} or not (self._has_begun or is_keyframe):
            return None
        if is_keyframe or self._sets_due:  # in whatever packets they came, all stand before the picture
            data, self._sets_due = bytes(self._sets) + rest, False
        self._has_begun = True
        return Unit(data, capture_us, 0, is_keyframe)
