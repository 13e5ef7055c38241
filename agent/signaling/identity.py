"""What a device is, in its state folder: its own key, and the portal keys that it believes.

Everything in it is read and written by `agent/model/disk.py`.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import ConfigError
from agent.model.disk import exists, make_private_folder, read_private, write_private
from agent.model.keys import KeySet
from agent.model.program import command
from agent.signaling.trust import SigningKey, make_signing_key

KEY_FILE, PORTAL_KEYS_FILE = "device-key.pem", "portal-keys.json"
_KEY_SET = TypeAdapter(KeySet)


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled device."""

    key: SigningKey
    portal_keys: KeySet
    """Whose offers count."""


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
