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


def namespaces_in_use():
    """Network namespaces that some process is in."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(link.readlink().name)
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
    return found


def namespace_of(lab, host):
    return lab.spaces.run(host, "readlink", "/proc/self/ns/net").strip()


def await_gone(names, folder):
    deadline_s = time.monotonic() + GONE_TIMEOUT_S
    while names & namespaces_in_use() or folder.exists():
        assert time.monotonic() < deadline_s, "something of the lab is left"
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
    seen = {}

    def fail():
        with internet(Plan()) as lab:
            seen["folder"], seen["names"] = lab.spaces.folder, {namespace_of(lab, host) for host in HOSTS}
            seen["sleeper"] = lab.spaces.start("device", "sleeper", ["sleep", "600"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen["sleeper"].popen.returncode is not None
    assert not seen["folder"].exists()
    assert seen["names"].isdisjoint(namespaces_in_use())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_runs_on_when_its_owner_is_killed(how):
    code = (
        "import sys, time\nfrom netlab.internet import internet\nfrom netlab.plan import Plan\n"
        "with internet(Plan()) as lab:\n"
        "    lab.spaces.start('device', 'sleeper', ['sleep', '600'])\n"
        "    print(lab.spaces.run('device', 'readlink', '/proc/self/ns/net'), end='')\n"
        "    print(lab.spaces.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with owner:
        name, folder = (owner.stdout.readline().decode().strip() for _ in range(2))
        assert name in namespaces_in_use()
        owner.send_signal(how)
        owner.wait(GONE_TIMEOUT_S)
    await_gone({name}, Path(folder))


def test_a_command_that_fails_says_where_and_why():
    with internet(Plan()) as lab, pytest.raises(LabError, match=r"in device: .*no-such-file"):
        lab.spaces.run("device", "cat", "/no-such-file")
