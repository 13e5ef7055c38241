"""Labs coexist, and nothing of them is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from netlab.internet import internet
from netlab.link import TESTS
from netlab.namespaces import LabError
from netlab.plan import HOSTS, SERVER_IP, Plan

GONE_TIMEOUT_S = 10.0


def namespace_of(lab, host):
    return lab.spaces.run(host, "readlink", "/proc/self/ns/net").strip()


def await_gone(pids, folder):
    deadline_s = time.monotonic() + GONE_TIMEOUT_S
    while left := [one for one in (*(Path("/proc") / str(pid) for pid in pids), folder) if one.exists()]:
        assert time.monotonic() < deadline_s, f"{left} are left of the lab"
        time.sleep(0.05)


def test_a_program_is_in_its_host_and_sees_its_names():
    with internet(Plan()) as lab:
        assert len({namespace_of(lab, host) for host in HOSTS}) == len(HOSTS)
        assert SERVER_IP in lab.spaces.run("device", "getent", "hosts", "broker.test")
        assert lab.spaces.run("device", "pwd").strip() == str(Path.cwd())
    assert "broker.test" not in Path("/etc/hosts").read_text()


def test_two_labs_of_the_same_kind_run_at_once():
    with internet(Plan()) as one, internet(Plan()) as other:
        assert namespace_of(one, "viewer") != namespace_of(other, "viewer")


def test_nothing_is_left_after_an_error():
    seen = []

    def fail():
        with internet(Plan()) as lab:
            sleeper = lab.spaces.start("device", "sleeper", ["sleep", "600"])
            seen.extend([lab.spaces.folder, lab.spaces.keeper, sleeper.popen.pid])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    folder, *pids = seen
    assert not folder.exists()
    assert not [pid for pid in pids if (Path("/proc") / str(pid)).exists()]


OWNER = """
import signal
import time
from netlab.internet import internet
from netlab.plan import Plan
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
with internet(Plan()) as lab:
    sleeper = lab.spaces.start("device", "sleeper", ["sleep", "600"])
    print(lab.spaces.folder, lab.spaces.keeper, sleeper.popen.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_runs_on_when_its_owner_is_killed(how):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with owner:
        folder, *pids = owner.stdout.readline().decode().split()
        assert Path(folder).exists()
        owner.send_signal(how)
        try:
            owner.wait(GONE_TIMEOUT_S)
        finally:
            owner.kill()
    await_gone(pids, Path(folder))


def test_a_command_that_fails_says_where_and_why():
    with internet(Plan()) as lab, pytest.raises(LabError, match=r"in device: .*no-such-file"):
        lab.spaces.run("device", "cat", "/no-such-file")
