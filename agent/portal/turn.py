"""ICE servers for both ends of a session: the fixed ones, and coturn's with credentials that expire."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from agent.config import IceServerSettings, PortalSettings, read_secret
from agent.errors import PortalError
from agent.model.signal import IceServer


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

    def grant(self, name: str, now: float) -> IceGrant:
        """ICE servers for a user or a device; `now` is Unix time in seconds."""
        if self.turn is None:
            return IceGrant(self.fixed, None)
        expires_at = int(now) + self.turn.ttl_s
        username, credential = rest_credential(self.turn.secret, name, expires_at)
        relay = IceServer(urls=self.turn.urls, username=username, credential=credential)
        return IceGrant((*self.fixed, relay), float(expires_at))


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
