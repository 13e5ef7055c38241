"""The dashboard's files: read once, named by their content so that browsers keep them for good."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import PortalError

WEB = Path(__file__).parent / "web"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_VERSION_MARK = b"static/current/"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Assets:
    """The page and all it loads.

    `page` refers to `static/<version>/…` and every module imports its neighbours relatively: one version
    names them all, and no mixture of two releases can meet in a browser.
    """

    version: str
    page: Asset
    files: dict[str, Asset]
    fixed: dict[str, Asset] = field(default_factory=dict)
    """What browsers know by an address that stays: the service worker, the manifest and its icons."""


def load_assets(folder: Path = WEB) -> Assets:
    """Raises PortalError where the dashboard is not installed."""
    files = _read(folder)
    page = files.pop("index.html", None)
    if page is None:
        raise PortalError(f"{folder}: index.html is missing; install Pinhole again")
    digest = hashlib.sha256(page.body)
    for name, asset in files.items():
        digest.update(name.encode() + b"\0" + asset.body)
    version = digest.hexdigest()[:16]
    body = page.body.replace(_VERSION_MARK, f"static/{version}/".encode())
    return Assets(version, Asset(body, page.content_type), files, _read(folder / "root"))


def _read(folder: Path) -> dict[str, Asset]:
    return {
        path.name: Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.glob("*"))
        if path.suffix in _TYPES
    }
