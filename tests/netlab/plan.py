"""Which internet to build, and the addresses in it: lines for `ip -batch`, pure.

Addresses are from RFC 1918, RFC 5737, RFC 6598 and RFC 3849.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from netlab.nat import Nat
from netlab.shape import Shape

Family = Literal["ipv4", "dual", "ipv6"]
FAMILIES: tuple[Family, ...] = get_args(Family)
HOSTS = ("exchange", "server", "home", "viewer", "carrier", "modem", "device")

SERVER_IP, SECOND_SERVER_IP, SERVER_IP6 = "203.0.113.10", "203.0.113.11", "2001:db8::10"  # two for RFC 5780
MORE_SERVER_IPS = ("203.0.113.12", "203.0.113.13")  # for more TURN servers; the last is nobody's
HOME_IP, CARRIER_IP = "203.0.113.20", "203.0.113.30"
NEXT_IPS = {"home": "203.0.113.21", "carrier": "203.0.113.31"}  # after a reconnect
# Chromium looks STUN and TURN servers up by their full name, with the last dot.
NAMES = "broker.test turn.test turn.test. portal.test"
MORE_TURN_HOSTS = ("turn2.test", "dead-turn.test")
# Nobody has this address: what goes to the default route of the public segment is lost, as in the internet.
# Without a route coturn would see ENETUNREACH, and it then drops the whole allocation.
_NOBODY = "02:00:00:00:00:01"
# No address resolution on the radio link: its loss and its outages must not cost a second of ARP.
_CARRIER_MAC, _MODEM_MAC = "02:00:64:00:00:01", "02:00:64:00:00:02"
_PUBLIC = ("server", "home", "carrier")
_INTERFACES = (
    *((host, "wan") for host in _PUBLIC),
    *((host, "lan") for host in ("home", "modem")),
    *((host, "lte") for host in ("carrier", "modem")),
    ("viewer", "eth0"),
    ("device", "wwan0"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which internet to build. `uplink` and `downlink` put the emulator between modem and carrier.

    The server has IPv4 and IPv6 in `dual` and in `ipv6`: who serves IPv6-only devices has both.
    """

    viewer_nat: Nat = "port-restricted"
    device_nat: Nat = "port-restricted"
    family: Family = "ipv4"
    uplink: Shape | None = None
    downlink: Shape | None = None
    seed: int = 1

    @property
    def is_emulated(self) -> bool:
        """Whether the device's link is more than a wire."""
        return self.uplink is not None or self.downlink is not None

    @property
    def server_ips(self) -> tuple[str, ...]:
        """Where the server answers."""
        return (SERVER_IP, SECOND_SERVER_IP, *((SERVER_IP6,) if self.family != "ipv4" else ()))

    @property
    def viewer_ip(self) -> str:
        """The viewer's own address: its only one where there is one family, IPv4 of both."""
        return _nets(self)[0].viewer

    @property
    def device_ip(self) -> str:
        """The device's own address."""
        return _nets(self)[0].device


@dataclass(frozen=True, slots=True)
class _Net:
    """One family's addresses; a LAN is known to the others only where it is public."""

    bits: int
    nowhere: str
    home: str
    carrier: str
    home_lan: str
    viewer: str
    carrier_lte: str
    modem_lte: str
    modem_lan: str
    device: str
    is_home_public: bool
    is_device_public: bool


def hosts_file(plan: Plan) -> str:
    """What every host of the lab sees as /etc/hosts."""
    ips = {"ipv4": [SERVER_IP], "dual": [SERVER_IP, SERVER_IP6], "ipv6": [SERVER_IP6]}[plan.family]
    more = [f"{ip} {host} {host}." for ip, host in zip(MORE_SERVER_IPS, MORE_TURN_HOSTS, strict=True)]
    return "\n".join(["127.0.0.1 localhost", "::1 localhost", *(f"{ip} {NAMES}" for ip in ips), *more, ""])


def wires(plan: Plan) -> list[str]:
    """All links between hosts."""
    pairs = [(host, "wan", "exchange", host) for host in _PUBLIC]
    pairs += [("home", "lan", "viewer", "eth0"), ("modem", "lan", "device", "wwan0")]
    if not plan.is_emulated:
        pairs.append(("modem", "lte", "carrier", "lte"))
    return [
        "link add bridge netns exchange type bridge",
        *(f"link add {a} netns {one} type veth peer name {b} netns {other}" for one, a, other, b in pairs),
    ]


def addresses(plan: Plan) -> dict[str, list[str]]:
    """What to set inside each host."""
    hosts: dict[str, list[str]] = {host: ["link set dev lo up"] for host in HOSTS}
    hosts["exchange"].append("link set dev bridge up")
    hosts["exchange"] += [f"link set dev {host} master bridge up" for host in _PUBLIC]
    for host, mac in (("carrier", _CARRIER_MAC), ("modem", _MODEM_MAC)):
        if plan.is_emulated:
            hosts[host].append("tuntap add lte mode tap")
        hosts[host].append(f"link set dev lte address {mac}")
    for host, name in _INTERFACES:
        hosts[host].append(f"link set dev {name} up")
    hosts["server"] += [
        f"address add {ip}/24 dev wan" for ip in (SERVER_IP, SECOND_SERVER_IP, MORE_SERVER_IPS[0])
    ]
    hosts["server"] += _default_to_nowhere("203.0.113.1")
    if plan.family != "ipv4":
        hosts["server"] += [f"address add {SERVER_IP6}/64 dev wan nodad", *_default_to_nowhere("2001:db8::1")]
    for net in _nets(plan):
        _address(hosts, net)
    return hosts


def _nets(plan: Plan) -> list[_Net]:
    """Return the families at the viewer and the device, IPv4 first."""
    is_home_public, is_device_public = plan.viewer_nat == "none", plan.device_nat == "none"
    home = "192.0.2" if is_home_public else "192.168.1"
    device = "198.51.100" if is_device_public else "192.168.8"
    four = _Net(
        24, "203.0.113.1", HOME_IP, CARRIER_IP, f"{home}.1", f"{home}.10", "100.64.0.1", "100.64.0.2",
        f"{device}.1", f"{device}.10", is_home_public, is_device_public,
    )  # fmt: skip
    six = _Net(
        64, "2001:db8::1", "2001:db8::20", "2001:db8::30", "2001:db8:a::1", "2001:db8:a::10", "2001:db8:c::1",
        "2001:db8:c::2", "2001:db8:d::1", "2001:db8:d::10", is_home_public=True, is_device_public=True,
    )  # fmt: skip
    return {"ipv4": [four], "dual": [four, six], "ipv6": [six]}[plan.family]


def _address(hosts: dict[str, list[str]], net: _Net) -> None:
    for host, name, ip in (
        ("home", "wan", net.home), ("carrier", "wan", net.carrier), ("home", "lan", net.home_lan),
        ("viewer", "eth0", net.viewer), ("carrier", "lte", net.carrier_lte), ("modem", "lte", net.modem_lte),
        ("modem", "lan", net.modem_lan), ("device", "wwan0", net.device),
    ):  # fmt: skip
        # Duplicate address detection would keep an IPv6 address from use for a second.
        hosts[host].append(f"address add {ip}/{net.bits} dev {name}" + (" nodad" if net.bits == 64 else ""))
    for host in ("home", "carrier"):
        hosts[host] += _default_to_nowhere(net.nowhere)
    for host in _PUBLIC:
        if net.is_home_public and host != "home":
            hosts[host].append(f"route add {net.viewer} via {net.home}")
        if net.is_device_public:
            via = net.modem_lte if host == "carrier" else net.carrier
            hosts[host].append(f"route add {net.device} via {via}")
    hosts["carrier"].append(f"neigh add {net.modem_lte} lladdr {_MODEM_MAC} dev lte nud permanent")
    hosts["modem"].append(f"neigh add {net.carrier_lte} lladdr {_CARRIER_MAC} dev lte nud permanent")
    hosts["modem"].append(f"route add default via {net.carrier_lte}")
    hosts["viewer"].append(f"route add default via {net.home_lan}")
    hosts["device"].append(f"route add default via {net.modem_lan}")


def _default_to_nowhere(router: str) -> list[str]:
    return [
        f"neigh add {router} lladdr {_NOBODY} dev wan nud permanent",
        f"route add default via {router}",
    ]
