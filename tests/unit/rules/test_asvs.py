"""The table of OWASP ASVS 5.0 holds every requirement of levels 1 and 2, and names tests that exist."""

import csv
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (\d) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TABLE = ROW.findall((TESTS.parent / "agent" / "portal" / "ASVS.md").read_text())
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
INSTEAD = ("documented: ", "does not apply: ", "*not shown*: ", "**not met**: ")
"""What stands where no test shows that a requirement is met."""


def test_every_requirement_stands_there_once_with_its_level():
    with (TESTS / "data" / "asvs-5.0.0.csv").open(newline="") as file:
        asked = [(row["requirement"], row["level"]) for row in csv.DictReader(file)]
    assert len(asked) == 253
    assert [(number, level) for number, level, _, _ in TABLE] == asked


@pytest.mark.parametrize(("number", "evidence"), [(number, evidence) for number, _, _, evidence in TABLE])
def test_each_is_shown_by_tests_that_exist_or_says_why_not(number, evidence):
    named = NAMED.findall(evidence)
    assert named or evidence.startswith(INSTEAD), number
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (TESTS / file).read_text(), re.MULTILINE), name
