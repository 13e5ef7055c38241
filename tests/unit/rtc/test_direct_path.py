"""Which paths are tried with ECT(1): pairs without a TURN server in them, each as one of its own."""

import pytest
from aioice import ice
from aioice.candidate import Candidate

from agent.rtc.ice import IceConnection


class Socket:
    transport = None

    def __init__(self, kind, port):
        self.local_candidate = Candidate("1", 1, "udp", 1, "192.0.2.7", port, kind)


def path(local="host", remote="host", port=5000, remote_port=9):
    """Of a connection whose browser has nominated such a pair."""
    connection = IceConnection((), relay_only=False, on_candidate=lambda _: None, on_server_error=print)
    theirs = Candidate("1", 1, "udp", 1, "198.51.100.9", remote_port, remote)
    connection._nominated[1] = ice.CandidatePair(Socket(local, port), theirs)
    return connection.direct_path()


@pytest.mark.parametrize(
    ("local", "remote", "is_direct"),
    [
        ("host", "host", True),
        ("host", "srflx", True),
        ("host", "prflx", True),
        ("relay", "host", False),
        ("host", "relay", False),
    ],
)
def test_a_turn_server_at_either_end_makes_it_none(local, remote, is_direct):
    assert (path(local, remote) is not None) is is_direct


def test_another_pair_is_another_path_and_the_same_one_is_not():
    assert path() == path()
    assert len({path(), path(port=5001), path(remote_port=10)}) == 3


def test_before_a_nomination_there_is_none():
    connection = IceConnection((), relay_only=False, on_candidate=lambda _: None, on_server_error=print)
    assert connection.direct_path() is None
