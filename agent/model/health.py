"""What a device knows about its own ability to serve."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, with_config

from agent.model.signal import STRICT, VERSION, Code, Text, UnixTime, Version

Count = Annotated[int, Field(ge=0, le=2**53)]
MAX_FAULTS = 16

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


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class HealthFault:
    """Something that keeps the device from serving."""

    check: Code
    """Which check of `pinhole doctor` found it."""
    message: Text
    advice: Text = ""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Health:
    """Device to portal on `health`, every 30 s: the verdict of the doctor's last visit."""

    at: UnixTime
    """When the doctor looked, by the device's clock."""
    nat: NatKind
    is_carrier: bool = False
    """Behind the NAT of a carrier (RFC 6598)."""
    faults: Annotated[tuple[HealthFault, ...], Field(max_length=MAX_FAULTS)] = ()
    refused: Annotated[dict[Code, Count], Field(max_length=64)] = field(default_factory=dict)
    """How many messages the device refused since its start, by code."""
    type: Literal["health"] = "health"
    v: Version = VERSION
