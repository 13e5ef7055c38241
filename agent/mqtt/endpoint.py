"""Where the broker is and how to get there: URL, TLS, the TCP connection, and words for what goes wrong."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.config import BrokerSettings
from agent.errors import BrokerError, ConfigError
from agent.model.disk import MAX_PEM_BYTES, check_file
from agent.model.network_fault import network_fault

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
DEFAULT_WEBSOCKET_PATH = "/mqtt"
HAPPY_EYEBALLS_DELAY_S = 0.25
"""RFC 8305 section 5: mobile networks with a broken IPv6 are common."""
TCP_CONNECT_S = 4.0
"""SYNs go out at 0, 1 and 3 s. A dead link is tried again soon: it may just have come back."""
UNACKNOWLEDGED_MS = 20_000
"""A connection whose data nobody acknowledges for this long is dead (RFC 5482)."""

_CODES = {
    # MQTT 5 section 2.4, all that CONNACK, PUBACK, SUBACK and DISCONNECT may carry.
    0x80: "it does not say why",
    0x81: "it cannot read a packet of ours",
    0x82: "it takes a packet of ours for a breach of the protocol",
    0x83: "its own rules forbid what we sent: see its log",
    0x84: "it does not speak MQTT {version}: set broker.version",
    0x85: "it refuses the client id {client_id}: check device.id",
    0x86: "wrong user name or password: check broker.username and password_file",
    0x87: "not authorised: check broker.username, password_file and the broker's access rules",
    0x88: "it is not available for now",
    0x89: "it is busy: it may have too many clients",
    0x8A: "this client is banned: see its log",
    0x8B: "it is shutting down",
    0x8C: "it wants another way to authenticate than a name, a password or a certificate",
    0x8D: "it heard nothing of us for too long: check the link, and broker.keepalive_s",
    0x8E: "another client took over the id {client_id}: every device needs its own device.id",
    0x8F: "it does not take this topic filter: check broker.topic_prefix and its access rules",
    0x90: "it does not take this topic: check broker.topic_prefix and its access rules",
    0x91: "it still has a message of this number: see its log",
    0x92: "it knows no message of this number",
    0x93: "more messages were under way than it takes: raise its receive maximum",
    0x94: "it takes no topic aliases",
    0x95: "a message is larger than it takes: raise its limits (Mosquitto: max_packet_size)",
    0x96: "it takes fewer messages a second: raise its rate limit",
    0x97: "a quota is used up: see its limits for {client_id}",
    0x98: "its administrator ended the connection",
    0x99: "it does not take this payload's format",
    0x9A: "it keeps no retained messages: allow them (Mosquitto: retain_available true)",
    0x9B: "it does not take this quality of service: allow QoS 1 (Mosquitto: max_qos 2)",
    0x9C: "it sends us to another server: set broker.url to that",
    0x9D: "it has moved: set broker.url to where it is now",
    0x9E: "it has no shared subscriptions",
    0x9F: "we connect too often for it: raise its rate limit",
    0xA0: "it ends every connection after some time",
    0xA1: "it has no subscription identifiers",
    0xA2: "it allows no wildcards in subscriptions, and Pinhole needs them",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A broker's address."""

    url: str
    """As people know it: for logs and errors."""
    host: str
    port: int
    tls: bool
    websocket_path: str | None
    """None for MQTT straight over TCP or TLS."""


def parse_endpoint(url: str) -> Endpoint:
    """Take a broker URL apart (`mqtt`, `mqtts`, `ws` or `wss`). Raises BrokerError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]
    except (KeyError, ValueError):
        host = None
    if not host:
        raise BrokerError(f"{url} is no broker URL: mqtt, mqtts, ws or wss, a host, and perhaps a port")
    path = (parts.path.rstrip("/") or DEFAULT_WEBSOCKET_PATH) if parts.scheme in ("ws", "wss") else None
    return Endpoint(url, host, port, parts.scheme in ("mqtts", "wss"), path)


def make_tls_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Trust `ca_file` or else the system's CAs; show the client certificate. None where the URL wants no TLS.

    Reads files; raises BrokerError.
    """
    if not parse_endpoint(settings.url).tls:
        return None
    try:
        for file in filter(None, (settings.ca_file, settings.cert_file, settings.key_file)):
            check_file(file, trusted_owner=False, most_bytes=MAX_PEM_BYTES)
    except ConfigError as exc:
        raise BrokerError(f"broker: {exc}") from exc
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as exc:  # ssl.SSLError is one too
        raise BrokerError(f"broker.ca_file {settings.ca_file}: {_reason(exc)}") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file is not None:
        # Python 3.13 asks for key identifiers (RFC 5280, 4.2.1.1), which our portal's authority, and many a
        # private one, gave nobody. Chain, names and dates are proven as ever.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.cert_file is not None:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_passphrase)
        except (OSError, ValueError) as exc:
            raise BrokerError(
                f"broker.cert_file {settings.cert_file} with key_file {settings.key_file}: {_reason(exc)}"
            ) from exc
    return context


class Dialer:
    """Opens TCP connections to the broker, and remembers where it was found for when name look-up is away."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._known = ""
        self._tries = 0

    async def open(self) -> socket.socket:
        """A connection to whichever of the host's addresses answers first. Raises OSError.

        asyncio resolves, races the addresses and can be cancelled at any time, none of which paho does. The
        socket outlives the transport as a duplicate.
        """
        # In turn, since the broker may have moved as well.
        host = self._endpoint.host if self._tries % 2 or not self._known else self._known
        self._tries += 1
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TCP_CONNECT_S):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, host, self._endpoint.port, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S
            )
        try:
            duplicate: socket.socket = transport.get_extra_info("socket").dup()
        finally:
            transport.abort()
        with contextlib.suppress(OSError, AttributeError):  # Linux only
            duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        self._known, self._tries = duplicate.getpeername()[0], 0
        return duplicate


async def open_socket(endpoint: Endpoint) -> socket.socket:
    """One connection. Raises OSError."""
    return await Dialer(endpoint).open()


def explain(error: BaseException, endpoint: Endpoint) -> str:
    """What went wrong on the way to the broker and what to look at; the same words for the same fault."""
    match error:
        case ssl.SSLCertVerificationError():
            words = (
                f"its certificate is not trusted ({error.verify_message}): check broker.ca_file and the host"
            )
        case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
            fault = reason.lower().replace("_", " ")
            words = f"it refuses us ({fault}): check broker.cert_file and key_file"
        case ssl.SSLError():
            words = f"{network_fault(error)}: check the port, or use mqtt:// or ws://"
        case socket.gaierror():
            words = "unknown host: check broker.url and this machine's name servers"
        case ConnectionRefusedError():
            words = "connection refused: is the broker running, and the port right?"
        case TimeoutError():
            words = "no answer in time: check the network, a firewall, and broker.connect_timeout_s"
        case _:
            words = f"{_reason(error)}: check the network, the port, and that the broker is running"
    return f"{endpoint.url}: {words}"


def explain_close(endpoint: Endpoint) -> str:
    """The broker hung up before MQTT began, without a word why."""
    if endpoint.tls:
        hint = "is that its TLS port, and does it accept our client certificate (broker.cert_file)?"
    else:
        hint = "does it want TLS there (mqtts:// or wss://), or another broker.version?"
    return f"{endpoint.url}: it closed the connection at once: {hint}"


def code_words(code: int, version: str, client_id: str) -> str:
    """What the broker means by a reason code (MQTT 5 section 2.4), and what to do."""
    words = _CODES.get(code, f"it refuses us with reason code 0x{code:02x}")
    return words.format(version=version, client_id=client_id)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _no_passphrase() -> str:
    # Without this OpenSSL asks on the terminal, and an agent that runs as a service waits for ever.
    raise ValueError("the key has a passphrase: store it without one, readable by the agent alone")
