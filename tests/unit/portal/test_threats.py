"""The threat model names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMED = re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "agent" / "portal" / "THREATS.md").read_text())
KNOWN = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
}


def test_it_names_some():
    assert len(NAMED) > 20


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_is_named_exists(name):
    assert name in KNOWN
