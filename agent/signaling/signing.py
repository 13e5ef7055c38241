"""The portal's signing keys: a folder of PEM files, so that a copy of the database lets nobody sign.

Portals that serve the same devices share it. Each key is in a file `signing-<Unix time>.pem`.
"""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigError
from agent.model.disk import make_private_folder, read_private, reason, write_private
from agent.model.keys import MAX_KEYS, KeySet, encode_public
from agent.signaling.trust import SigningKey, make_signing_key

log = logging.getLogger(__name__)

SETTLE_S = 60.0
"""A new key is told at once and signs after this, when the devices know it."""
RELOAD_S = 2.0
_FILE = re.compile(r"signing-(\d{1,12})\.pem")
_VERSION_FILE = "signing-version"
_RETIRED = ".retired"


@dataclass(frozen=True, slots=True)
class DatedKey:
    """One signing key, and when it was made, in Unix seconds."""

    made_at: int
    key: SigningKey


class SigningFolder:
    """The keys that are there now; what a command changes is seen within seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Make the first key where there is none. Raises ConfigError."""
        self._folder = folder
        self._clock = clock
        make_private_folder(folder)
        self.keys: tuple[DatedKey, ...] = ()
        self.version = 0
        self.problem = ""
        """Why a change of the keys would not be seen now; empty where it would."""
        self._reload_at_s = 0.0
        self._load()
        if not self.keys:
            self.rotate()
        self._finish()

    @property
    def current(self) -> SigningKey:
        """The newest key that has settled, or else the oldest."""
        self._look_again()
        now_s = self._clock()
        settled = [dated for dated in self.keys if dated.made_at + SETTLE_S <= now_s]
        return (settled[-1] if settled else self.keys[0]).key

    def sign_bytes(self, words: bytes) -> bytes:
        """A bare signature by the oldest key: who is out of reach knows it, however new the others are."""
        self._look_again()
        return self.keys[0].key.sign_bytes(words)

    def key_set(self) -> KeySet:
        """What devices are told."""
        self._look_again()
        keys = tuple(encode_public(dated.key.public) for dated in self.keys)
        return KeySet(self.version, float(self.version), keys)

    def rotate(self) -> SigningKey:
        """Make a new key; it signs once it has settled. Raises ConfigError."""
        if len(self.keys) >= MAX_KEYS:
            raise ConfigError(f"there are {MAX_KEYS} signing keys already: retire an old one first")
        made_at = max([int(self._clock()), *(dated.made_at + 1 for dated in self.keys)])
        write_private(self._folder / f"signing-{made_at}.pem", make_signing_key())
        self._count_up()
        return self.keys[-1].key

    def retire(self, kid: str) -> None:
        """No offer by this key counts any more. Raises ConfigError."""
        found = [dated for dated in self.keys if dated.key.kid == kid]
        if not found:
            raise ConfigError(f"{kid}: no such signing key")
        if len(self.keys) == 1:
            raise ConfigError(f"{kid}: the only signing key: make another one first")
        file = self._folder / f"signing-{found[0].made_at}.pem"
        try:
            file.rename(file.with_name(f"{file.name}{_RETIRED}"))
        except OSError as exc:
            raise ConfigError(f"{file}: cannot remove it: {exc.strerror}") from exc
        self._finish()

    def _finish(self) -> None:
        """Count what was made or retired: also where who did it was killed, or no camera would hear of it."""
        try:
            retired = list(self._folder.glob(f"signing-*.pem{_RETIRED}"))
            if retired or self.version < self.keys[-1].made_at:
                self._count_up()
            for file in retired:
                file.unlink(missing_ok=True)
        except OSError as exc:
            raise ConfigError(f"{self._folder}: cannot retire a key: {reason(exc, self._folder)}") from exc

    def _count_up(self) -> None:
        version = max(int(self._clock()), self.version + 1, *(dated.made_at for dated in self.keys))
        write_private(self._folder / _VERSION_FILE, str(version).encode())
        self._load()

    def _look_again(self) -> None:
        """Take in what changed. What is known counts on where the folder cannot be read any more."""
        if self._reload_at_s - RELOAD_S <= self._clock() < self._reload_at_s:
            return
        try:
            self._load()
            self._finish()
        except (OSError, ConfigError) as exc:
            if str(exc) != self.problem:
                log.error("the signing keys stay as they were: %s", exc)  # noqa: TRY400  its words say it all
            self.problem = str(exc)
        else:
            self.problem = ""

    def _load(self) -> None:
        self._reload_at_s = self._clock() + RELOAD_S
        known = {dated.made_at: dated for dated in self.keys}
        try:
            names = [file.name for file in self._folder.iterdir()]
        except OSError as exc:
            raise ConfigError(f"{self._folder}: cannot look into it: {reason(exc, self._folder)}") from exc
        dates = sorted(int(found[1]) for name in names if (found := _FILE.fullmatch(name)))
        keys = tuple(known.get(date) or DatedKey(date, self._read(date)) for date in dates)
        if not keys and (self.keys or _VERSION_FILE in names):
            raise ConfigError(
                f"{self._folder}: the signing keys are lost: bring signing-*.pem back from a copy. Without "
                f"one, remove {_VERSION_FILE} there, and enrol every camera again"
            )
        self.keys = keys
        if _VERSION_FILE in names:
            self.version = self._read_version()

    def _read_version(self) -> int:
        file = self._folder / _VERSION_FILE
        try:
            return int(read_private(file))
        except ConfigError as exc:
            raise ConfigError(f"{file}: {exc}") from exc
        except ValueError as exc:
            raise ConfigError(f"{file}: must hold a number") from exc

    def _read(self, made_at: int) -> SigningKey:
        file = self._folder / f"signing-{made_at}.pem"
        try:
            return SigningKey(read_private(file))
        except ConfigError as exc:
            raise ConfigError(f"{file}: {exc}") from exc
