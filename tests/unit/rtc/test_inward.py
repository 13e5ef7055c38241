"""A viewer's candidates do not have the agent knock at its own machine's doors."""

import pytest
from aioice.candidate import Candidate

from agent.rtc.ice import IceConnection

OURS = "192.0.2.7"
INWARD = (
    "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.1.1", "fe80::1", "224.0.0.251",
    OURS,
)  # fmt: skip
OUTWARD = ("192.0.2.8", "10.0.0.3", "2001:db8::5")


def candidate(host, kind="host"):
    return Candidate("1", 1, "udp", 1, host, 9, kind)


class Socket:
    """What aioice pairs with: a socket with a candidate."""

    def __init__(self, host, kind="host"):
        self.local_candidate = candidate(host, kind)


@pytest.fixture
def connection():
    one = IceConnection((), relay_only=False, on_candidate=lambda _: None, on_server_error=print)
    for socket in (Socket(OURS), Socket("2001:db8::7")):
        one._protocols.append(socket)
        one._local_candidates.append(socket.local_candidate)
    return one


def paired(connection, host):
    connection._pair_remote_candidate(candidate(host))
    return [pair.protocol for pair in connection._check_list if pair.remote_candidate.host == host]


@pytest.mark.parametrize("host", INWARD)
def test_nothing_in_this_machine_is_checked_at_a_viewers_word(connection, host):
    assert paired(connection, host) == []


@pytest.mark.parametrize("host", OUTWARD)
def test_everybody_else_is_checked(connection, host):
    assert len(paired(connection, host)) == 1


def test_a_relay_judges_for_itself(connection):
    relay = Socket("203.0.113.9", "relay")
    connection._protocols.append(relay)
    connection._relays[relay] = None
    assert paired(connection, "127.0.0.1") == [relay]
