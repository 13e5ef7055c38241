"""The agent and the portal on the Pythons that Debian 12 and 13 have, which are what a Pi has.

They differ in asyncio: what a cancelled task counts, and when a time-out is one.
"""

import os
import subprocess
from pathlib import Path

import pytest
from fleet import workshop
from parts.debian_python import debian_python
from parts.need import need

ROOT = Path(__file__).resolve().parents[2]
SUITES = {"bookworm": "3.11.2", "trixie": "3.13."}
ABOUT_OURSELVES = ("rules", "netlab", "hil", "fleet", "firmware")
"""Folders of tests/unit whose tests say nothing of agent and portal."""
OUTAGES = (
    "tests/integration/test_outage.py",
    "tests/integration/test_essential_tasks.py",
    "tests/integration/test_mosquitto_broker.py",
    "tests/netlab/test_recovery.py",
)
OF_OUTAGES = "goes_on_without_the_broker or ends_with_its_part or kill_9 or servers-at-once"
MINUTES = 60


@pytest.fixture(scope="module")
def pythons(tmp_path_factory):
    reason = workshop.missing()
    need(not reason, reason)
    return {suite: debian_python(suite, tmp_path_factory.mktemp(suite)) for suite in SUITES}


def start(python, *arguments):
    return subprocess.Popen(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def must_pass(process, least):
    try:
        said, _ = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, said[-8000:]
    passed = int(said.splitlines()[-1].split(" passed")[0].split()[-1])
    assert passed >= least, said[-2000:]


@pytest.mark.timeout(15 * MINUTES)
def test_they_are_debians_own(pythons):
    for suite, version in SUITES.items():
        done = subprocess.run(
            [pythons[suite], "-c", "import sys, agent.app; print(sys.version.split()[0])"],
            capture_output=True, text=True, check=True, cwd="/",
        )  # fmt: skip
        assert done.stdout.startswith(version)


@pytest.mark.timeout(15 * MINUTES)
def test_the_unit_tests_pass_on_them(pythons):
    ours = [f"--ignore=tests/unit/{name}" for name in ABOUT_OURSELVES]
    running = [start(python, "tests/unit", *ours) for python in pythons.values()]  # one a core
    for process in running:
        must_pass(process, least=1000)


@pytest.mark.timeout(15 * MINUTES)
@pytest.mark.parametrize("suite", SUITES)
def test_a_stream_outlives_broker_portal_and_turn_on_them(pythons, suite):
    must_pass(start(pythons[suite], *OUTAGES, "-k", OF_OUTAGES), least=10)


@pytest.mark.slow
@pytest.mark.timeout(15 * MINUTES)
@pytest.mark.parametrize("suite", SUITES)
def test_a_stream_of_ten_minutes_outlives_them_on_them(pythons, suite):
    servers = "tests/netlab/test_recovery.py::test_it_comes_back_after_everything_else_too[servers]"
    must_pass(start(pythons[suite], servers), least=1)
