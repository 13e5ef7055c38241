"""A small internet: a viewer's home, a device behind a modem and a carrier, and a public server.

viewer ── home ═══╗                             home, carrier: the NATs under test
192.168.1.10      ║ 203.0.113.0/24, 2001:db8::/64
                  ╠═══ server 203.0.113.10 .11  broker, TURN, STUN, portal
192.168.8.10      ║
device ── modem ──~── carrier                   ~: 100.64.0.0/24, plain or through the link emulator
"""

import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netlab.link import TESTS, Link, emulated_link, missing
from netlab.namespaces import LabError, Namespaces, namespaces
from netlab.nat import Nat, remapping, ruleset
from netlab.plan import HOSTS, NEXT_IPS, Plan, addresses, hosts_file, wires
from netlab.shape import Shape

_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    # Duplicate address detection would keep link-local addresses, and what they resolve, from use for 2 s.
    "net/ipv6/conf/all/accept_dad": 0,
    "net/ipv6/conf/default/accept_dad": 0,
    "net/netfilter/nf_conntrack_udp_timeout": 30,
    "net/netfilter/nf_conntrack_udp_timeout_stream": 120,  # RFC 4787 REQ-5: at least two minutes
}
_ROUTERS = ("home", "carrier", "modem")


@dataclass
class Internet:
    """A running lab."""

    plan: Plan
    spaces: Namespaces
    link: Link | None = None

    def rebind(self, router: Literal["home", "carrier"]) -> None:
        """Give a NAT a new public address and let it forget its flows, as after a reconnect (IPv4). Once."""
        kind = self.plan.viewer_nat if router == "home" else self.plan.device_nat
        self.spaces.run(router, "ip", "address", "add", f"{NEXT_IPS[router]}/24", "dev", "wan")
        self.spaces.run(router, "nft", "-f", "-", stdin=remapping(kind, "wan", NEXT_IPS[router]))
        self.spaces.run(router, "env", f"PYTHONPATH={TESTS}", sys.executable, "-m", "netlab.conntrack")


@contextmanager
def internet(plan: Plan) -> Iterator[Internet]:
    """Build it in a fraction of a second; nothing of it is left at the end. Raises LabError."""
    if plan.is_emulated and (reason := missing()):
        raise LabError(reason)
    with ExitStack() as stack:
        spaces = stack.enter_context(namespaces(HOSTS, hosts_file(plan)))
        spaces.run("", "sh", "-e", str(_script(spaces, plan)))
        lab = Internet(plan, spaces)
        if plan.is_emulated:
            shapes = plan.uplink or Shape(), plan.downlink or Shape()
            lab.link = stack.enter_context(
                emulated_link(spaces, ("modem", "lte"), ("carrier", "lte"), *shapes, seed=plan.seed)
            )
        yield lab


def _script(spaces: Namespaces, plan: Plan) -> Path:
    """Write one shell script that lays the links and sets addresses, routes and rules of every host."""
    commands = [_inside(host, _sysctls(host)) for host in HOSTS]
    commands.append(f"ip -batch {_file(spaces.folder / 'wires', wires(plan))}")
    for host, lines in addresses(plan).items():
        commands.append(f"ip -n {host} -batch {_file(spaces.folder / host / 'addresses', lines)}")
    for host, rules in _rules(plan).items():
        commands.append(_inside(host, f"nft -f {_file(spaces.folder / host / 'rules', [rules])}"))
    script = spaces.folder / "script"
    script.write_text("\n".join(commands))
    return script


def _sysctls(host: str) -> str:
    wanted = (key for key in _SYSCTLS if host in _ROUTERS or key.endswith("accept_dad"))
    return "; ".join(f"echo {_SYSCTLS[key]} > /proc/sys/{key}" for key in wanted)


def _inside(host: str, command: str) -> str:
    return f"nsenter --net=/run/netns/{host} sh -e -c {shlex.quote(command)}"


def _file(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join([*lines, ""]))
    return shlex.quote(str(path))


def _rules(plan: Plan) -> dict[str, str]:
    # The modem is a router of its own, of the plain kind; it must not be stricter than the carrier.
    modem: Nat = plan.device_nat if plan.device_nat in ("none", "full-cone") else "port-restricted"
    return {
        "home": ruleset(plan.viewer_nat, "wan", "192.168.1.10"),
        "carrier": ruleset(plan.device_nat, "wan", "100.64.0.2"),
        "modem": ruleset(modem, "lte", "192.168.8.10"),
    }
