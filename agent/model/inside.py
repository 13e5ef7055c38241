"""Files on a medium that anybody may have prepared, as a memory card is: no link in it is followed.

A file lies in one folder below another that a person named. Neither the file nor its folder may be a link,
which could lead out of the medium to files of ours; and the file may be no pipe and no device.
"""

import errno
import os
import stat
from pathlib import Path

_LINKS = errno.ELOOP, errno.ENOTDIR


def open_inside(file: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of a regular file. Raises OSError."""
    folder = _open_folder(file.parent)
    try:
        descriptor = os.open(
            file.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=folder
        )
    except OSError as exc:
        raise _no_file(file) if exc.errno == errno.ELOOP else exc from None
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(file)
    return descriptor


def is_inside(file: Path) -> bool:
    """Whether `open_inside` would find one. Raises OSError where the medium does not answer."""
    try:
        folder = _open_folder(file.parent)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return stat.S_ISREG(os.stat(file.name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
    finally:
        os.close(folder)


def touch_inside(file: Path) -> None:
    """Note that it is used now. Raises OSError."""
    descriptor = open_inside(file)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def remove_inside(file: Path) -> None:
    """Remove a file, or the link in its place; none is as good. Raises OSError."""
    try:
        folder = _open_folder(file.parent)
    except FileNotFoundError:
        return
    try:
        os.unlink(file.name, dir_fd=folder)
    except FileNotFoundError:
        pass
    finally:
        os.close(folder)


def files_inside(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """Its regular files; none where it is missing, or a link. Raises OSError."""
    try:
        descriptor = _open_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        with os.scandir(descriptor) as entries:
            return [
                (folder / entry.name, entry.stat(follow_symlinks=False))
                for entry in entries
                if entry.is_file(follow_symlinks=False)
            ]
    finally:
        os.close(descriptor)


def make_folder_inside(folder: Path) -> None:
    """Make one, private to its owner, unless it is there. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(_open_folder(folder))


def _open_folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno in _LINKS:
            words = f"{folder.name} is a link or a file, and should be a folder: remove it"
            raise NotADirectoryError(errno.ENOTDIR, words) from None
        raise


def _no_file(file: Path) -> OSError:
    return OSError(errno.ELOOP, f"{file.parent.name}/{file.name} is a link or no file at all: remove it")
