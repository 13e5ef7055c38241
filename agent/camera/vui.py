"""Colours written into the SPS of an encoder that does not name them (H.264 annex E)."""

import logging

import av
from av.bitstream import BitStreamFilterContext

from agent.camera.color import MATRIX

log = logging.getLogger(__name__)

_OPTIONS = (
    "colour_primaries=1:transfer_characteristics=1:matrix_coefficients={matrix}:video_full_range_flag=0"
)


def name_colors(sps: bytes, matrix: int = MATRIX) -> bytes:
    """An SPS with its start code, of limited range and this matrix; as it came where it cannot be written."""
    try:
        writer = BitStreamFilterContext(f"h264_metadata={_OPTIONS.format(matrix=matrix)}", "h264")
        written = b"".join(bytes(packet) for packet in writer.filter(av.Packet(sps)))
    except (av.FFmpegError, ValueError) as exc:
        log.warning(f"camera: the colours cannot be named in its H.264: {exc}")
        return sps
    return written or sps
