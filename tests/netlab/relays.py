"""What does a relay reach of its own machine? Asks a TURN server here, and prints what arrived as JSON.

Run in a host of the lab: `python -m netlab.relays PORT SECRET`.
"""

import json
import socket
import sys
import time

from parts.turn_client import TurnClient

from agent.portal.turn import rest_credential

PUBLIC = "198.20.0.1"
"""An address of the server, of no range that is denied."""
WAIT_S = 1.0


def main() -> None:
    port, secret = int(sys.argv[1]), sys.argv[2]
    username, password = rest_credential(secret, "ann", int(time.time()) + 60)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service,
        TurnClient((PUBLIC, port), username, password) as ours,
        TurnClient((PUBLIC, port), username, password) as other,
    ):
        service.bind((PUBLIC, 5353))
        service.settimeout(WAIT_S)
        for client in (ours, other):
            assert client.allocate() == 0
            assert client.permit(PUBLIC) == 0
        assert other.relayed is not None
        ours.send(PUBLIC, 5353, b"to a service")
        ours.send(*other.relayed, b"to a relay")
        print(json.dumps({"service": _hears(service), "relay": b"to a relay" in other.receive(WAIT_S)}))


def _hears(service: socket.socket) -> bool:
    try:
        return service.recv(100) == b"to a service"
    except TimeoutError:
        return False


if __name__ == "__main__":
    main()
