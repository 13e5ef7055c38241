"""An image as a stream: .img, .img.xz or .img.zst, with the hash of the file that was downloaded."""

import contextlib
import hashlib
import lzma
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from flash import tools
from flash.errors import FlashError

CHUNK = 4 * 1024 * 1024
SUFFIXES = (".img", ".xz", ".zst")


def expected_hash(image: Path, given: str | None) -> str:
    """The SHA-256 that was given, or that `IMAGE.sha256` beside the image holds."""
    beside = image.with_name(f"{image.name}.sha256")
    if given is None and not beside.exists():
        raise FlashError(f"{image} cannot be checked: give --sha256 HEX, or put {beside.name} beside it")
    text = given or beside.read_text(errors="replace")
    found = re.match(r"\s*([0-9a-fA-F]{64})(\s|$)", text)
    if not found:
        raise FlashError(f"{'--sha256' if given else beside}: 64 hexadecimal digits are needed")
    return found[1].lower()


def check_hash(image: Path, expected: str, on_bytes: Callable[[int], None]) -> None:
    """Read the whole file before anything is written. Raises FlashError where it is another one."""
    digest = hashlib.sha256()
    with image.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            on_bytes(len(chunk))
    if digest.hexdigest() != expected:
        raise FlashError(
            f"{image}: its SHA-256 is {digest.hexdigest()} and should be {expected}: download it again"
        )


def chunks(image: Path) -> Iterator[bytes]:
    """The image's own bytes, unpacked; the end of a truncated file raises FlashError."""
    if image.suffix not in SUFFIXES:
        raise FlashError(f"{image}: an image is one of *{', *'.join(SUFFIXES)}")
    try:
        match image.suffix:
            case ".xz":
                with lzma.open(image) as unpacked:
                    while chunk := unpacked.read(CHUNK):
                        yield chunk
            case ".zst":
                yield from _zstd(image)
            case _:
                with image.open("rb") as file:
                    while chunk := file.read(CHUNK):
                        yield chunk
    except (lzma.LZMAError, EOFError) as exc:
        raise FlashError(f"{image} cannot be unpacked: {exc}") from exc


def _zstd(image: Path) -> Iterator[bytes]:
    with subprocess.Popen(  # noqa: S603  # a fixed tool, without a shell
        [tools.find("zstd"), "--decompress", "--stdout", "--quiet", str(image)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            while chunk := process.stdout.read(CHUNK):
                yield chunk
            if process.wait():
                raise FlashError(f"{image} cannot be unpacked: {process.stderr.read().decode().strip()}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def unpacked_size(image: Path) -> int | None:
    """Bytes of the image itself, where its file says so."""
    if image.suffix == ".xz":
        return _xz_size(image)
    return image.stat().st_size if image.suffix == ".img" else None


def _xz_size(image: Path) -> int | None:
    """From the index at the end of a file of one stream (xz file format, sections 2.1.2 and 4)."""
    with image.open("rb") as file:
        file.seek(0, 2)
        end = file.tell()
        if end < 32:  # a header and a footer of 12 bytes each, and an index
            return None
        file.seek(end - 12)
        footer = file.read(12)
        if footer[10:] != b"YZ":
            return None
        index_size = (int.from_bytes(footer[4:8], "little") + 1) * 4
        file.seek(max(0, end - 12 - index_size))
        index = file.read(index_size)
    return _sum_of_blocks(index)


def _sum_of_blocks(index: bytes) -> int | None:
    count, at = _varint(index, 1)
    values = []
    for _ in range(min(count, len(index))):
        _, at = _varint(index, at)
        size, at = _varint(index, at)
        values.append(size)
    return sum(values) or None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 63:  # section 1.2: nine bytes of seven bits
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            break
    return value, at
