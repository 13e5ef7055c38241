"""H.264 in the two forms it has: Annex B as encoders make it, length-prefixed as MP4 holds it. Pure."""

import struct
from dataclasses import dataclass

from agent.errors import PinholeError
from agent.model.h264 import AUD, FILLER, IDR_SLICE, PPS, SPS, START_CODE, nal_type, split_nals

_LEFT_OUT = frozenset((AUD, FILLER, SPS, PPS))
"""Parameter sets stand once in the file (`avc1`), and a reader puts them before each IDR again."""
_HIGH_PROFILES = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
"""Whose SPS names a chroma format (section 7.3.2.1.1)."""


class BadStreamError(PinholeError):
    """What should be H.264 is none that we can keep."""


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a decoder needs before the first picture. Another one needs another file."""

    sps: bytes
    pps: bytes

    @property
    def annexb(self) -> bytes:
        """As they stand before an IDR."""
        return START_CODE + self.sps + START_CODE + self.pps


def parameter_sets(data: bytes) -> ParameterSets | None:
    """Those of an access unit in Annex B; None where it lacks one."""
    sps = pps = b""
    for nal in split_nals(data):
        match nal_type(nal):
            case 7 if not sps:
                sps = nal
            case 8 if not pps:
                pps = nal
            case 1 | 5:
                break  # they stand before the picture
    return ParameterSets(sps, pps) if len(sps) >= 4 and pps else None


def to_sample(data: bytes) -> bytes:
    """An access unit as a sample of a file: four bytes of length before each NAL unit."""
    return b"".join(
        part
        for nal in split_nals(data)
        if nal_type(nal) not in _LEFT_OUT
        for part in (struct.pack(">I", len(nal)), nal)
    )


def to_annexb(sample: bytes, sets: ParameterSets | None = None) -> bytes:
    """The way back; with `sets` before it for an IDR. Raises BadStreamError."""
    parts, position = [sets.annexb] if sets else [], 0
    while position < len(sample):
        end = _nal_end(sample, position)
        parts += (START_CODE, sample[position + 4 : end])
        position = end
    return b"".join(parts)


def is_sound(sample: bytes | memoryview) -> bool:
    """Whether its NAL units fill it exactly: a card that lost its power may hold zeros instead."""
    position = 0
    try:
        while position < len(sample):
            end = _nal_end(sample, position)
            # No NAL unit ends in a zero byte (section 7.4.1), and these are the types that there are.
            if not sample[end - 1] or not 1 <= sample[position + 4] & 0x1F <= 23:
                return False
            position = end
    except BadStreamError:
        return False
    return position > 0


def starts_with_idr(sample: bytes | memoryview) -> bool:
    """Whether one of its NAL units is a slice of an IDR."""
    position = 0
    while position < len(sample):
        end = _nal_end(sample, position)
        if sample[position + 4] & 0x1F == IDR_SLICE:
            return True
        position = end
    return False


def _nal_end(sample: bytes | memoryview, position: int) -> int:
    if position + 5 > len(sample):
        raise BadStreamError("a sample is torn")
    length = int.from_bytes(sample[position : position + 4], "big")
    end = position + 4 + length
    if not length or end > len(sample):
        raise BadStreamError("a sample is torn")
    return end


def picture_size(sps: bytes) -> tuple[int, int]:
    """Width and height in pixels (sections 7.3.2.1.1 and 7.4.2.1.1). Raises BadStreamError."""
    bits = _Bits(sps[4:])
    bits.golomb()  # seq_parameter_set_id
    chroma = _chroma_format(bits) if sps[1] in _HIGH_PROFILES else 1
    bits.golomb()  # log2_max_frame_num_minus4
    match bits.golomb():  # pic_order_cnt_type
        case 0:
            bits.golomb()
        case 1:
            bits.take(1)
            bits.golomb()
            bits.golomb()
            for _ in range(min(255, bits.golomb())):
                bits.golomb()
    bits.golomb()  # max_num_ref_frames
    bits.take(1)
    width, height = 16 * (bits.golomb() + 1), bits.golomb() + 1
    frames_only = bits.take(1)
    height *= 16 * (2 - frames_only)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        unit_x = 2 if chroma in (1, 2) else 1
        unit_y = (2 if chroma == 1 else 1) * (2 - frames_only)
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width -= unit_x * (left + right)
        height -= unit_y * (top + bottom)
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise BadStreamError(f"an SPS names {width}x{height} pixels")
    return width, height


def _chroma_format(bits: "_Bits") -> int:
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb()
    bits.golomb()
    bits.take(1)
    if bits.take(1):
        for number in range(8 if chroma != 3 else 12):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return chroma


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + (-(code // 2) if code % 2 == 0 else (code + 1) // 2) + 256) % 256
        last = following or last


class _Bits:
    """The bits of an RBSP (section 7.3.1), the most significant first."""

    def __init__(self, escaped: bytes) -> None:
        data = escaped.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), len(data) * 8

    def take(self, count: int) -> int:
        if count > self._left:
            raise BadStreamError("an SPS is torn")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """ue(v), section 9.1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise BadStreamError("an SPS is none")
        return (1 << zeros) - 1 + self.take(zeros)
