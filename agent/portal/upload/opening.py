"""Opens the store that the settings name; where they name none, nothing of it is loaded."""

from typing import TYPE_CHECKING

from agent.config import UploadSettings
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.portal.upload.bucket import Bucket


def open_bucket(settings: UploadSettings) -> "Bucket":
    """Raises ConfigError where it cannot be opened."""
    try:
        from agent.portal.upload.bucket import Bucket  # noqa: PLC0415  an extra, and 23 MB of memory
    except ModuleNotFoundError as exc:
        raise ConfigError("portal.upload: the portal lacks aiobotocore: install pinhole[upload]") from exc
    return Bucket(settings)
