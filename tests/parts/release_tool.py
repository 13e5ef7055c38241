"""`pinhole-release` as it is installed: the one file that is made of `release/`, as a module."""

import sys
from functools import cache
from types import ModuleType

from release.joined import join


@cache
def text() -> str:
    """The file."""
    return join()


def load(name: str) -> ModuleType:
    """One of its own for each who changes it."""
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    exec(compile(text(), "pinhole-release", "exec"), vars(module))
    return module
