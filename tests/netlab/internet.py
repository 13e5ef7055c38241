"""A small internet: a viewer's home, a device behind a modem and a carrier, and a public server.

    viewer ── home ═══╗                             home, carrier: the NATs under test
    192.168.1.10      ║ 203.0.113.0/24, 2001:db8::/64
                      ╠═══ server 203.0.113.10 .11  broker, TURN, STUN, portal
    192.168.8.10      ║
    device ── modem ──~── carrier                   ~: 100.64.0.0/24, plain or through the link emulator

Addresses are from RFC 1918, RFC 5737, RFC 6598 and RFC 3849.
"""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from netlab.link import Link, emulated_link, missing
from netlab.namespaces import LabError, Namespaces, namespaces
from netlab.nat import Nat, ruleset
from netlab.shape import Shape

Family = Literal["ipv4", "dual", "ipv6"]
FAMILIES: tuple[Family, ...] = get_args(Family)
HOSTS = ("exchange", "server", "home", "viewer", "carrier", "modem", "device")
ROUTERS = ("home", "carrier", "modem")

SERVER_IP, SECOND_SERVER_IP, SERVER_IP6 = "203.0.113.10", "203.0.113.11", "2001:db8::10"  # two for RFC 5780
HOME_IP, CARRIER_IP = "203.0.113.20", "203.0.113.30"
NAMES = "broker.test turn.test portal.test"
# Nobody has this address: what goes to the default route of the public segment is lost, as in the internet.
# Without a route coturn would see ENETUNREACH, and it then drops the whole allocation.
_NOBODY = "02:00:00:00:00:01"
_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/netfilter/nf_conntrack_udp_timeout": 30,
    "net/netfilter/nf_conntrack_udp_timeout_stream": 120,  # RFC 4787 REQ-5: at least two minutes
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which internet to build. `uplink` and `downlink` put the emulator between modem and carrier."""

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
    def has_ipv4(self) -> bool:
        """Whether there is IPv4 at all."""
        return self.family != "ipv6"

    @property
    def has_ipv6(self) -> bool:
        """Whether there is IPv6 at all."""
        return self.family != "ipv4"

    @property
    def home_net(self) -> str:
        """The first three bytes of the viewer's IPv4 addresses: public ones where no NAT is."""
        return "192.0.2" if self.viewer_nat == "none" else "192.168.1"

    @property
    def device_net(self) -> str:
        """The first three bytes of the device's IPv4 addresses."""
        return "198.51.100" if self.device_nat == "none" else "192.168.8"

    @property
    def server_ips(self) -> tuple[str, ...]:
        """Where the server answers."""
        four = (SERVER_IP, SECOND_SERVER_IP) if self.has_ipv4 else ()
        return (*four, SERVER_IP6) if self.has_ipv6 else four


@dataclass
class Internet:
    """A running lab."""

    plan: Plan
    spaces: Namespaces
    link: Link | None = None


@contextmanager
def internet(plan: Plan) -> Iterator[Internet]:
    """Build it in a fraction of a second; nothing of it is left at the end. Raises LabError."""
    if plan.is_emulated and (reason := missing()):
        raise LabError(reason)
    with ExitStack() as stack:
        spaces = stack.enter_context(namespaces(HOSTS, _hosts_file(plan)))
        spaces.run("", "ip", "-batch", "-", stdin=_wires(plan))
        spaces.run("", "sh", "-e", str(_settings(spaces, plan)))
        lab = Internet(plan, spaces)
        if plan.is_emulated:
            shapes = plan.uplink or Shape(), plan.downlink or Shape()
            lab.link = stack.enter_context(
                emulated_link(spaces, ("modem", "lte"), ("carrier", "lte"), *shapes, seed=plan.seed)
            )
        yield lab


def _hosts_file(plan: Plan) -> str:
    servers = (ip for ip in plan.server_ips if ip != SECOND_SERVER_IP)
    return "\n".join(["127.0.0.1 localhost", "::1 localhost", *(f"{ip} {NAMES}" for ip in servers), ""])


def _wires(plan: Plan) -> str:
    """All links, for one `ip -batch`."""
    pairs = [(f"{host}:wan", f"exchange:{host}") for host in ("server", "home", "carrier")]
    pairs += [("home:lan", "viewer:eth0"), ("modem:lan", "device:wwan0")]
    if not plan.is_emulated:
        pairs.append(("modem:lte", "carrier:lte"))
    lines = ["link add bridge netns exchange type bridge"]
    for one, other in pairs:
        (host, name), (peer_host, peer) = one.split(":"), other.split(":")
        lines.append(f"link add {name} netns {host} type veth peer name {peer} netns {peer_host}")
    return "\n".join([*lines, ""])


def _settings(spaces: Namespaces, plan: Plan) -> Path:
    """Addresses, routes and rules of every host, as one shell script."""
    commands = []
    for host, lines in _addresses(plan).items():
        file = spaces.folder / host / "addresses"
        file.write_text("\n".join(["link set dev lo up", *lines, ""]))
        commands.append(f"ip -n {host} -batch {shlex.quote(str(file))}")
    rules = _rules(plan)
    for host in ROUTERS:
        file = spaces.folder / host / "rules"
        file.write_text(rules[host])
        sysctls = "; ".join(f"echo {value} > /proc/sys/{key}" for key, value in _SYSCTLS.items())
        inside = f"{sysctls}; nft -f {shlex.quote(str(file))}"
        commands.append(f"nsenter --net=/run/netns/{host} sh -e -c {shlex.quote(inside)}")
    script = spaces.folder / "settings"
    script.write_text("\n".join(commands))
    return script


def _rules(plan: Plan) -> dict[str, str]:
    # The modem is a router of its own, of the plain kind; it must not be stricter than the carrier.
    modem: Nat = plan.device_nat if plan.device_nat in ("none", "full-cone") else "port-restricted"
    return {
        "home": ruleset(plan.viewer_nat, "wan", f"{plan.home_net}.10"),
        "carrier": ruleset(plan.device_nat, "wan", "100.64.0.2"),
        "modem": ruleset(modem, "lte", f"{plan.device_net}.10"),
    }


def _addresses(plan: Plan) -> dict[str, list[str]]:
    """Lines of `ip -batch` for each host."""
    hosts: dict[str, list[str]] = {host: [] for host in HOSTS}
    hosts["exchange"] = ["link set dev bridge up"]
    hosts["exchange"] += [f"link set dev {host} master bridge up" for host in ("server", "home", "carrier")]
    if plan.is_emulated:
        for host in ("modem", "carrier"):
            hosts[host].append("tuntap add lte mode tap")
    # No address resolution on the radio link: its loss and its outages must not cost a second of ARP.
    macs = {"modem": "02:00:64:00:00:02", "carrier": "02:00:64:00:00:01"}
    for host, mac in macs.items():
        hosts[host].append(f"link set dev lte address {mac}")
    for host, name in _INTERFACES:
        hosts[host].append(f"link set dev {name} up")
    if plan.has_ipv4:
        _address_ipv4(hosts, plan, macs)
    if plan.has_ipv6:
        _address_ipv6(hosts, macs)
    return hosts


_INTERFACES = (
    ("server", "wan"), ("home", "wan"), ("carrier", "wan"), ("home", "lan"), ("viewer", "eth0"),
    ("carrier", "lte"), ("modem", "lte"), ("modem", "lan"), ("device", "wwan0"),
)  # fmt: skip


def _address_ipv4(hosts: dict[str, list[str]], plan: Plan, macs: dict[str, str]) -> None:
    home, device = plan.home_net, plan.device_net
    for host, name, ip in (
        ("server", "wan", SERVER_IP), ("server", "wan", SECOND_SERVER_IP), ("home", "wan", HOME_IP),
        ("carrier", "wan", CARRIER_IP), ("home", "lan", f"{home}.1"), ("viewer", "eth0", f"{home}.10"),
        ("carrier", "lte", "100.64.0.1"), ("modem", "lte", "100.64.0.2"), ("modem", "lan", f"{device}.1"),
        ("device", "wwan0", f"{device}.10"),
    ):  # fmt: skip
        hosts[host].append(f"address add {ip}/24 dev {name}")
    for host in ("server", "home", "carrier"):
        hosts[host].append(f"neigh add 203.0.113.1 lladdr {_NOBODY} dev wan nud permanent")
        hosts[host].append("route add default via 203.0.113.1")
        if host != "home" and plan.viewer_nat == "none":
            hosts[host].append(f"route add {home}.0/24 via {HOME_IP}")
        if host != "carrier" and plan.device_nat == "none":
            hosts[host].append(f"route add {device}.0/24 via {CARRIER_IP}")
    if plan.device_nat == "none":
        hosts["carrier"].append(f"route add {device}.0/24 via 100.64.0.2")
    hosts["carrier"].append(f"neigh add 100.64.0.2 lladdr {macs['modem']} dev lte nud permanent")
    hosts["modem"].append(f"neigh add 100.64.0.1 lladdr {macs['carrier']} dev lte nud permanent")
    hosts["modem"].append("route add default via 100.64.0.1")
    hosts["viewer"].append(f"route add default via {home}.1")
    hosts["device"].append(f"route add default via {device}.1")


def _address_ipv6(hosts: dict[str, list[str]], macs: dict[str, str]) -> None:
    for host, name, ip in (
        ("server", "wan", SERVER_IP6), ("home", "wan", "2001:db8::20"), ("carrier", "wan", "2001:db8::30"),
        ("home", "lan", "2001:db8:a::1"), ("viewer", "eth0", "2001:db8:a::10"),
        ("carrier", "lte", "2001:db8:c::1"), ("modem", "lte", "2001:db8:c::2"),
        ("modem", "lan", "2001:db8:d::1"), ("device", "wwan0", "2001:db8:d::10"),
    ):  # fmt: skip
        hosts[host].append(f"address add {ip}/64 dev {name} nodad")
    for host in ("server", "home", "carrier"):
        hosts[host].append(f"neigh add 2001:db8::1 lladdr {_NOBODY} dev wan nud permanent")
        hosts[host].append("route add default via 2001:db8::1")
        if host != "home":
            hosts[host].append("route add 2001:db8:a::/64 via 2001:db8::20")
        if host != "carrier":
            hosts[host].append("route add 2001:db8:d::/64 via 2001:db8::30")
    hosts["carrier"].append("route add 2001:db8:d::/64 via 2001:db8:c::2")
    hosts["carrier"].append(f"neigh add 2001:db8:c::2 lladdr {macs['modem']} dev lte nud permanent")
    hosts["modem"].append(f"neigh add 2001:db8:c::1 lladdr {macs['carrier']} dev lte nud permanent")
    hosts["modem"].append("route add default via 2001:db8:c::1")
    hosts["viewer"].append("route add default via 2001:db8:a::1")
    hosts["device"].append("route add default via 2001:db8:d::1")
