"""The masks on disk: signed with the device's own key, and believed in no other way.

Two files: what is covered, and how often that was changed. The second one tells that the first is missing, or
is an older one. A file that cannot be believed is told by MaskFileError, and the picture is then blank.

Whoever can write to the card as root or as the agent can read the key, or put another program in our place:
against him nothing here helps. It tells what broke, what was edited, and what came from another device.
"""

import base64
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.errors import ConfigError, PinholeError
from agent.model.disk import read_private, write_private
from agent.model.masks import Polygons

log = logging.getLogger(__name__)

MASKS_FILE, COUNT_FILE = "masks.json", "masks-count.json"
_PURPOSE = b"pinhole masks 1\n"
"""Before what is signed: the key signs other things, and none of them begins so."""
T = TypeVar("T")
Count = Annotated[int, Field(ge=1, le=2**53)]


class MaskFileError(PinholeError):
    """What is on disk cannot be believed."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class View(_Strict):
    """Whatever of the settings turns the picture into one in which the masks lie elsewhere."""

    source: str
    rotate: int
    sensor_mode: str | None
    shape: str
    """Width to height, in lowest terms; empty where the board chooses."""


class KeptMasks(_Strict):
    """What is covered."""

    version: Count
    polygons: Polygons
    preset: Annotated[int, Field(ge=0, le=255)]
    view: View
    set_at: float
    set_by: Annotated[str, Field(max_length=256)]
    sight: Annotated[str, Field(max_length=1024)] = ""
    """Which camera they were drawn for, and what it showed of its sensor; empty where that was not kept."""
    is_moved: bool = False
    """Their preset was kept anew or forgotten since."""


@dataclass(frozen=True, slots=True)
class Key:
    """The device's own."""

    sign: Callable[[bytes], bytes]
    verifies: Callable[[bytes, bytes], bool]
    """`verifies(signed, signature)`."""


class MaskFile:
    """The two files."""

    def __init__(self, folder: Path, key: Key) -> None:
        self._masks, self._count = folder / MASKS_FILE, folder / COUNT_FILE
        self._key = key
        self._highest = 0
        """Of the versions that could be read: the next one is above it."""
        self._writing = threading.Lock()

    def load(self) -> KeptMasks | None:
        """What was kept last; None where nothing ever was. Raises MaskFileError that says what is wrong."""
        masks = counted = None
        try:
            counted = self._read(self._count, TypeAdapter(Count))
        finally:  # what can be read of the other counts all the same, for the next version
            self._highest = max(self._highest, counted or 0)
            masks = self._read(self._masks, TypeAdapter(KeptMasks))
            self._highest = max(self._highest, masks.version if masks else 0)
        if masks is None and counted is None:
            return None
        if masks is None:
            raise MaskFileError(f"{self._masks} is gone, and masks were set here")
        if counted is not None and masks.version < counted:
            raise MaskFileError(f"{self._masks} is older than the last masks that were set here")
        if counted != masks.version:  # the power failed between the two
            self._write_count(masks.version)
        return masks

    def next_version(self) -> int:
        """Of what is kept next."""
        return self._highest + 1

    def keep(self, masks: KeptMasks) -> None:
        """Instead of whatever is there. Raises ConfigError, with what was there still in force.

        In any thread, and in the order of their versions: one that a disk held up never replaces a later one.
        """
        with self._writing:
            if masks.version <= self._highest:
                raise ConfigError(f"{self._masks}: other masks were kept there meanwhile")
            self._write(self._masks, TypeAdapter(KeptMasks), masks)
            self._highest = masks.version
            self._write_count(masks.version)

    def _write_count(self, version: int) -> None:
        try:
            self._write(self._count, TypeAdapter(Count), version)
        except ConfigError as exc:
            log.warning(f"masks: {exc}; the masks themselves are kept")

    def _read(self, file: Path, adapter: TypeAdapter[T]) -> T | None:
        try:
            file.lstat()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise MaskFileError(f"{file}: cannot look: {exc.strerror}") from exc
        try:
            sealed = json.loads(read_private(file))
            words, signature = sealed["signed"].encode(), base64.b64decode(sealed["signature"], validate=True)
            is_whole = base64.b64encode(signature).decode() == sealed["signature"]  # also bits nobody reads
        except ConfigError as exc:
            raise MaskFileError(f"{file}: {exc}") from exc
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            raise MaskFileError(f"{file} is damaged") from exc
        if not is_whole or not self._key.verifies(_PURPOSE + file.name.encode() + b"\n" + words, signature):
            raise MaskFileError(f"{file} was not signed by this device")
        try:
            return adapter.validate_json(words)
        except ValidationError as exc:  # signed by us: another release's
            raise MaskFileError(f"{file} is of another release, which knew more") from exc

    def _write(self, file: Path, adapter: TypeAdapter[T], value: T) -> None:
        words = adapter.dump_json(value)
        signature = self._key.sign(_PURPOSE + file.name.encode() + b"\n" + words)
        sealed = {"signed": words.decode(), "signature": base64.b64encode(signature).decode()}
        write_private(file, json.dumps(sealed).encode() + b"\n")
