"""What stands between a home or a carrier and the internet, as nft rulesets. Pure.

The names are the classic ones; in RFC 4787's terms, mapping and filtering are:

| kind            | mapping                    | filtering                  |
|-----------------|----------------------------|----------------------------|
| none            | no translation             | none                       |
| full-cone       | endpoint-independent       | endpoint-independent       |
| port-restricted | endpoint-independent       | address- and port-dependent |
| symmetric       | address- and port-dependent | address- and port-dependent |
| udp-blocked     | TCP alone passes           |                            |
"""

from typing import Literal, get_args

Nat = Literal["none", "full-cone", "port-restricted", "symmetric", "udp-blocked"]
NATS: tuple[Nat, ...] = get_args(Nat)

_MASQUERADE = {
    "full-cone": "masquerade",
    "port-restricted": "masquerade",  # keeps the port, whatever the destination
    "symmetric": "masquerade random,fully-random",  # a new port for each flow
    "udp-blocked": "masquerade",
}


def ruleset(kind: Nat, outside: str, inside_ip: str) -> str:
    """Rules for a box whose interface `outside` faces the internet; a full cone sends all UDP to `inside_ip`.

    IPv6 is never translated (RFC 4864): there the same kinds, except none, are a stateful firewall.
    """
    if kind == "none":
        return "flush ruleset\n"
    # The dropped packet must not reach the box itself either: the flow that conntrack would remember takes
    # the port, and a packet from inside to the same peer would then leave from another one.
    guard = f'iifname "{outside}" ct state established,related accept\n'
    if kind == "full-cone":
        guard += f'iifname "{outside}" ct status dnat accept\n'
    guard += f'iifname "{outside}" meta l4proto {{ tcp, udp }} drop\n'
    blocked = "meta l4proto udp drop\n" if kind == "udp-blocked" else ""
    unasked = (
        f'iifname "{outside}" meta l4proto udp udp dport 1024-65535 dnat to {inside_ip}'
        if kind == "full-cone"
        else ""
    )
    return f"""flush ruleset
table ip nat {{
  chain mapping {{ type nat hook postrouting priority srcnat; oifname "{outside}" {_MASQUERADE[kind]}; }}
  chain unasked {{ type nat hook prerouting priority dstnat; {unasked}
  }}
}}
table inet filter {{
  chain forward {{ type filter hook forward priority filter; policy accept;
{blocked}{guard}  }}
  chain input {{ type filter hook input priority filter; policy accept;
{guard}  }}
}}
"""


def remapping(kind: Nat, outside: str, public_ip: str) -> str:
    """Change the rules so that new flows leave from `public_ip`; nothing to do where nothing is mapped."""
    if kind == "none":
        return ""
    rule = _MASQUERADE[kind].replace("masquerade", f"snat to {public_ip}")
    return f'flush chain ip nat mapping\nadd rule ip nat mapping oifname "{outside}" {rule}\n'


def can_connect_directly(viewer: Nat, device: Nat) -> bool:
    """Say whether ICE can do without a relay between the two kinds (RFC 4787, RFC 5128 section 3.3).

    One end must be able to tell from where the other will come: not so where a mapping depends on the peer
    and the other side lets only ports pass that it has sent to.
    """
    pair = {viewer, device}
    return "udp-blocked" not in pair and pair not in ({"symmetric"}, {"symmetric", "port-restricted"})
