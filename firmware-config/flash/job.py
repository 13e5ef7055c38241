"""One card, from the image to a device that knows who it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from flash import bootpart
from flash.bootfiles import Site, render
from flash.claims import Claim
from flash.errors import FlashError
from flash.source import check_hash, chunks, unpacked_size
from flash.target import Target
from flash.write import verify, write

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


def check(image: Path, expected: str, progress: Progress) -> None:
    """The image is the one that was meant."""
    with progress("checking", image.stat().st_size) as on_bytes:
        check_hash(image, expected, on_bytes)


def flash(image: Path, target: Target, progress: Progress) -> None:
    """Write and verify."""
    with progress("writing", unpacked_size(image)) as on_bytes:
        digest, length = write(target, chunks(image), on_bytes)
    with progress("verifying", length) as on_bytes:
        verify(target, digest, length, on_bytes)


def inject(path: Path, site: Site, claim: Claim) -> list[str]:
    """Write the boot files, read every one back, and return their names."""
    boot = bootpart.find(path)
    cmdline = boot.read("cmdline.txt")
    if cmdline is None:
        raise FlashError(f"{path}: its boot partition has no cmdline.txt: that is no Raspberry Pi image")
    files = render(site, claim, cmdline.decode(errors="replace"))
    for name, content in files.items():
        boot.write(name, content)
    boot.sync()
    for name, content in files.items():
        if boot.read(name) != content:
            raise FlashError(f"{path}: {name} does not read back as it was written: the card is broken")
    return sorted(files)
