"""The Mosquitto that is installed on this machine: its version, and where its plugins are."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

from agent.portal.mosquitto import ACL_PLUGIN, Version

TIMEOUT_S = 5.0
_VERSION = re.compile(r"mosquitto version (\d{1,3})\.(\d{1,3})")


def installed_version() -> Version:
    """2.0 as well where none is installed, since 2.1 reads that too."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin")
    if program is None:
        return "2.0"
    try:
        done = subprocess.run(  # noqa: S603  what the administrator's own path finds
            [program, "-h"], capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "2.0"
    return read_version(done.stdout.decode(errors="replace"))


def read_version(said: str) -> Version:
    """From what `mosquitto -h` says. Pure."""
    found = _VERSION.search(said)
    return "2.1" if found and (int(found[1]), int(found[2])) >= (2, 1) else "2.0"


def plugin_folder(root: Path = Path("/")) -> Path:
    """Where the plugin for access rules is; where none is installed, where Debian would have it."""
    library = root / "usr/lib" / (sysconfig.get_config_var("MULTIARCH") or "")
    folders = (library / "mosquitto", library, root / "usr/lib64", root / "usr/lib", root / "usr/local/lib")
    return next((folder for folder in folders if (folder / ACL_PLUGIN).exists()), folders[0])
