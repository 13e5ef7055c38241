"""Takes what only debuggers read out of extension modules: a fifth of an installation."""

import shutil
from pathlib import Path

from release.machine import ReleaseError, command

SLIM = ".slim"
LOADING = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path, mode=2)  # RTLD_NOW: whole"


def drop_symbols(python: Path, site: Path) -> None:
    """Strip the modules that were just installed, where this machine can, and where all of them still load.

    Files with a second link belong to other releases too, which may run.
    """
    strip = shutil.which("strip")  # of binutils, which Raspberry Pi OS has
    modules = [path for path in site.rglob("*.so") if path.stat().st_nlink == 1 and not path.is_symlink()]
    if strip is None or not modules:
        return
    slim = [path.with_name(path.name + SLIM) for path in modules]
    try:
        for path, slimmed in zip(modules, slim, strict=True):
            command([strip, "--strip-unneeded", "-o", str(slimmed), str(path)])
        command([str(python), "-c", LOADING, *map(str, slim)])
        for path, slimmed in zip(modules, slim, strict=True):
            slimmed.replace(path)
    except ReleaseError:  # larger, and as good
        pass
    finally:
        for slimmed in slim:
            slimmed.unlink(missing_ok=True)
