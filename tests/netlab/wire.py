"""Where the bytes flow, counted by nft at both ends: candidate types alone can lie."""

import json
from dataclasses import dataclass
from typing import Literal, get_args

from netlab.internet import Internet
from netlab.plan import SERVER_IP, SERVER_IP6
from netlab.servers import RELAY_PORTS, TURN_PORT, TURNS_PORT

Flow = Literal["direct", "turn-udp", "turn-tcp", "turn-tls", "peer-relay"]
"""direct: to or from the other end itself; turn-…: over our own relay; peer-relay: to or from the other's."""
_NFT: dict[Flow, str] = {flow: flow.replace("-", "_") for flow in get_args(Flow)}
_RELAY = f"{RELAY_PORTS[0]}-{RELAY_PORTS[1]}"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes by flow: what came to the viewer, and what the device sent."""

    viewer: dict[Flow, int]
    device: dict[Flow, int]

    def since(self, before: "Traffic") -> "Traffic":
        """Return what came on top of `before`."""
        return Traffic(_less(self.viewer, before.viewer), _less(self.device, before.device))


def main_flow(bytes_by_flow: dict[Flow, int]) -> Flow:
    """Return the flow that carries the media: the video is far more than every check and ping together."""
    return max(bytes_by_flow, key=lambda flow: bytes_by_flow[flow])


def count(lab: Internet) -> None:
    """Start to count."""
    lab.spaces.run("viewer", "nft", "-f", "-", stdin=_counters("input", "s"))
    lab.spaces.run("device", "nft", "-f", "-", stdin=_counters("output", "d"))


def read(lab: Internet) -> Traffic:
    """Return what was counted so far."""
    return Traffic(_read(lab, "viewer"), _read(lab, "device"))


def _counters(hook: str, end: str) -> str:
    flows: dict[Flow, str] = {
        "turn-udp": f"udp {end}port {TURN_PORT}",
        "turn-tcp": f"tcp {end}port {TURN_PORT}",
        "turn-tls": f"tcp {end}port {TURNS_PORT}",
        "peer-relay": f"udp {end}port {_RELAY}",
    }
    servers = (f"ip {end}addr {SERVER_IP}", f"ip6 {end}addr {SERVER_IP6}")
    rules = [
        f"{server} {match} counter name {_NFT[flow]} return"
        for flow, match in flows.items()
        for server in servers
    ]
    counters = "\n".join(f"counter {name} {{}}" for name in _NFT.values())
    body = "\n".join([*rules, f"meta l4proto udp counter name {_NFT['direct']}"])
    chain = f"chain count {{ type filter hook {hook} priority filter;\n{body}\n}}"
    return f"table inet wire {{\n{counters}\n{chain}\n}}\n"


def _read(lab: Internet, host: str) -> dict[Flow, int]:
    said = json.loads(lab.spaces.run(host, "nft", "-j", "list", "counters", "table", "inet", "wire"))
    found = {
        entry["counter"]["name"]: entry["counter"]["bytes"]
        for entry in said["nftables"]
        if "counter" in entry
    }
    return {flow: found[name] for flow, name in _NFT.items()}


def _less(after: dict[Flow, int], before: dict[Flow, int]) -> dict[Flow, int]:
    return {flow: count - before[flow] for flow, count in after.items()}
