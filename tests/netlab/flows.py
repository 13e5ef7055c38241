"""Cuts one UDP flow at the carrier while all others stay open, as a NAT or a firewall that lost its state."""

import json
import time

from netlab.internet import Internet

LISTEN_S = 0.5
# Before the carrier's own translation on the way out, after it on the way in: one name for a flow.
_TABLE = """table inet flows {
  set seen { type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic; size 4096; counter; }
  set cut { type ipv4_addr . inet_service . ipv4_addr . inet_service; }
  chain watch { type filter hook forward priority filter - 1;
    ip saddr . udp sport . ip daddr . udp dport @cut drop
    ip daddr . udp dport . ip saddr . udp sport @cut drop
    oifname "wan" meta l4proto udp update @seen { ip saddr . udp sport . ip daddr . udp dport }
  }
}
"""


def cut_busiest_flow(lab: Internet) -> str:
    """Drop, both ways and for ever, the flow by which the device sends most; its name."""
    if "flows" not in lab.spaces.run("carrier", "nft", "list", "tables"):
        lab.spaces.run("carrier", "nft", "-f", "-", stdin=_TABLE)
    lab.spaces.run("carrier", "nft", "flush", "set", "inet", "flows", "seen")
    time.sleep(LISTEN_S)
    said = json.loads(lab.spaces.run("carrier", "nft", "-j", "list", "set", "inet", "flows", "seen"))
    elements = next(entry["set"] for entry in said["nftables"] if "set" in entry)["elem"]
    busiest = max((one["elem"] for one in elements), key=lambda one: int(one["counter"]["bytes"]))
    flow = " . ".join(str(part) for part in busiest["val"]["concat"])
    lab.spaces.run("carrier", "nft", "add", "element", "inet", "flows", "cut", f"{{ {flow} }}")
    return flow
