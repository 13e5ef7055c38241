"""What a fuzzing target is: a check of one parser, and inputs to begin with."""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_STEP_BYTES = 0xFFFF


@dataclass(frozen=True)
class Target:
    """`check` takes any bytes, and raises where what should hold does not."""

    name: str
    about: str
    """One line for `--list`: what is parsed, and who may have sent it."""
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    """Inputs that get past the parser's first lines."""
    max_bytes: int = 4096
    max_s: float = 1.0
    """The longest that one input may take, in CPU time of its thread."""
    max_growth_mib: int = 64
    """How much one input may add to the memory at its peak."""


def steps(data: bytes) -> Iterator[bytes]:
    """One input as several messages: a length of two bytes before each; what is cut short is the last one."""
    at = 0
    while at + 2 <= len(data):
        (length,) = struct.unpack_from("!H", data, at)
        yield data[at + 2 : at + 2 + length]
        at += 2 + length


def join(*messages: bytes) -> bytes:
    """Several messages as one input: what `steps` takes apart."""
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)
