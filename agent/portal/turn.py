"""ICE servers for both ends of a session: the fixed ones, and coturn's with credentials that expire."""

import base64
import hashlib
import hmac
import math
import re
from dataclasses import dataclass

from agent.config import IceServerSettings, PortalSettings, read_secret
from agent.errors import PortalError
from agent.model.signal import IceServer

MAX_TURN_SERVERS = 3
"""For one session: each allocation costs a server something, and a browser time."""
MAX_URLS = 8
"""Of one entry of `iceServers` (agent/model/signal.py)."""


@dataclass(frozen=True, slots=True)
class TurnSecret:
    """TURN servers that share `static-auth-secret` with us."""

    urls: tuple[str, ...]
    secret: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class IceGrant:
    """What one end may use, and until when."""

    servers: tuple[IceServer, ...]
    expires_at: float | None
    """Unix time in seconds; None where nothing expires."""


@dataclass(frozen=True, slots=True)
class IceServers:
    """Mints grants; pure."""

    fixed: tuple[IceServer, ...] = ()
    turn: TurnSecret | None = None

    @property
    def has_relays(self) -> bool:
        """Whether some of them are for those alone who have something to relay."""
        return self.turn is not None or self.without_relays().servers != self.fixed

    def without_relays(self) -> IceGrant:
        """For whoever has nothing to relay."""
        return IceGrant(tuple(server for server in self.fixed if server.credential is None), None)

    def grant(self, name: str, now: float, spread: str | None = None, *, until: float = math.inf) -> IceGrant:
        """ICE servers for a user or a device, good until `until` at most; times are Unix seconds.

        With `spread`, anything that differs from session to session, at most three TURN servers in an order
        of its own: both ends take the first that works, so the load is spread. Without it, all of them.
        """
        if self.turn is None:
            return IceGrant(self.fixed, None)
        expires_at = int(min(now + self.turn.ttl_s, until))
        username, credential = rest_credential(self.turn.secret, name, expires_at)
        groups = _by_host(self.turn.urls)
        if spread is not None:
            first = int.from_bytes(hashlib.sha256(spread.encode()).digest()[:8]) % len(groups)
            groups = (groups[first:] + groups[:first])[:MAX_TURN_SERVERS]
        relays = (IceServer(urls=urls, username=username, credential=credential) for urls in groups)
        return IceGrant((*self.fixed, *relays), float(expires_at))


def _by_host(urls: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The URLs of one server together, at most eight of each; servers as they are named."""
    hosts: dict[str, list[str]] = {}
    for url in urls:
        address = url.partition(":")[2].partition("?")[0]
        hosts.setdefault(re.sub(r":\d+$", "", address).lower(), []).append(url)
    return [tuple(found[:MAX_URLS]) for found in hosts.values()]


def rest_credential(secret: str, name: str, expires_at: int) -> tuple[str, str]:
    """User name and password of coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00, 2.2)."""
    username = f"{expires_at}:{name}"
    mac = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(mac).decode()


def load_ice_servers(settings: PortalSettings) -> IceServers:
    """Read the credentials that the settings point to. Raises ConfigError or PortalError."""
    fixed = tuple(_fixed_server(server) for server in settings.ice_servers)
    if settings.turn is None:
        return IceServers(fixed)
    secret = read_secret(settings.turn.secret_file)
    return IceServers(fixed, TurnSecret(tuple(settings.turn.urls), secret, settings.turn.ttl_s))


def _fixed_server(server: IceServerSettings) -> IceServer:
    credential = None
    if server.credential_file is not None:
        credential = read_secret(server.credential_file)
    if any(url.startswith("turn") for url in server.urls) and not (server.username and credential):
        raise PortalError(
            f"portal.ice_servers {server.urls[0]}: a TURN server needs username and credential_file"
        )
    return IceServer(urls=tuple(server.urls), username=server.username, credential=credential)
