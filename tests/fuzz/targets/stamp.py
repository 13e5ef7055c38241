"""The time stamp in a picture, as `pinhole watch` reads it."""

import struct

from fuzz.target import Target

from agent.model import stamp


def check(data: bytes) -> None:
    """A time below 2**40 ms, or none; for a picture of any size that is told with it."""
    if len(data) < 4:
        return
    width, height = (size % 256 + 2 for size in struct.unpack_from("!HH", data))
    width = max(width, stamp.CELLS)
    plane = (data[4:] or b"\0") * (width * height // max(1, len(data) - 4) + 1)
    found = stamp.decode_luma(plane[: width * height], width, width, height)
    assert found is None or 0 <= found < stamp.MODULUS_MS
    if found is not None:
        assert stamp.decode_bits(stamp.encode_bits(found)) == found


def seeds() -> list[bytes]:
    """A row with a stamp."""
    cells = bytes(stamp.WHITE if bit else stamp.BLACK for bit in stamp.encode_bits(1_800_000_000_000))
    return [struct.pack("!HH", stamp.CELLS - 2, 2) + cells]


TARGET = Target("stamp", "The time stamp in a picture.", check, seeds, max_bytes=1024)
