"""What a device is, in its state folder: its own key, and the portal keys that it believes.

Everything is written whole or not at all, readable to its owner alone.
"""

import contextlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import ConfigError
from agent.model.keys import KeySet
from agent.model.program import command
from agent.signaling.trust import KeyRing, SigningKey, make_signing_key

KEY_FILE, PORTAL_KEYS_FILE = "device-key.pem", "portal-keys.json"
MAX_FILE_BYTES = 64 * 1024
_KEY_SET = TypeAdapter(KeySet)


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled device."""

    key: SigningKey
    portal_keys: KeySet

    @property
    def ring(self) -> KeyRing:
        """Whose offers count."""
        return KeyRing.of(self.portal_keys.publics)


def load_identity(folder: Path) -> Identity:
    """Read what enrolment left. Raises ConfigError that says what to do."""
    if not exists(folder / PORTAL_KEYS_FILE):
        raise ConfigError(
            f"{folder}: this device is not enrolled, so nobody may watch it: make a claim code on the portal "
            f"(`pinhole portal claim`), then `{command()} enroll --portal URL --code CODE` here"
        )
    return Identity(load_key(folder), load_portal_keys(folder))


def load_key(folder: Path) -> SigningKey:
    """The device's own key. Raises ConfigError."""
    file = folder / KEY_FILE
    try:
        return SigningKey(read_private(file))
    except ConfigError as exc:
        raise ConfigError(f"{file}: {exc}") from exc


def load_or_make_key(folder: Path) -> SigningKey:
    """The device's own key, made here at the first call; it never leaves. Raises ConfigError."""
    if not exists(folder / KEY_FILE):
        make_private_folder(folder)
        write_private(folder / KEY_FILE, make_signing_key())
    return load_key(folder)


def load_portal_keys(folder: Path) -> KeySet:
    """Raises ConfigError."""
    file = folder / PORTAL_KEYS_FILE
    try:
        return _KEY_SET.validate_json(read_private(file))
    except (ConfigError, ValidationError) as exc:
        raise ConfigError(f"{file}: no set of portal keys: enrol again: {exc}") from exc


def save_portal_keys(folder: Path, keys: KeySet) -> None:
    """Raises ConfigError."""
    write_private(folder / PORTAL_KEYS_FILE, _KEY_SET.dump_json(keys))


def exists(file: Path) -> bool:
    """Whether it is there. Raises ConfigError where its folder is another user's, so that nobody can tell."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as exc:
        raise ConfigError(f"{file}: cannot look: {reason(exc, file)}") from exc
    return True


def reason(exc: OSError, path: Path) -> str:
    """The system's words; where another user could do it, who that is."""
    is_others = isinstance(exc, PermissionError) and os.geteuid() != 0
    return f"{exc.strerror}: run this as {_owner_of(path)}" if is_others else str(exc.strerror)


def _owner_of(path: Path) -> str:
    """Whose it is, or the nearest folder above that can be seen."""
    for place in (path, *path.parents):
        try:
            uid = place.stat().st_uid
        except OSError:
            continue
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"
    return "its owner"


def make_private_folder(folder: Path) -> None:
    """One that nobody else can enter. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{folder}: cannot make the folder: {reason(exc, folder)}") from exc


def read_private(file: Path) -> bytes:
    """A file that nobody else can read. Raises ConfigError."""
    try:
        with file.open("rb") as stream:
            mode, data = os.fstat(stream.fileno()).st_mode, stream.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"cannot read it: {reason(exc, file)}") from exc
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"every user of this machine can read it: chmod o= {file}")
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"larger than {MAX_FILE_BYTES // 1024} KiB")
    return data


def write_private(file: Path, data: bytes) -> None:
    """Whole or not at all, also where the power fails. Raises ConfigError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as stream:
                if os.geteuid() == 0:  # `sudo pinhole enroll`, where the agent is not root
                    owner = file.parent.stat()
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(file)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as exc:
        raise ConfigError(f"{file}: cannot write it: {reason(exc, file.parent)}") from exc
