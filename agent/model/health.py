"""What a device knows about its own ability to serve."""

from typing import Literal

NatKind = Literal[
    "open",
    "firewall",
    "full-cone",
    "restricted",
    "port-restricted",
    "cone",
    "symmetric",
    "udp-blocked",
    "unknown",
]
"""What stands between a device and the internet, in the classic names.

`open` and `firewall` translate nothing; `cone` is any of the three before it, where the filter is not known.
"""
