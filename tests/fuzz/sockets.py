"""An ICE connection whose socket is a list."""

from collections.abc import Callable

from aioice.candidate import Candidate

from agent.rtc.ice import IceConnection
from agent.rtc.sockets import IceSocket

LOCAL = ("192.0.2.10", 40000)
VIEWER = ("192.0.2.1", 5000)
STRANGER = ("198.51.100.7", 6666)


class Wire:
    """A datagram transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[str, int] | None]] = []
        self.closed = False

    def sendto(self, data: bytes, addr: tuple[str, int] | None = None) -> None:
        self.sent.append((data, addr))

    write = sendto

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str, default: object = None) -> object:
        return default


def connection_on(wire: Wire, on_srtp: Callable[[bytes], None] = lambda _: None) -> IceConnection:
    """A connection with one host candidate on this wire, which knows its viewer's user name and password."""
    connection = IceConnection(
        (),
        relay_only=False,
        on_candidate=lambda _: None,
        on_server_error=lambda *_: None,
        on_srtp=on_srtp,
    )
    connection.remote_username, connection.remote_password = "view", "v" * 22
    protocol = IceSocket(connection)
    protocol.connection_made(wire)
    protocol.local_candidate = Candidate("f", 1, "udp", 1, *LOCAL, "host")
    connection._protocols.append(protocol)
    connection._local_candidates.append(protocol.local_candidate)
    connection._local_candidates_start = connection._local_candidates_end = True
    return connection
