"""How the person at this terminal calls us, for messages that say what to type next."""

import shutil
import sys
from pathlib import Path


def command() -> str:
    """`pinhole` where that is found and is this very one, else its path: its environment is not activated."""
    own = Path(sys.executable).parent / "pinhole"
    found = shutil.which("pinhole")
    if not own.exists() or (found and Path(found).resolve() == own.resolve()):
        return "pinhole"
    here = Path.cwd()
    return str(own.relative_to(here) if own.is_relative_to(here) else own)
