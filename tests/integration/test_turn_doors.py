"""What the role `turn` lets a real coturn do for whoever has credentials: relay UDP to the internet alone."""

import ipaddress
import time
from itertools import pairwise

import pytest
from parts.coturn import SECRET, coturn
from parts.role import defaults, render
from parts.turn_client import TCP, TurnClient

from agent.portal.turn import rest_credential

IPV4, IPV6 = 1, 2
UNSUPPORTED_TRANSPORT, FORBIDDEN = 442, 403
INTERNET = {IPV4: "8.8.8.8 1.1.1.1 172.15.255.255 223.255.255.254", IPV6: "2606:4700:4700::1111 2a00:1450::1"}
INWARDS = {
    IPV4: """
        0.0.0.1 10.0.0.1 10.255.255.254 100.64.0.1 100.127.255.254 127.0.0.1 127.255.255.254 169.254.169.254
        172.16.0.1 172.31.255.254 192.0.0.8 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.254
        198.51.100.1 203.0.113.1 224.0.0.251 239.255.255.250 240.0.0.1 255.255.255.255
    """,
    IPV6: """
        :: ::1 ::10.0.0.1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:0:10.0.0.1
        64:ff9b::10.0.0.1 64:ff9b:1::10.0.0.1 100::1 2001::1 2001:0:a00:1::1 2001:10::1 2001:db8::1
        2002:a00:1::1 2002:7f00:1::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1
        ff0e::1
    """,
}


@pytest.fixture(scope="module")
def server():
    """A server with the role's settings; only its addresses are the test's."""
    settings = render("turn", "turnserver.conf.j2", turn_secret=SECRET, turn_realm="turn.test")
    ours = [
        line
        for line in settings.splitlines()
        if not line.startswith(("#", "listening-port", "syslog", "no-tls"))
    ]
    with coturn("\n".join([*ours, "relay-ip=::1"])) as running:
        yield running


@pytest.fixture
def client(server):
    username, password = rest_credential(SECRET, "ann", int(time.time()) + 60)
    with TurnClient(("127.0.0.1", server.port), username, password) as ours:
        yield ours


@pytest.mark.parametrize("family", [IPV4, IPV6], ids=["IPv4", "IPv6"])
def test_a_relay_reaches_the_internet_and_nothing_else(client, family):
    outwards, inwards = INTERNET[family].split(), INWARDS[family].split()
    assert client.allocate(family=family) == 0
    assert {peer: client.permit(peer) for peer in outwards} == dict.fromkeys(outwards, 0)
    refused = {peer: (client.permit(peer), client.bind(peer)) for peer in inwards}
    assert refused == dict.fromkeys(inwards, (FORBIDDEN, FORBIDDEN))


def test_no_range_is_upside_down():
    ranges = defaults("turn")["turn_denied_peers"]
    for family in (".", ":"):
        ends = [ipaddress.ip_address(end) for one in ranges if family in one for end in one.split("-")]
        assert all(low <= high for low, high in pairwise(ends)), "sorted, and none reaches into the next"


def test_nobody_gets_a_tcp_connection(server):
    """RFC 6062: with it the server is a proxy to every web server there is, and to its own."""
    username, password = rest_credential(SECRET, "ann", int(time.time()) + 60)
    with TurnClient(("127.0.0.1", server.port), username, password, stream=True) as client:
        assert client.allocate(TCP) == UNSUPPORTED_TRANSPORT
        assert client.connect("1.1.1.1", 80) != 0
