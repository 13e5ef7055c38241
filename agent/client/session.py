"""A client of the portal: signs in like a browser, then speaks its WebSocket's JSON."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Protocol, Self
from urllib.parse import urlsplit

import aiohttp
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from agent.client.device import Device
from agent.errors import PortalError
from agent.model.network_fault import network_fault
from agent.model.signal import CandidateLine, IceUrl, Sdp, Text

MAX_MESSAGE_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 15.0
SIGN_OUT_TIMEOUT_S = 2.0
DEVICES_TIMEOUT_S = 2.0
LONGEST_PAUSE_S = 15.0
POLICY_VIOLATION = 1008
"""RFC 6455 section 7.4.1: what a portal closes with where somebody may no longer come in."""
Session = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class PortalLostError(PortalError):
    """The portal cannot be reached now: it may be worth another try."""


class _Message(BaseModel):
    """What we need of a message; a newer portal may say more."""

    model_config = ConfigDict(frozen=True)


class Server(_Message):
    """One entry of `RTCConfiguration.iceServers`."""

    urls: Annotated[list[IceUrl], Field(max_length=8)]
    username: Text | None = None
    credential: Text | None = None


class Hello(_Message):
    """The first message."""

    type: Literal["hello"]
    ice_servers: Annotated[list[Server], Field(max_length=16)] = []
    devices: list[Device] = []


class DeviceChanged(_Message):
    """A device came, went or changed."""

    type: Literal["device"]
    device: Device


class Answer(_Message):
    """The device's answer."""

    type: Literal["answer"]
    session: Session
    sdp: Sdp


class Candidate(_Message):
    """A candidate of the device's; an empty line is end-of-candidates."""

    type: Literal["candidate"]
    session: Session
    candidate: CandidateLine


class Reject(_Message):
    """No answer will come."""

    type: Literal["reject"]
    session: Session
    code: Text
    message: Text = ""


class Bye(_Message):
    """The device ended the session."""

    type: Literal["bye"]
    session: Session
    reason: Text = ""


class Refused(_Message):
    """The portal refused our last message."""

    type: Literal["error"]
    code: Text
    message: Text = ""


Message = Hello | DeviceChanged | Answer | Candidate | Reject | Bye | Refused


class _Refusal(_Message):
    message: Text
    code: Text = ""


class _Who(_Message):
    user: Text
    second_factor_needed: bool = False
    """Portals of before do not say."""


_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signs in."""

    user: str
    password: str
    code: str = ""
    """What the user's authenticator shows, where there is one."""


class PortalClient:
    """A signed-in WebSocket."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, socket: aiohttp.ClientWebSocketResponse, hello: Hello
    ) -> None:
        self._http = http
        self._url = url
        self._socket = socket
        self.hello = hello

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, url: str, sign_in: SignIn) -> AsyncIterator[Self]:
        """Sign in and wait for `hello`; signs out at the end, however that comes.

        Raises PortalError that says what is wrong and what to do.
        """
        async with _let_in(url, sign_in) as (http, base):
            client = cls(http, base, *await _come_in(http, base))
            try:
                yield client
            finally:
                await client._socket.close()

    async def come_back(self) -> None:
        """Open another WebSocket after ours was lost; tries until there is one, with pauses.

        Raises PortalError where the portal does not let us in.
        """
        ceiling_s = 1.0
        while True:
            # Full jitter: a new portal is not stormed.
            await asyncio.sleep(random.uniform(0, ceiling_s))  # noqa: S311
            ceiling_s = min(LONGEST_PAUSE_S, 2 * ceiling_s)
            with contextlib.suppress(PortalLostError):
                self._socket, self.hello = await _come_in(self._http, self._url)
                return

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message as JSON."""
        try:
            await self._socket.send_str(json.dumps(message))
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise PortalLostError("the portal closed the connection") from exc

    async def receive(self) -> Message:
        """The next message. Raises PortalLostError when the portal goes away, PortalError when for good."""
        return await _receive(self._socket)

    async def find(self, wanted: str | None) -> Device:
        """The camera with this id; without one, the only camera. Raises PortalError."""
        devices = {device.id: device for device in self.hello.devices}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEVICES_TIMEOUT_S):
                # A portal that has just started learns of its cameras.
                while wanted not in devices if wanted else not devices:
                    message = await self.receive()
                    if isinstance(message, DeviceChanged):
                        devices[message.device.id] = message.device
        return _choose(devices, wanted)


_REFUSAL, _WHO = TypeAdapter(_Refusal), TypeAdapter(_Who)


class Ask(Protocol):
    """Asks a route of the portal: posts `body`, or gets where there is none; the answer's status and text.

    Raises PortalError.
    """

    def __call__(self, path: str, body: dict[str, Any] | None = None) -> Awaitable[tuple[int, str]]: ...


@contextlib.asynccontextmanager
async def signed_in(url: str, sign_in: SignIn) -> AsyncIterator[Ask]:
    """Sign in, and out at the end. Raises PortalError."""
    async with _let_in(url, sign_in) as (http, base):

        async def ask(path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
            method = "GET" if body is None else "POST"
            with _reaching(url):
                async with http.request(method, f"{base}{path}", json=body) as answer:
                    text = await answer.text()
            if answer.status >= 300:
                raise PortalError(_words(base, answer.status, text))
            return answer.status, text

        yield ask


def _base_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets of no IPv6 address, a port that is no port
        is_good = False
    if not is_good:
        raise PortalError(
            f"{url}: the portal's address must be http:// or https://, a host, and perhaps a port"
        )
    return url.rstrip("/")


def _session() -> aiohttp.ClientSession:
    # The portal may be an address without a name; cookies of such are refused by default.
    jar = aiohttp.CookieJar(unsafe=True)
    return aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=CONNECT_TIMEOUT_S))


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise PortalLostError(f"the portal at {url} did not answer in {CONNECT_TIMEOUT_S:g} s") from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise PortalLostError(f"cannot reach the portal at {url}: {network_fault(exc)}") from exc


def _choose(devices: dict[str, Device], wanted: str | None) -> Device:
    listed = "".join(
        f"\n  {device.id}  {device.name}{'' if device.online else '  (offline)'}"
        for device in devices.values()
    )
    if not devices:
        raise PortalError("the portal knows no camera: is an agent running, on the same broker?")
    if wanted is None and len(devices) > 1:
        raise PortalError(f"there are several cameras, choose one with --device:{listed}")
    if wanted is not None and wanted not in devices:
        raise PortalError(f"there is no camera {wanted}; there are:{listed}")
    device = devices[wanted] if wanted is not None else next(iter(devices.values()))
    if not device.online:
        raise PortalError(f"{device.id} is offline: is its agent running, and does it reach the broker?")
    return device


@contextlib.asynccontextmanager
async def _let_in(url: str, sign_in: SignIn) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session at the portal, and its address; it is over at the end of the block, whatever ends that."""
    base = _base_of(url)
    async with _session() as http:
        signing_in = asyncio.create_task(_sign_in(http, base, sign_in), name="sign-in")
        try:
            with _reaching(url):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await asyncio.shield(signing_in)
            yield http, base
        finally:
            if not signing_in.done():  # interrupted in the middle of it: the portal may have let us in
                await asyncio.wait((signing_in,), timeout=SIGN_OUT_TIMEOUT_S)
                signing_in.cancel()
            await asyncio.gather(signing_in, return_exceptions=True)
            if len(http.cookie_jar):  # else nobody was let in
                await _sign_out(http, base)


async def _sign_out(http: aiohttp.ClientSession, base: str) -> None:
    """Where the portal is away, the session ends by itself later."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(SIGN_OUT_TIMEOUT_S), http.post(f"{base}/api/logout", json={}):
            pass


async def _sign_in(http: aiohttp.ClientSession, base: str, sign_in: SignIn) -> None:
    async with http.post(f"{base}/api/login", json=asdict(sign_in), allow_redirects=False) as answer:
        if answer.status == 401:
            refused = _refusal_of(await answer.text())
            if refused.code in ("code-needed", "wrong-code"):
                raise PortalError("the portal wants the code of your authenticator: --code CODE")
            raise PortalError("the portal refuses user name or password")
        if answer.status == 429:
            pause = answer.headers.get("Retry-After", "some")
            raise PortalError(f"too many attempts with a wrong password: try again in {pause} s")
        text = await answer.text()
        if answer.status != 200:
            raise PortalError(_words(base, answer.status, text))
    _check_factor(base, text)


async def _come_in(http: aiohttp.ClientSession, base: str) -> tuple[aiohttp.ClientWebSocketResponse, Hello]:
    with _reaching(base):
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            socket = await _open_socket(http, base)
            hello = await _receive(socket)
    if not isinstance(hello, Hello):
        await socket.close()
        raise PortalError(f"{base} does not speak like a portal: its first word was not hello")
    return socket, hello


async def _open_socket(http: aiohttp.ClientSession, base: str) -> aiohttp.ClientWebSocketResponse:
    try:
        return await http.ws_connect(f"{base}/api/ws?sections", max_msg_size=MAX_MESSAGE_BYTES)
    except aiohttp.WSServerHandshakeError as exc:
        # A refused handshake keeps its words to itself: ask where they can be read.
        async with http.get(f"{base}/api/session") as answer:
            text = await answer.text()
        _check_factor(base, text)
        kind = PortalLostError if exc.status >= 500 else PortalError  # a proxy's, while the portal restarts
        raise kind(_words(base, exc.status, text)) from exc


def _check_factor(base: str, text: str) -> None:
    with contextlib.suppress(ValidationError):
        who = _WHO.validate_json(text)
        if who.second_factor_needed:
            raise PortalError(
                f"{who.user}'s role asks for a second factor: sign in at {base} in a browser to set up an "
                "authenticator, then come again with its code: --code CODE"
            )


def _refusal_of(text: str) -> _Refusal:
    """What a portal says with any status but 200; empty where it is none of its words."""
    try:
        return _REFUSAL.validate_json(text)
    except ValidationError:
        return _Refusal(message="")


def _words(base: str, status: int, text: str) -> str:
    said = _refusal_of(text).message
    return f"the portal says: {said}" if said else f"{base} does not answer like a portal: HTTP {status}"


async def _receive(socket: aiohttp.ClientWebSocketResponse) -> Message:
    while True:
        frame = await socket.receive()
        if frame.type is not aiohttp.WSMsgType.TEXT:
            kind = PortalError if socket.close_code == POLICY_VIOLATION else PortalLostError
            raise kind(f"the portal closed the connection ({frame.extra or socket.close_code or 'lost'})")
        message = _parse(frame.data)
        if message is not None:
            return message


def _parse(text: str) -> Message | None:
    """One message, or None for a type that we do not know. Raises PortalError where it is malformed."""
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid":
            return None
        where = ".".join(str(part) for part in first["loc"])
        raise PortalError(f"the portal sent a malformed message: {where}: {first['msg']}") from exc
