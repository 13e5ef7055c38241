"""ICE servers as the portal names them (W3C WebRTC section 4.2.4), one entry a URL."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aiortc.rtcicetransport import parse_stun_turn_uri

from agent.model.signal import IceServer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StunServer:
    """A STUN server to learn our public address from (RFC 8489)."""

    url: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A TURN server to relay through (RFC 8656)."""

    url: str
    host: str
    port: int
    transport: str
    """`udp` or `tcp`."""
    is_tls: bool
    username: str | None
    password: str | None

    @property
    def rank(self) -> int:
        """0 for the cheapest way: udp, then tcp, then tls."""
        return 2 if self.is_tls else int(self.transport == "tcp")


def parse_ice_servers(servers: Sequence[IceServer]) -> tuple[list[StunServer], list[TurnServer]]:
    """Flatten `iceServers`; a URL that we cannot use is logged and left out (RFC 7064, RFC 7065)."""
    stuns: list[StunServer] = []
    turns: list[TurnServer] = []
    for server in servers:
        for url in server.urls:
            try:
                uri = parse_stun_turn_uri(url)
            except ValueError:
                log.warning("ice server %s is not a valid URL: left out", url)
                continue
            host, port = uri["host"], uri["port"]
            if not 0 < port < 65536 or uri.get("transport", "udp") not in ("udp", "tcp"):
                log.warning("ice server %s: no such port or transport: left out", url)
                continue
            if uri["scheme"] == "stun":
                stuns.append(StunServer(url, host, port))
            elif uri["scheme"] == "stuns" or (uri["scheme"] == "turns" and uri["transport"] == "udp"):
                log.warning(
                    "ice server %s: STUN over TLS and TURN over DTLS are not supported: left out", url
                )
            else:
                is_tls = uri["scheme"] == "turns"
                turn = TurnServer(
                    url, host, port, uri["transport"], is_tls, server.username, server.credential
                )
                turns.append(turn)
    return stuns, turns


def reflexive_servers(servers: Sequence[IceServer]) -> list[StunServer]:
    """Whom to ask for our public address: STUN servers; where there is none, TURN over UDP is STUN too."""
    stuns, turns = parse_ice_servers(servers)
    return stuns or [StunServer(one.url, one.host, one.port) for one in turns if one.transport == "udp"]


def reflexive_candidate(base: Candidate, mapped: tuple[str, int]) -> Candidate:
    """What a STUN server sees a host candidate as."""
    return Candidate(
        foundation=candidate_foundation("srflx", "udp", base.host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "srflx"),
        host=mapped[0],
        port=mapped[1],
        type="srflx",
        related_address=base.host,
        related_port=base.port,
    )
