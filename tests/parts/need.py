"""Skip or fail, where a part is missing."""

import os

import pytest


def need(condition: object, reason: str) -> None:
    """Skip on a machine that lacks a part, saying why; in CI a missing part is a failure."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)
