"""Files that we trust: written whole or not at all, and not read where another user could have written them.

A writer holds a lock on its temporary file. The kernel lets go of it however the writer ends, so whoever
starts later can tell what was left behind, and clears it away.
"""

import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import re
import secrets
import shlex
import stat
import time
from pathlib import Path

from agent.errors import ConfigError

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 1024
MAX_PEM_BYTES = 4 * 1024 * 1024
"""All authorities that a system believes are a quarter of a MiB."""
IRREGULAR = "it is a pipe or a device, and must be a regular file"
WRITE_TRIES = 3
LEGACY_AGE_S = 60.0
"""Temporary files of former releases are not locked: what is younger may still be written."""
_PART = re.compile(r"\..+\.[0-9a-f]{16}\.pinhole-part")
_LEGACY_PART = re.compile(
    r"\.([\w-]+\.(pem|json)|signing-version|acl|mosquitto\.conf)(-[a-z0-9_]{8}|\.\d{1,7})|data-usage\.part"
)
_TRUSTED_NAME = re.compile(r"[^.].*(\.pem|\.json|-version)")
"""What we read in our own folders; what else is there does not concern us."""


def write_whole(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Whole or not at all, also where the power fails or we are killed. Raises OSError."""
    for tries_left in reversed(range(WRITE_TRIES)):
        part = file.with_name(f".{file.name}.{secrets.token_hex(8)}.pinhole-part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                with contextlib.suppress(OSError):  # a disk without locks, or `tidy` was faster than we
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.geteuid() == 0:  # `sudo pinhole enroll`, where the agent is not root
                    owner = file.parent.stat()
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.fchmod(descriptor, mode)  # whatever the umask
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
                part.replace(file)
        except FileNotFoundError:  # tidied away before it was locked
            if not tries_left:
                raise
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        else:
            break
    sync_folder(file.parent)


def write_dated(file: Path, data: bytes, unix_s: float) -> None:
    """As `write_whole`, with this time, in a folder of our own that somebody may have removed meanwhile.

    Raises OSError; ConfigError where the folder cannot be made.
    """
    if not file.parent.is_dir():
        make_private_folder(file.parent)
    write_whole(file, data)
    os.utime(file, (unix_s, unix_s))


def open_lock(file: Path) -> int:
    """A file for flock(2) that nobody else can open, and so hold; made where it is not. Raises OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(descriptor, file.parent)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def give_to_owner(descriptor: int, folder: Path) -> None:
    """What a command makes as root, by sudo, is the service's, whose folder it is."""
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Bring to the disk which files are in it. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(file: Path, data: bytes) -> None:
    """As `write_whole`, readable to its owner alone. Raises ConfigError."""
    try:
        write_whole(file, data)
    except OSError as exc:
        raise ConfigError(f"{file}: cannot write it: {reason(exc, file.parent)}") from exc


def tidy(folder: Path) -> None:
    """Remove what writers of ours that were killed have left here; never what one is writing now."""
    with contextlib.suppress(OSError):
        for file in list(folder.iterdir()):
            if _PART.fullmatch(file.name) or _LEGACY_PART.fullmatch(file.name):
                with contextlib.suppress(OSError):
                    _remove_if_dead(file)


def _remove_if_dead(part: Path) -> None:
    status = part.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in _trusted(part.parent):
        return
    if _LEGACY_PART.fullmatch(part.name) and abs(time.time() - status.st_mtime) < LEGACY_AGE_S:
        return
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:  # root's, who was killed before it was given to us
        part.unlink()
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.unlink()
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """One that nobody else can enter, checked and tidied where it is there. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{folder}: cannot make the folder: {reason(exc, folder)}") from exc
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Refuse a folder of ours where others put something, and tidy it; one that is not there is no fault.

    Raises ConfigError. A folder of our own that others can write to is closed to them, and that is all: what
    they put there meanwhile is theirs, and refused. A file that they can write to is never mended in silence:
    it may say what they want by now.
    """
    try:
        status = folder.stat()  # through a link: systemd makes one for a dynamic user
        others_write = _others_write(status)
        if others_write and status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX:
            folder.chmod(stat.S_IMODE(status.st_mode) & ~0o022)
            log.warning("%s: other users of this machine could write to it: they no longer can", folder)
        elif fault := unsafe(folder, status, trusted=_trusted(folder)):
            raise ConfigError(f"{folder}: {fault}")
        faults = [
            f"{file}: {fault}"
            for file in sorted(folder.iterdir())
            if _TRUSTED_NAME.fullmatch(file.name)
            and (fault := unsafe(file, file.lstat(), trusted=_trusted(folder)))
        ]
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ConfigError(f"{folder}: cannot look into it: {reason(exc, folder)}") from exc
    if faults:
        raise ConfigError("\n  ".join(faults))
    tidy(folder)


def check_named(file: Path, most_bytes: int | None = None) -> None:
    """Refuse what is there where a person named a file: a folder, a pipe, a device, or too much.

    A pipe may never begin, and a device never end. Raises OSError.
    """
    _check_regular(file, file.stat(), most_bytes)


def read_named(file: Path, most_bytes: int) -> tuple[os.stat_result, bytes]:
    """What is in a file that a person named, and whose it is. Raises OSError as `check_named`."""
    check_named(file, most_bytes)  # before it is opened: a device may do something then
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        _check_regular(file, status, most_bytes)
        return status, stream.read(most_bytes)


def _check_regular(file: Path, status: os.stat_result, most_bytes: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, IRREGULAR, str(file))
    if most_bytes is not None and status.st_size > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes // 1024} KiB", str(file))


def check_file(
    file: Path, *, trusted_owner: bool = True, close: bool = False, most_bytes: int | None = None
) -> None:
    """Refuse a file or folder that others could have written; with `close`, they can read it no more either.

    A link is followed: a person named it. Raises ConfigError; what is not there is no fault.
    """
    try:
        status = file.stat()
        if not stat.S_ISDIR(status.st_mode):
            _check_regular(file, status, most_bytes)
        folder = file if stat.S_ISDIR(status.st_mode) else file.parent
        trusted = _trusted(folder) if trusted_owner else None
        if fault := unsafe(file, status, trusted=trusted):
            raise ConfigError(f"{file}: {fault}")
        if close and status.st_mode & 0o007 and status.st_uid == os.geteuid():
            file.chmod(stat.S_IMODE(status.st_mode) & ~0o007)
            log.warning("%s: every user of this machine could read it: they no longer can", file)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ConfigError(f"{file}: cannot look: {reason(exc, file)}") from exc


def exists(file: Path) -> bool:
    """Whether it is there. Raises ConfigError where its folder is another user's, so that nobody can tell."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as exc:
        raise ConfigError(f"{file}: cannot look: {reason(exc, file)}") from exc
    return True


def read_private(file: Path, *, is_secret: bool = True) -> bytes:
    """A file that nobody else could write, nor read where it is secret. Raises ConfigError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status, data = os.fstat(descriptor), stream.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        words = _link_words(file) if exc.errno == errno.ELOOP else f"cannot read it: {reason(exc, file)}"
        raise ConfigError(words) from exc
    if fault := unsafe(file, status, trusted=_trusted(file.parent), is_secret=is_secret):
        raise ConfigError(fault)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"larger than {MAX_FILE_BYTES // 1024} KiB")
    return data


def unsafe(
    path: Path, status: os.stat_result, *, trusted: frozenset[int] | None = None, is_secret: bool = False
) -> str:
    """Why what is there must not be believed, and the command that mends it; empty where it may be.

    `trusted` are the users whose it may be; None for any, where a person named the file.
    """
    name = shlex.quote(str(path))
    if stat.S_ISLNK(status.st_mode):
        return _link_words(path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return ""  # a pipe or a device, which nobody puts there by chance
    if trusted is not None and status.st_uid not in trusted:
        owner, us = _user(status.st_uid), _user(_keeper(path.parent))
        return f"it belongs to {owner}, not to {us}: if it is what you put there: sudo chown {us} {name}"
    if _others_write(status):
        if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
            mend = "it is a folder for everybody, as /tmp is: choose one of its own"
        else:
            mend = f"if it is as you left it: chmod go-w {name}"
        return f"other users of this machine can write to it: {mend}"
    if is_secret and status.st_mode & stat.S_IROTH:
        return f"every user of this machine can read it: chmod o= {name}"
    return ""


def reason(exc: OSError, path: Path) -> str:
    """The system's words; where another user could do it, who that is."""
    is_others = isinstance(exc, PermissionError) and os.geteuid() != 0
    return f"{exc.strerror}: run this as {_owner_of(path)}" if is_others else str(exc.strerror)


def _link_words(path: Path) -> str:
    name = shlex.quote(str(path))
    return (
        "a symbolic link, which may lead to what others write: put the file itself there: "
        f'cp --remove-destination "$(readlink -f {name})" {name}'
    )


def _others_write(status: os.stat_result) -> bool:
    """Whether others may: the group that many systems make for each user is no others'."""
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_own_group(status.st_uid, status.st_gid)


def _is_own_group(uid: int, gid: int) -> bool:
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _trusted(folder: Path) -> frozenset[int]:
    """Ourselves, and root; as root also whose folder it is."""
    return frozenset({0, os.geteuid(), _keeper(folder)})


def _keeper(folder: Path) -> int:
    """Whose the files in there should be."""
    uid = os.geteuid()
    if uid == 0:
        with contextlib.suppress(OSError):
            return folder.stat().st_uid
    return uid


def _owner_of(path: Path) -> str:
    """Whose it is, or the nearest folder above that can be seen."""
    for place in (path, *path.parents):
        try:
            return _user(place.stat().st_uid)
        except OSError:
            continue
    return "its owner"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def is_mounted(folder: Path) -> bool:
    """Whether another file system begins there, or at a folder above it that is not the root."""
    return any(os.path.ismount(one) for one in (folder, *folder.parents[:-1]))
