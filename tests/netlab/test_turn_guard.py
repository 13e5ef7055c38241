"""What coturn's relays reach of the very machine that it runs on, with the role's guard and without."""

import json
import secrets
import sys
import time

import pytest
from netlab.link import TESTS
from netlab.namespaces import LabError, namespaces
from netlab.relays import PUBLIC
from netlab.servers import START_TIMEOUT_S
from parts.coturn import PROGRAM
from parts.need import need
from parts.role import render

PATH = f"PYTHONPATH={TESTS.parent}:{TESTS}"
GUARD = render("turn", "turnserver.nft.j2")
PORT = 3478


@pytest.fixture(scope="module")
def lab():
    """One machine with a public address, and coturn under the user that Debian gives it."""
    need(PROGRAM, "needs coturn: sudo apt-get install coturn")
    with namespaces(["server"], "127.0.0.1 localhost\n") as spaces:
        spaces.run("server", "ip", "-batch", "-", stdin=f"link set lo up\naddr add {PUBLIC}/32 dev lo\n")
        yield spaces


@pytest.fixture(scope="module")
def secret(lab):
    secret = secrets.token_urlsafe(16)
    lab.folder.chmod(0o711)
    own = lab.folder / "coturn"  # of the user that it becomes
    own.mkdir()
    own.chmod(0o777)
    file = own / "turnserver.conf"
    file.write_text(
        f"listening-ip={PUBLIC}\nrelay-ip={PUBLIC}\nlistening-port={PORT}\nmin-port=49152\nmax-port=65535\n"
        f"realm=turn.test\nuse-auth-secret\nstatic-auth-secret={secret}\nno-cli\nno-tls\nno-dtls\n"
        f"proc-user=turnserver\nproc-group=turnserver\nuserdb={own}/turn.db\npidfile={own}/turn.pid\n"
        "log-file=stdout\nsimple-log\nverbose\n"
    )
    turn = lab.start("server", "coturn", [str(PROGRAM), "-c", str(file)])
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while "Total General servers" not in turn.log():
        if turn.popen.poll() is not None or time.monotonic() > deadline_s:
            raise LabError(turn.log())
        time.sleep(0.05)
    return secret


def reached(lab, secret):
    return json.loads(
        lab.run("server", "env", PATH, sys.executable, "-m", "netlab.relays", str(PORT), secret)
    )


def test_a_relay_reaches_other_relays_and_no_service_of_its_own_machine(lab, secret):
    assert reached(lab, secret) == {"service": True, "relay": True}, "what the guard is for"
    lab.run("server", "nft", "-f", "-", stdin=GUARD)
    assert reached(lab, secret) == {"service": False, "relay": True}
    lab.run("server", "nft", "-f", "-", stdin=GUARD)  # at each start of the service
    assert reached(lab, secret) == {"service": False, "relay": True}
