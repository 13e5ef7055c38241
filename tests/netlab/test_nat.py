"""Each NAT kind is what its name says, asked from behind it as RFC 5780 describes."""

import json
import sys

import pytest
from netlab import link
from netlab.internet import internet
from netlab.namespaces import LabError
from netlab.nat import NATS, can_connect_directly
from netlab.plan import CARRIER_IP, HOME_IP, SERVER_IP, Plan
from netlab.servers import TURN_PORT, start_turn
from netlab.stun import INDEPENDENT, PORT_DEPENDENT

EXPECTED = {
    "none": (INDEPENDENT, INDEPENDENT, False),
    "full-cone": (INDEPENDENT, INDEPENDENT, True),
    "port-restricted": (INDEPENDENT, PORT_DEPENDENT, True),
    "symmetric": (PORT_DEPENDENT, PORT_DEPENDENT, True),
    "udp-blocked": (None, None, False),
}


def ask(lab, host):
    argv = [sys.executable, "-m", "netlab.stun", SERVER_IP, str(TURN_PORT)]
    return json.loads(lab.spaces.run(host, "env", f"PYTHONPATH={link.TESTS}", *argv))


@pytest.mark.parametrize("kind", NATS)
def test_a_nat_maps_and_filters_as_it_is_called(kind):
    with internet(Plan(kind, kind)) as lab:
        start_turn(lab, "secret")
        for host, outside in (("viewer", HOME_IP), ("device", CARRIER_IP)):
            said = ask(lab, host)
            assert (said["mapping"], said["filtering"], said["is_translated"]) == EXPECTED[kind], host
            assert not said["is_translated"] or said["mapped"][0] == outside


ASK_FROM_PORT_40000 = f"""
import socket
from netlab.stun import _ask
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("", 40000))
    sock.settimeout(1)
    print(*_ask(sock, ("{SERVER_IP}", {TURN_PORT})).mapped)
"""


@pytest.mark.parametrize("kind", ["full-cone", "port-restricted", "symmetric"])
def test_a_rebinding_changes_the_address_of_a_flow_and_keeps_the_kind(kind):
    with internet(Plan(kind, kind)) as lab:
        start_turn(lab, "secret")
        for host, router, after in (
            ("viewer", "home", "203.0.113.21"),
            ("device", "carrier", "203.0.113.31"),
        ):
            argv = ["env", f"PYTHONPATH={link.TESTS}", sys.executable, "-c", ASK_FROM_PORT_40000]
            first, again = (lab.spaces.run(host, *argv) for _ in range(2))
            assert first == again, "a flow keeps its mapping"
            lab.rebind(router)
            address, port = lab.spaces.run(host, *argv).split()
            assert address == after
            assert (port == "40000") == (kind != "symmetric")
            said = ask(lab, host)
            assert (said["mapping"], said["filtering"], said["is_translated"]) == EXPECTED[kind]


@pytest.mark.parametrize("host", ["viewer", "device"])
def test_udp_blocked_lets_tcp_pass(host):
    with internet(Plan("udp-blocked", "udp-blocked")) as lab:
        start_turn(lab, "secret")
        code = f"import socket; socket.create_connection(('turn.test', {TURN_PORT}), 5).close()"
        lab.spaces.run(host, sys.executable, "-c", code)


@pytest.mark.parametrize("family", ["dual", "ipv6"])
def test_ipv6_is_not_translated_but_guarded(family):
    connect = (
        "import socket,sys; s=socket.create_connection((sys.argv[1], 5349), 2); print(s.getsockname()[0])"
    )
    with internet(Plan("symmetric", "port-restricted", family=family)) as lab:
        start_turn(lab, "secret")
        address = lab.spaces.run("device", sys.executable, "-c", connect, "2001:db8::10")
        assert address.strip() == "2001:db8:d::10"
        # From outside nobody gets in: not even a refusal comes back.
        attempt = connect.replace("print", "0 and print")
        with pytest.raises(LabError, match="TimeoutError"):
            lab.spaces.run("server", sys.executable, "-c", attempt, "2001:db8:d::10")
        if family == "ipv6":
            with pytest.raises(LabError, match=r"OSError|unreachable"):
                lab.spaces.run("device", sys.executable, "-c", connect, SERVER_IP)


def test_which_pairs_need_no_relay():
    cannot = {(v, d) for v in NATS for d in NATS if not can_connect_directly(v, d)}
    blocked = {pair for pair in ((v, d) for v in NATS for d in NATS) if "udp-blocked" in pair}
    assert cannot - blocked == {
        ("symmetric", "symmetric"),
        ("symmetric", "port-restricted"),
        ("port-restricted", "symmetric"),
    }
    assert blocked <= cannot
