"""What the facts mean for the viewers. Pure: facts in, findings out."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from agent.camera.trial import Trial
from agent.doctor.clock import PortalDate, Synchronisation
from agent.doctor.holder import Holder, not_looked_at
from agent.doctor.portal import PortalVisit
from agent.doctor.report import Finding
from agent.model.health import NatKind
from agent.model.signal import Detail, IceServer
from agent.mqtt.probe import BrokerVisit
from agent.rtc.interfaces import LocalAddress
from agent.rtc.nat import Behaviour
from agent.rtc.reach import Reached, Target

MAX_SKEW_S = 5.0
"""What an offer's times allow for (agent/signaling/README.md)."""
CERTIFICATE_SOON_DAYS = 14
MIN_FPS_SHARE = 0.9
CARRIER_NET = ipaddress.ip_network("100.64.0.0/10")
"""RFC 6598: between a carrier's NAT and its customers, and nowhere else (but some VPNs borrow it)."""

DIRECT: dict[NatKind, str] = {
    "open": "no NAT and no firewall: every viewer with UDP connects directly",
    "firewall": "no NAT, but a firewall: direct, except for viewers behind a symmetric NAT",
    "full-cone": "a full-cone NAT: every viewer with UDP connects directly",
    "restricted": "a restricted-cone NAT: every viewer with UDP connects directly",
    "port-restricted": "a port-restricted NAT: direct, except for viewers behind a symmetric NAT",
    "cone": "a cone NAT, its filter unknown: direct, except perhaps for viewers behind a symmetric NAT",
    "symmetric": "a symmetric NAT: direct only for viewers without one or behind a full or restricted cone",
    "udp-blocked": "UDP is blocked: every viewer needs a relay over TCP or TLS",
    "unknown": "UDP passes; one STUN server with one address cannot tell the kind of NAT",
}
"""RFC 4787 and RFC 5128 section 3.3; what each kind means."""


def judge_names(host: str, addresses: Sequence[str]) -> Finding:
    """A name that resolves."""
    return Finding("names", host, "good", f"is {', '.join(addresses[:4])}", details={"count": len(addresses)})


def judge_network(addresses: Sequence[LocalAddress]) -> Finding:
    """Which of our addresses viewers are offered."""
    offered = [address for address in addresses if address.is_offered]
    hidden = sorted({address.interface for address in addresses} - {a.interface for a in offered})
    words = ", ".join(f"{address.ip} ({address.interface})" for address in offered)
    more = f"; not offered: {', '.join(hidden)}" if hidden else ""
    details: dict[str, Detail] = {
        "offered": " ".join(address.ip for address in offered),
        "excluded_interfaces": " ".join(hidden),
        "has_ipv4": any("." in address.ip for address in offered),
        "has_ipv6": any(":" in address.ip for address in offered),
    }
    if not offered:
        return Finding(
            "network", "", "fault", f"no address that viewers could reach{more}",
            "connect the device to a network, or see webrtc.exclude_interfaces", details=details,
        )  # fmt: skip
    if not details["has_ipv4"]:
        return Finding(
            "network", "", "warning", f"IPv6 alone: {words}{more}",
            "viewers without IPv6 need a TURN server that has both", details=details,
        )  # fmt: skip
    return Finding("network", "", "good", f"offers {words}{more}", details=details)


def judge_clock(synchronisation: Synchronisation, date: PortalDate | None) -> Finding:
    """Whether the portal's offers look fresh here."""
    details: dict[str, Detail] = {"source": synchronisation.source or "none"}
    if synchronisation.is_synchronised is not None:
        details["is_synchronised"] = synchronisation.is_synchronised
    skew_s, versus = synchronisation.offset_s, str(synchronisation.source)
    uncertainty_s = 0.0
    if date is not None:
        skew_s, versus, uncertainty_s = date.offset_s, "the portal", date.uncertainty_s
    if skew_s is not None:
        details |= {"skew_s": round(skew_s, 3), "uncertainty_s": round(uncertainty_s, 3)}
        if abs(skew_s) - uncertainty_s > MAX_SKEW_S:
            return Finding(
                "clock", "", "warning",
                f"{abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} {versus}: "
                "it serves all the same, but cannot tell how old an offer is",
                "let chrony or systemd-timesyncd set it: sudo timedatectl set-ntp true", details=details,
            )  # fmt: skip
    if synchronisation.is_synchronised is False:
        return Finding(
            "clock", "", "warning", "is not synchronised" + ("" if skew_s is None else ", but right so far"),
            "sudo timedatectl set-ntp true, and let UDP port 123 out", details=details,
        )  # fmt: skip
    if skew_s is None and synchronisation.is_synchronised is None:
        return Finding(
            "clock", "", "warning", "nothing here says whether it is right",
            "compare with the portal: --portal URL; or install chrony", details=details,
        )  # fmt: skip
    words = "is synchronised" if synchronisation.is_synchronised else "is right"
    return Finding(
        "clock", "", "good", words + ("" if skew_s is None else f", {abs(skew_s):.1f} s from {versus}"),
        details=details,
    )  # fmt: skip


def judge_broker(url: str, visit: BrokerVisit) -> Finding:
    """A broker that has let us in, or the agent, where we said nothing in MQTT."""
    days = visit.certificate_days
    steps = (("tcp_ms", visit.tcp_ms), ("tls_ms", visit.tls_ms), ("mqtt_ms", visit.mqtt_ms))
    details: dict[str, Detail] = {key: round(value, 1) for key, value in steps if value is not None}
    words = f"reached in {visit.tls_ms or visit.tcp_ms:.0f} ms; the running agent is connected"
    if visit.mqtt_ms is not None:
        words = f"connected and subscribed in {visit.mqtt_ms:.0f} ms"
    if days is None:
        return Finding("broker", url, "good", words, details=details)
    details["certificate_days"] = round(days, 1)
    words += f"; its certificate is valid for {days:.0f} days"
    if days < CERTIFICATE_SOON_DAYS:
        return Finding(
            "broker", url, "warning", words, "renew the broker's certificate: then nothing connects any more",
            details=details,
        )  # fmt: skip
    return Finding("broker", url, "good", words, details=details)


def judge_portal(url: str, visit: PortalVisit) -> Finding:
    """A portal that has answered; the device itself can do without."""
    details: dict[str, Detail] = {"status": visit.status, "http_ms": round(visit.duration_ms, 1)}
    if visit.status == 200:
        return Finding("portal", url, "good", f"answers in {visit.duration_ms:.0f} ms", details=details)
    if visit.status == 503:
        words, advice = "answers, but does not reach the broker", "see [broker] in the portal's settings"
    else:
        words, advice = f"does not answer like a portal: HTTP {visit.status}", "check the URL"
    return Finding("portal", url, "warning", words, advice, details=details)


def judge_ice(target: Target, reached: Reached) -> Finding:
    """An ICE server that works for us."""
    details: dict[str, Detail] = {
        "transport": target.transport,
        "is_relay": target.is_relay,
        "answer_ms": round(reached.duration_ms, 1),
        "mapped": f"{reached.mapped[0]} {reached.mapped[1]}",
    }
    words = f"answers in {reached.duration_ms:.0f} ms over {target.transport}"
    if reached.relayed:
        words += f", relays at {reached.relayed[0]}"
        details["relayed"] = f"{reached.relayed[0]} {reached.relayed[1]}"
    if reached.relayed and reached.forbidden:
        words += f", but to nobody whose own relay is there: {reached.forbidden}"
        advice = f"let it relay to {reached.relayed[0]} (coturn: allowed-peer-ip)"
        return Finding("ice", target.url, "warning", words, advice, details=details)
    return Finding("ice", target.url, "good", words, details=details)


def judge_sign_in(servers: Sequence[IceServer]) -> Finding:
    """A portal that has let us in."""
    urls = [url for server in servers for url in server.urls]
    words = f"names {len(urls)} ICE server{'' if len(urls) == 1 else 's'}"
    return Finding("portal", "sign-in", "good", words, details={"ice_servers": " ".join(urls)[:512]})


def no_servers(*, is_portals_word: bool) -> Finding:
    """Nobody to ask what we are behind."""
    words = "not known: the portal hands ICE servers out, and credentials, with each session"
    advice = "ask it: --portal URL --user NAME --password-file FILE"
    if is_portals_word:
        words, advice = "the portal knows no ICE server", "see [[portal.ice_servers]] and [portal.turn]"
    return Finding("nat", "", "warning", words, advice, details={"kind": "unknown"})


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What stands between us and the internet, and over which transports a TURN server works for us."""

    behaviour: Behaviour
    addresses: tuple[LocalAddress, ...]
    relays: tuple[str, ...]
    silent: tuple[str, ...] = ()
    """Servers over UDP that said nothing, where none of their hosts said anything over TCP either."""


def judge_nat(facts: PathFacts) -> Finding:
    """What the NAT means for the viewers."""
    behaviour, relays = facts.behaviour, facts.relays
    kind = behaviour.kind
    if kind == "udp-blocked" and len(facts.silent) == 1:
        return _nobody_said(facts.silent[0], relays)
    known = {"mapping": behaviour.mapping, "filtering": behaviour.filtering, "local_ip": behaviour.local_ip}
    details: dict[str, Detail] = {key: value for key, value in known.items() if value}
    details |= {"kind": kind, "relays": " ".join(sorted(set(relays)))}
    is_carrier = _is_carrier(behaviour, facts.addresses)
    details["is_carrier"] = is_carrier
    words = ("behind carrier NAT; " if is_carrier else "") + DIRECT[kind]
    if behaviour.mapped:
        details["public_ip"] = behaviour.mapped[0]
    if kind in ("open", "full-cone", "restricted"):
        return Finding("nat", "", "good", words, details=details)
    if kind == "udp-blocked" and relays:
        words += f"; one works over {' and '.join(sorted(set(relays)))}"
        return Finding("nat", "", "warning", words, "let UDP out: video over TCP stutters", details=details)
    if kind == "udp-blocked":
        words += f" (no answer from {' and '.join(facts.silent)})" if facts.silent else ""
        advice = "let UDP out, or give the portal a TURN server over TCP or TLS: [portal.turn]"
        return Finding("nat", "", "fault", f"{words}, and none is known to work", advice, details=details)
    if relays:
        return Finding("nat", "", "good", f"{words}; a relay works for the rest", details=details)
    advice = "give the portal a TURN server: [portal.turn]"
    return Finding("nat", "", "warning", f"{words}; no relay is known to work", advice, details=details)


def _nobody_said(server: str, relays: Sequence[str]) -> Finding:
    """One server that is down looks like UDP that is blocked."""
    works = f"; a relay works over {' and '.join(sorted(set(relays)))}" if relays else ", nor any relay"
    return Finding(
        "nat", "", "warning" if relays else "fault", f"{server} does not answer{works}",
        "see that it runs and that its port is open; if so, UDP is blocked here: let it out",
        details={"kind": "unknown", "relays": " ".join(sorted(set(relays)))},
    )  # fmt: skip


def _is_carrier(behaviour: Behaviour, addresses: Sequence[LocalAddress]) -> bool:
    """Whether one of our addresses on the way out, or what the internet sees, is a carrier's shared one."""
    mapped = [behaviour.mapped[0]] if behaviour.mapped else []
    offered = [address.ip for address in addresses if address.is_offered]
    return any(ipaddress.ip_address(ip) in CARRIER_NET for ip in (*mapped, *offered) if "." in ip)


def judge_camera(trial: Trial | Holder) -> Finding:
    """A camera that delivers, or that the agent has."""
    if isinstance(trial, Holder):
        if not trial.is_certain:
            return not_looked_at("camera", "", trial)
        return Finding(
            "camera", "", "good", f"the running agent (process {trial.pid}) holds it: not tried",
            details={"holder_pid": trial.pid},
        )  # fmt: skip
    width_px, height_px, wanted_fps = trial.format.width_px, trial.format.height_px, trial.format.fps
    encoder = "in software (libx264)" if trial.is_software else "in hardware"
    words = (
        f"{trial.kind}, {width_px}x{height_px}, {trial.fps:.1f} of {wanted_fps:g} fps, "
        f"{trial.bitrate_bps / 1e6:.1f} Mb/s, {trial.keyframes} of {trial.frames} pictures a keyframe"
    )
    if trial.kind != "replay":
        words += f", encoded {encoder}"
    details: dict[str, Detail] = {
        "kind": trial.kind, "width_px": width_px, "height_px": height_px,
        "fps": round(trial.fps, 2), "wanted_fps": wanted_fps, "bitrate_bps": round(trial.bitrate_bps),
        "frames": trial.frames, "keyframes": trial.keyframes, "start_ms": round(trial.start_ms, 1),
        "is_software": trial.is_software,
    }  # fmt: skip
    if trial.fps < wanted_fps * MIN_FPS_SHARE:
        advice = "choose a smaller picture or rate: camera.width_px, height_px, fps; or give it more light"
        return Finding("camera", "", "warning", f"too slow: {words}", advice, details=details)
    return Finding("camera", "", "good", words, details=details)
