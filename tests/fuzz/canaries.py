"""Planted bugs. A harness that does not find them finds nothing."""

import contextlib

from fuzz.target import Target

_KEPT: list[bytes] = []


def _lengths(data: bytes, *, trusting: bool) -> list[bytes]:
    """Type, length of both, value: the hang is a length of nothing, the crash one beyond the end."""
    values, at = [], 0
    while at + 2 <= len(data):
        length = data[at + 1]
        if not trusting and length < 2:
            break
        if length and data[at + length - 1] == 0xFF:
            break
        values.append(data[at + 2 : at + length])
        if len(values) > 1000:  # the hang must not become a growth
            values.clear()
        at += length
    return values


def _crash(data: bytes) -> None:
    _lengths(data, trusting=False)


def _hang(data: bytes) -> None:
    with contextlib.suppress(IndexError):
        _lengths(data, trusting=True)


def _grow(data: bytes) -> None:
    _KEPT.append(data + bytes(5_000))


def _seeds() -> list[bytes]:
    return [b"\1\4ab\2\3c", b"\1\6abcd"]


TARGETS = {
    "canary-crash": Target("canary-crash", "A length that is believed.", _crash, _seeds),
    "canary-hang": Target("canary-hang", "A length of nothing that is skipped for ever.", _hang, _seeds),
    "canary-growth": Target("canary-growth", "A list that is never emptied.", _grow, _seeds),
}
