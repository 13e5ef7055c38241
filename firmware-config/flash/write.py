"""The bytes, onto a card or into a file, and back again to see that they are there."""

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from flash.errors import FlashError
from flash.source import CHUNK
from flash.target import Target

OnBytes = Callable[[int], None]


def write(target: Target, chunks: Iterable[bytes], on_bytes: OnBytes) -> tuple[str, int]:
    """SHA-256 and length of what was written; it is on the card when this returns."""
    digest, length = hashlib.sha256(), 0
    flags = os.O_WRONLY | (os.O_EXCL if target.is_card else os.O_CREAT | os.O_TRUNC)
    # O_EXCL on a block device: the kernel refuses while any part of it is mounted (open(2)).
    try:
        handle = os.open(target.path, flags, 0o600)
    except OSError as exc:
        raise FlashError(f"{target.path}: {exc.strerror}") from exc
    try:
        for chunk in chunks:
            if target.size is not None and length + len(chunk) > target.size:
                raise FlashError(f"{target.path}: the image does not fit on {target.size / 1e9:.1f} GB")
            _write_all(handle, chunk, is_sparse=not target.is_card)
            digest.update(chunk)
            length += len(chunk)
            on_bytes(len(chunk))
        if not target.is_card:
            os.ftruncate(handle, length)
        os.fsync(handle)
    except OSError as exc:
        raise FlashError(f"{target.path}: {exc.strerror} after {length / 1e6:.0f} MB") from exc
    finally:
        os.close(handle)
    if not length:
        raise FlashError("the image is empty")
    return digest.hexdigest(), length


def verify(target: Target, expected: str, length: int, on_bytes: OnBytes) -> None:
    """Read it back from the card itself. Raises FlashError where it is not what was written."""
    digest, left = hashlib.sha256(), length
    with target.path.open("rb", buffering=0) as file:
        with suppress(OSError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # else memory answers
        while left and (chunk := file.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
            on_bytes(len(chunk))
    if left or digest.hexdigest() != expected:
        raise FlashError(
            f"{target.path} holds something else than was written: the card is broken, or a fake"
        )


def _write_all(handle: int, chunk: bytes, *, is_sparse: bool) -> None:
    if is_sparse and chunk.count(0) == len(chunk):
        os.lseek(handle, len(chunk), os.SEEK_CUR)
        return
    view = memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]
