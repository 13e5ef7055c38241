"""Every target by its name; its module is imported when it is asked for."""

import importlib
import pkgutil
from pathlib import Path

from fuzz.target import Target

FOLDER = Path(__file__).parent / "targets"
CANARIES = ("canary-crash", "canary-hang", "canary-growth")
"""Planted bugs: they show that the harness finds some, and are no part of a run of all targets."""


def names() -> tuple[str, ...]:
    """Every target but the canaries, in the order of the alphabet."""
    found = pkgutil.iter_modules([str(FOLDER)])
    return tuple(sorted(module.name.replace("_", "-") for module in found))


def module_of(name: str) -> str:
    """The module that holds this target. Raises KeyError for an unknown name."""
    if name in CANARIES:
        return "fuzz.canaries"
    if name not in names():
        raise KeyError(name)
    return f"fuzz.targets.{name.replace('-', '_')}"


def load(name: str) -> Target:
    """The target of this name. Raises KeyError."""
    module = importlib.import_module(module_of(name))
    target: Target = module.TARGETS[name] if name in CANARIES else module.TARGET
    assert target.name == name, f"{module.__file__} calls its target {target.name}"
    return target
