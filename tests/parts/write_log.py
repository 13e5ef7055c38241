"""A disk that notes each write and each flush in their order, as dm-log-writes does, for kernels without it.

One file is served over FUSE, by its protocol and with no library: a loop device on it asks for what the block
layer would ask a card. Needs root, and a mount namespace of one's own.
"""

import ctypes
import errno
import os
import random
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_WRITE_BYTES = 1 << 17
BLOCK_BYTES = 4096
"""What a card writes as one, or not at all."""
_BUFFER_BYTES = MAX_WRITE_BYTES + 4096
_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_ATTR_OUT = struct.Struct("<QII6Q10I")
_OPEN_OUT, _WRITE_OUT, _IO_IN = struct.Struct("<QII"), struct.Struct("<II"), struct.Struct("<QQIIQII")
_FORGETS = (2, 42)
"""What is not answered: FORGET and BATCH_FORGET."""
_PAST_CACHE = 1
"""FOPEN_DIRECT_IO: each request comes to us."""
_MODE = 0o100600


class WriteLog:
    """What a disk was asked for."""

    def __init__(self, image: Path) -> None:
        """`image` is how the disk begins; it is not changed."""
        self.writes: list[tuple[int, bytes] | None] = []
        """Place and data; None is a flush: what stands before it is on the disk for good."""
        self.before_each: Callable[[], None] = lambda: None
        """Called before anything is noted."""
        self._start = image.read_bytes()
        self._now = bytearray(self._start)

    @contextmanager
    def served(self, at: Path) -> Iterator[None]:
        """As the file `at`, which is there already, for the length of the block."""
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={device},rootmode={_MODE:o},user_id=0,group_id=0,max_read={MAX_WRITE_BYTES}"
        _call("mount", b"pinhole-test", os.fsencode(at), b"fuse", ctypes.c_ulong(0), options.encode())
        serving = threading.Thread(target=self._serve, args=(device,), name="write log", daemon=True)
        serving.start()
        try:
            yield
        finally:
            _call("umount2", os.fsencode(at), 0)
            serving.join()
            os.close(device)

    def after_cut(self, count: int, chance: random.Random) -> bytearray:
        """What is on the disk where the power failed after so many: of what was not flushed, any part."""
        before = self.writes[:count]
        flushed = max((at for at, one in enumerate(before) if one is None), default=-1)
        disk = bytearray(self._start)
        for at, one in enumerate(before):
            if one is None:
                continue
            place, data = one
            kind = "whole" if at < flushed else chance.choice(("whole", "none", "torn"))
            for begin in range(0, len(data), BLOCK_BYTES):
                if kind == "whole" or (kind == "torn" and chance.random() < 0.5):
                    piece = data[begin : begin + BLOCK_BYTES]
                    disk[place + begin : place + begin + len(piece)] = piece
        return disk

    def _serve(self, device: int) -> None:
        while True:
            try:
                request = os.read(device, _BUFFER_BYTES)
            except OSError as exc:
                if exc.errno == errno.ENODEV:  # it is no longer mounted
                    return
                if exc.errno in (errno.EINTR, errno.ENOENT):
                    continue
                raise
            _, kind, unique, *_ = _IN.unpack_from(request)
            if kind in _FORGETS:
                continue
            answer = self._answer(kind, request[_IN.size :])
            error, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
            with suppress(FileNotFoundError):  # who asked has gone
                os.write(device, _OUT.pack(_OUT.size + len(body), error, unique) + body)

    def _answer(self, kind: int, asked: bytes) -> bytes | int:
        """The answer's body, or the number of an error."""
        answer: bytes | int = errno.ENOSYS
        match kind:
            case 26:  # INIT
                pages = MAX_WRITE_BYTES // 4096
                answer = _INIT_OUT.pack(7, 31, 0, 0, 16, 12, MAX_WRITE_BYTES, 1, pages, 0, 0)
            case 3 | 4:  # GETATTR, SETATTR
                size = len(self._now)
                of = (1, size, size >> 9, 0, 0, 0, 0, 0, 0, _MODE, 1, 0, 0, 0, BLOCK_BYTES, 0)
                answer = _ATTR_OUT.pack(0, 0, 0, *of)
            case 14:  # OPEN
                answer = _OPEN_OUT.pack(0, _PAST_CACHE, 0)
            case 15:  # READ
                _, place, size, *_ = _IO_IN.unpack_from(asked)
                answer = bytes(self._now[place : place + size])
            case 16:  # WRITE
                _, place, size, *_ = _IO_IN.unpack_from(asked)
                answer = self._write(place, asked[_IO_IN.size : _IO_IN.size + size])
            case 20:  # FSYNC
                self.before_each()
                self.writes.append(None)
                answer = b""
            case 18 | 25:  # RELEASE, FLUSH
                answer = b""
        return answer

    def _write(self, place: int, data: bytes) -> bytes:
        self.before_each()
        self.writes.append((place, data))
        self._now[place : place + len(data)] = data
        return _WRITE_OUT.pack(len(data), 0)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
