"""H.264 byte streams (ITU-T H.264 annex B) as NAL units."""

from collections.abc import Iterator

SLICE, IDR_SLICE, SPS, PPS, AUD, FILLER = 1, 5, 7, 8, 9, 12
"""nal_unit_type (table 7-1)."""
START_CODE = b"\0\0\0\1"


def nal_type(nal: bytes) -> int:
    """nal_unit_type."""
    return nal[0] & 0x1F


def split_nals(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and without trailing zero bytes.

    Bytes before the first start code are not part of any NAL unit and are left out, as are empty units.
    """
    start = data.find(b"\0\0\1")
    while start != -1:
        start += 3
        following = data.find(b"\0\0\1", start)
        # A NAL unit never ends in a zero byte (H.264 section 7.4.1): zeros there are the fourth byte of
        # the next start code, or trailing_zero_8bits (annex B.1.1).
        end = len(data) if following == -1 else following
        nal = data[start:end].rstrip(b"\0")
        if nal:
            yield nal
        start = following


def is_idr(data: bytes) -> bool:
    """Whether the picture is an IDR; an encoder's flags are not asked."""
    return any(nal_type(nal) == IDR_SLICE for nal in split_nals(data))
