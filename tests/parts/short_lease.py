"""`pinhole portal`, with leases that a test can see end: their seconds, then Pinhole's arguments."""

import sys
from functools import partial

from agent import server
from agent.cli import main

if __name__ == "__main__":
    server.Gateway = partial(server.Gateway, lease_s=float(sys.argv.pop(1)))
    main()
