"""The addresses of this machine, and which of them viewers are offered."""

import fnmatch
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import ifaddr


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """One address of an interface."""

    interface: str
    ip: str
    is_offered: bool


def host_addresses(exclude_interfaces: Sequence[str]) -> list[str]:
    """Addresses of this machine that a viewer may reach: no loopback, no link-local IPv6, none excluded."""
    addresses = []
    for adapter in ifaddr.get_adapters():
        if any(fnmatch.fnmatch(adapter.nice_name, pattern) for pattern in exclude_interfaces):
            continue
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                if not ip.ip.startswith("127."):
                    addresses.append(ip.ip)
            elif ip.ip[0] != "::1" and ip.ip[2] == 0:  # a scope id marks link-local
                addresses.append(ip.ip[0])
    return addresses


def local_addresses(exclude_interfaces: Sequence[str]) -> tuple[LocalAddress, ...]:
    """All but the loopback's; the offered ones are exactly what a viewer's answer would hold."""
    offered = set(host_addresses(exclude_interfaces))
    return tuple(
        LocalAddress(adapter.nice_name, ip, ip in offered)
        for adapter in ifaddr.get_adapters()
        for ip in (entry.ip if isinstance(entry.ip, str) else entry.ip[0] for entry in adapter.ips)
        if not ip.startswith("127.") and ip != "::1"
    )


def is_inward(host: str, own: Collection[str]) -> bool:
    """Whether packets to there stay in this machine, whose addresses are `own`, or on its wire alone."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or str(address) in own
    )
