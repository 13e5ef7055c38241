"""Between the browsers' WebSockets and the devices: who is connected, who hears of what, ICE credentials.

No socket, task or topic in here: `app.py` feeds it text from browsers, the composition feeds it messages from
devices, and `tick` is called twice a second, once while nobody is here. A session's life is in `sessions.py`,
what is known of devices in `presence.py`, commands that wait in `commands.py`, and how much each may have in
`limits.py`.
"""

import itertools
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from agent.errors import MessageError
from agent.model.command import COMMANDS
from agent.model.event import KINDS, EventKind
from agent.model.health import Health
from agent.model.sections import SectionsMessage
from agent.model.signal import FromDevice, State
from agent.portal.accounts.access import Identity
from agent.portal.audience import NoteWatching, seen_by
from agent.portal.client import Client, Clock
from agent.portal.commands import Commands
from agent.portal.devices import Directory
from agent.portal.farewells import SendToDevice
from agent.portal.limits import gives_way, may_join, message_rate
from agent.portal.messages import (
    MAX_MESSAGE_BYTES,
    BrokerChanged,
    BrowserBye,
    BrowserCandidate,
    BrowserOffer,
    BrowserPing,
    BrowserResume,
    Device,
    DeviceChanged,
    DeviceEvent,
    DeviceGone,
    Error,
    FlatDevice,
    Hello,
    Ice,
    PastEvents,
    Pong,
    ToBrowser,
    encode_to_browser,
    fitting_devices,
    fitting_events,
    flattened,
    parse_from_browser,
)
from agent.portal.outbox import Outbox
from agent.portal.presence import Presence
from agent.portal.rate_limit import MinuteLimit
from agent.portal.sessions import LEASE_S, PortalSessions
from agent.portal.turn import IceGrant, IceServers

ICE_RENEW_SHARE = 0.25
"""Credentials are renewed when this share of their life is left."""
_HELLO_ROOM_BYTES = MAX_MESSAGE_BYTES - 16 * 1024  # the rest is for at most 9 ICE servers
PAST_EVENTS, PAST_OF_DEVICE = 100, 20
"""Kept in memory, for who comes later; and of one camera, whose events push out no other's."""
EVENTS_PER_MINUTE = 30
"""Of one camera: a browser that lets messages pile up is closed."""

AskToLook = Callable[[str, str], bool]
"""`ask(device, boot_id)` tells a device that there may be a new release; False as of `SendToDevice`."""
NotePresence = Callable[[str, bool, bool], None]
"""`note(device, is_online, is_first)`: a device came or went, or is seen for the first time."""


class Gateway:
    """Every client and device of this portal, and what passes between them."""

    def __init__(
        self,
        send: SendToDevice,
        ice: IceServers,
        version: str,
        clock: Clock | None = None,
        note_watching: NoteWatching = lambda *_: None,
        ask_to_look: AskToLook = lambda *_: False,
        note_presence: NotePresence = lambda *_: None,
        note_change: Callable[[str], None] = lambda _: None,
        lease_s: float = LEASE_S,
    ) -> None:
        self.version = version
        self.broker_connected = False
        self.problem = ""
        """What else is wrong with the portal, in words; it serves all the same."""
        self.note_watching = note_watching
        self._ask_to_look = ask_to_look
        self._note_presence, self._note_change = note_presence, note_change
        self._ice = ice
        self._clock = clock = clock or Clock()
        self.directory = Directory()
        self.sessions = PortalSessions(send, ice, clock, self.directory, self, lease_s)
        self.commands = Commands(send, self.directory, clock, self.ask_to_look)
        self._presence = Presence(send, ice, clock, self.directory, self.sessions, self)
        self._events = MinuteLimit(EVENTS_PER_MINUTE)
        self._past: deque[DeviceEvent] = deque(maxlen=PAST_EVENTS)
        self._clients: set[Client] = set()
        self._numbers = itertools.count()

    # From the browsers.

    def join(self, identity: Identity, address: str = "", *, reads_sections: bool = False) -> Client | None:
        """Take in a WebSocket; None where there are too many, in all or of this user or link.

        An administrator finds room, however many others have opened.
        """
        if given := gives_way(identity, self._clients):
            self.leave(given)
            given.outbox.close(1013, "an administrator needed this place")
        if not may_join(identity, self._clients):
            return None
        number = next(self._numbers)
        client = Client(
            number=number,
            identity=identity,
            address=address,
            outbox=Outbox(lambda device: self._encode_device(client, device)),
            ice=self._grant(identity, number),
            rate=message_rate(self._clock.mono_s()),
            reads_sections=reads_sections,
        )
        self._greet(client)
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget a WebSocket; safe to call twice.

        Its sessions play on for a while: a viewer whose network changed comes back over another WebSocket.
        """
        self._clients.discard(client)
        self.sessions.on_left(client)

    def receive(self, client: Client, text: str) -> None:
        """Act on one message from a browser."""
        if not client.rate.admits(self._clock.mono_s()):
            client.tell(Error("too-fast", "too many messages: the connection is closed"))
            client.outbox.close(1008, "too many messages")
            return
        try:
            message = parse_from_browser(text)
        except MessageError as exc:
            client.tell(Error(exc.code, str(exc)))
            return
        match message:
            case BrowserOffer():
                self.sessions.on_offer(client, message)
            case BrowserCandidate():
                self.sessions.on_candidate(client, message)
            case BrowserBye():
                self.sessions.on_bye(client, message)
            case BrowserResume():
                self.sessions.on_resume(client, message)
            case BrowserPing():
                client.tell(Pong())

    # From the accounts.

    def live_sessions(self) -> set[str]:
        """Keys of the sign-ins that have a WebSocket here, a stream, or a command that waits."""
        return {client.identity.session for client in self._present()} | self.commands.sessions()

    def apply(self, identities: Mapping[str, Identity], asked: set[str]) -> None:
        """Take in who of those asked about may still do what; who is missing is out, at once."""
        self.commands.apply(identities, asked)
        for client in self._present():
            if client.identity.session not in asked:  # came in since, with newer knowledge
                continue
            identity = identities.get(client.identity.session)
            if identity is None:
                self._shut_out(client)
            elif identity.access != client.identity.access:
                self._change_access(client, identity)

    @property
    def websockets(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def known(self) -> tuple[Device, ...]:
        """What is known of each device, but for those that were revoked."""
        return tuple(device for device in self.directory.all() if not self.directory.is_revoked(device.id))

    def devices(self) -> tuple[str, ...]:
        """Of which anything is known."""
        return self.directory.ids()

    def look(self, device: str, who: Identity) -> bool:
        """Have a device look for a new release, in the words that it knows; False as `ask_to_look`."""
        if not (self.directory.is_online(device) and self.directory.understands(device, "command")):
            return self.ask_to_look(device)
        kind = COMMANDS["look"]
        try:
            asked = self.commands.ask(secrets.token_hex(16), device, kind, {}, who, kind.life_s)
        except MessageError:
            return False  # it has not done what it was told before
        return bool(asked.boot_id)

    def ask_to_look(self, device: str) -> bool:
        """Tell a device of before there were commands; False where it or the broker is away."""
        boot_id = self.directory.boot_id(device)
        if boot_id is None or not self.directory.is_online(device):
            return False
        return self._ask_to_look(device, boot_id)

    # From the devices.

    def on_state(self, device: str, state: State) -> None:
        """A device's presence changed."""
        self._presence.on_state(device, state)

    def on_sections(self, device: str, message: SectionsMessage) -> None:
        """What a device's state says beyond that."""
        if self.directory.apply_sections(device, message):
            self.show(device)

    def on_health(self, device: str, health: Health) -> None:
        """What a device's doctor says."""
        if self.directory.apply_health(device, health):
            self.show(device)

    def expects(self, device: str, session_id: str) -> bool:
        """Whether it concerns us what this device says in this session; each portal has its own."""
        parts = (self.sessions, self._presence, self.commands)
        return any(part.expects(device, session_id) for part in parts)

    def on_signal(self, device: str, session_id: str, message: FromDevice) -> None:
        """A device answers; only the WebSocket that opened the session hears it.

        Raises MessageError `stale-answer` for one to another offer than the session's newest.
        """
        if self.commands.on_signal(device, session_id, message):
            return
        is_ours = self.sessions.table.get(session_id) is not None
        if self.sessions.on_signal(device, session_id, message):
            self._presence.on_wrong_boot(device)
        elif not is_ours:  # another portal's, over, or an answer of a device about its start
            self._presence.on_signal(device, session_id, message)

    def on_undelivered(self, device: str, session_id: str, words: str) -> None:
        """The broker does not take what we sent to a device."""
        self.commands.on_undelivered(device, session_id, words)
        self.sessions.on_undelivered(device, session_id, words)

    def on_event(self, event: DeviceEvent) -> None:
        """Something happened at a device; where too much does, the store alone has it all."""
        if not self._events.admits(event.device, self._clock.mono_s()):
            return
        self.keep_event(event)
        text = encode_to_browser(event)
        for client in self._watchers(event.device):
            client.outbox.put(text)

    def came_or_went(self, device: str, *, is_online: bool, is_first: bool) -> None:
        """A device did, or is seen for the first time."""
        self._note_presence(device, is_online, is_first)
        if not is_first:
            # Not told one by one: a fleet that comes back would flood the browsers, and they see it anyway.
            kind: EventKind = "online" if is_online else "offline"
            self.keep_event(DeviceEvent(device, kind, "", self._clock.unix_s(), KINDS[kind].severity))

    def keep_event(self, event: DeviceEvent) -> None:
        """Keep what happened, for who comes later."""
        own = [each for each in self._past if each.device == event.device]
        if len(own) >= PAST_OF_DEVICE:
            self._past.remove(own[-1])
        self._past.appendleft(event)

    def on_presence(self, device: str, boot_id: str) -> None:
        """A device is there, and this is its start."""
        self.commands.on_presence(device, boot_id)

    def on_revoked(self, device: str) -> None:
        """A device may not speak any more: its sessions end, and nobody can ask for another."""
        self.sessions.on_revoked(device)
        self.commands.on_revoked(device)
        self._presence.on_revoked(device)

    def on_names(self, names: Mapping[str, str | None]) -> None:
        """What the portal calls its cameras; what they say of themselves does not count."""
        for device in self.directory.take_names(names):
            self.show(device)

    def said_names(self, devices: Iterable[str]) -> dict[str, str]:
        """What these cameras call themselves, as far as they have spoken."""
        return self.directory.said_names(devices)

    def on_broker(self, connected: bool) -> None:
        """The link to the broker came or went."""
        if connected != self.broker_connected:
            self.broker_connected = connected
            self._broadcast(BrokerChanged(connected))

    def show(self, device: str) -> None:
        """Tell who may watch a device what is known of it."""
        self._note_change(device)
        for client in self._watchers(device):
            client.outbox.put_device(device)

    # Time.

    def tick(self) -> None:
        """Sessions and presence in their time; renew ICE credentials, sign out who has expired."""
        now_s, unix_s = self._clock.mono_s(), self._clock.unix_s()
        self.sessions.tick(now_s)
        self._presence.tick(now_s)
        self.commands.tick()
        for client in list(self._clients):
            if client.identity.expires_at <= unix_s:
                self._shut_out(client)
            elif self._is_stale(client, unix_s):
                self._renew_ice(client)

    def close(self) -> None:
        """Close every WebSocket because the portal stops; streams play on without it."""
        for client in self._clients:
            client.outbox.close(1001, "the portal is stopping")
            self.sessions.on_stop(client)

    # Inside.

    def _present(self) -> set[Client]:
        """Who has a WebSocket here, or a stream that outlives it."""
        return self._clients | set(self.sessions.table.clients())

    def _shut_out(self, client: Client) -> None:
        """End all that somebody had here who may no longer come in."""
        self.sessions.shut_out(client)
        client.outbox.close(1008, "signed out")

    def _change_access(self, client: Client, identity: Identity) -> None:
        before, client.identity = client.identity.access, identity
        now = identity.access
        self.sessions.on_access(client, before)
        for device in self.directory.ids():
            if now.may(device, "watch"):
                client.outbox.put_device(device)
            elif before.may(device, "watch"):
                client.outbox.forget_device(device)
                client.tell(DeviceGone(device))
        if now.sees_any != before.sees_any and self._ice.has_relays:
            self._renew_ice(client)

    def _watchers(self, device: str) -> Iterable[Client]:
        return (client for client in self._clients if client.may_watch(device))

    def _greet(self, client: Client) -> None:
        ids = [device for device in self.directory.ids() if client.may_watch(device)]
        devices = (self._seen_by(client, device) for device in ids)
        ice, first = client.ice, fitting_devices(devices, _HELLO_ROOM_BYTES)
        ends_at = client.identity.expires_at if client.identity.share_id is not None else None
        client.tell(
            Hello(
                self.version, client.user, self.broker_connected, ice.servers, ice.expires_at, first, ends_at
            ),
        )
        past = fitting_events(
            (event for event in self._past if client.may_watch(event.device)), _HELLO_ROOM_BYTES
        )
        if past:
            client.tell(PastEvents(past))
        for device in ids[len(first) :]:
            client.outbox.put_device(device)

    def _grant(self, identity: Identity, number: int) -> IceGrant:
        """TURN for whoever has a camera to watch, and no longer than they may come in."""
        if not identity.access.sees_any:
            return self._ice.without_relays()
        spread = f"{identity.name} {number}"
        return self._ice.grant(identity.name, self._clock.unix_s(), spread, until=identity.expires_at)

    def _renew_ice(self, client: Client) -> None:
        client.ice = self._grant(client.identity, client.number)
        client.tell(Ice(client.ice.servers, client.ice.expires_at))

    def _is_stale(self, client: Client, unix_s: float) -> bool:
        """Whether the client's TURN credentials end soon, and newer ones would last longer."""
        expires_at, ttl_s = client.ice.expires_at, self._ice.turn.ttl_s if self._ice.turn else 0
        if expires_at is None or expires_at >= int(client.identity.expires_at):
            return False
        return expires_at - unix_s < ttl_s * ICE_RENEW_SHARE

    def _encode_device(self, client: Client, device: str) -> str:
        return encode_to_browser(DeviceChanged(self._seen_by(client, device)))

    def _seen_by(self, client: Client, device: str) -> Device | FlatDevice:
        seen = seen_by(client, self.directory.get(device), self.sessions.table.watchers(device))
        return seen if client.reads_sections else flattened(seen)

    def _broadcast(self, message: ToBrowser) -> None:
        text = encode_to_browser(message)
        for client in self._clients:
            client.outbox.put(text)
