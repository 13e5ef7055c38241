"""The addresses of this machine, and which of them viewers are offered."""

from collections.abc import Sequence
from dataclasses import dataclass

import ifaddr

from agent.rtc.ice import host_addresses


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """One address of an interface."""

    interface: str
    ip: str
    is_offered: bool


def local_addresses(exclude_interfaces: Sequence[str]) -> tuple[LocalAddress, ...]:
    """All but the loopback's; the offered ones are exactly what a viewer's answer would hold."""
    offered = set(host_addresses(exclude_interfaces))
    return tuple(
        LocalAddress(adapter.nice_name, ip, ip in offered)
        for adapter in ifaddr.get_adapters()
        for ip in (entry.ip if isinstance(entry.ip, str) else entry.ip[0] for entry in adapter.ips)
        if not ip.startswith("127.") and ip != "::1"
    )
