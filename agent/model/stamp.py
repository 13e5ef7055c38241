"""A time stamp burnt into the picture as black and white cells, so that anybody can measure latency.

48 equal cells, each `width_px // 48` wide, stand side by side from the left edge; the row starts at the
top and is `height_px // 45` px high (16 at 720p). White is 1, black is 0, most significant bit first:
40 bits of milliseconds since the Unix epoch (modulo 2**40), then 8 bits of check.
"""

CELLS = 48
MODULUS_MS = 1 << 40
BLACK, WHITE = 16, 235
"""Luma levels of BT.601 and BT.709 video range."""


def cell_size_px(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height of a cell in a picture of this size."""
    return width_px // CELLS, max(2, height_px // 45)


def encode_bits(unix_ms: int) -> list[bool]:
    """The 48 cells for a time."""
    payload = (unix_ms % MODULUS_MS).to_bytes(5, "big")
    word = int.from_bytes(payload + bytes([_check(payload)]), "big")
    return [bool(word >> (CELLS - 1 - i) & 1) for i in range(CELLS)]


def decode_bits(bits: list[bool]) -> int | None:
    """The time in ms modulo 2**40, or None where the check fails."""
    word = 0
    for bit in bits:
        word = word << 1 | bit
    payload, check = (word >> 8).to_bytes(5, "big"), word & 0xFF
    return word >> 8 if check == _check(payload) else None


def decode_luma(
    plane: bytes | bytearray | memoryview, stride: int, width_px: int, height_px: int
) -> int | None:
    """Read the stamp from a luma plane with `stride` bytes a row, or None where there is none."""
    cell_w, cell_h = cell_size_px(width_px, height_px)
    row = (cell_h // 2) * stride
    return decode_bits([plane[row + i * cell_w + cell_w // 2] > 127 for i in range(CELLS)])


def age_ms(stamp_ms: int, now_ms: int) -> int:
    """How old a stamp is; small negative values are clocks that differ."""
    age = (now_ms - stamp_ms) % MODULUS_MS
    return age - MODULUS_MS if age > MODULUS_MS // 2 else age


def _check(payload: bytes) -> int:
    return (sum(payload) + 0xA5) & 0xFF  # the constant makes an all-black row invalid
