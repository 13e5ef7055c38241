"""Between the browsers' WebSockets and the devices: sessions, presence, ICE credentials.

No socket, task or topic in here: `app.py` feeds it text from browsers, the composition feeds it messages from
devices, and `tick` is called twice a second.
"""

import itertools
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

from agent.errors import MessageError
from agent.model.health import Health
from agent.model.signal import (
    OFFER_LIFETIME_S,
    Answer,
    Bye,
    Candidate,
    Event,
    FromDevice,
    Offer,
    Reject,
    Renew,
    Restart,
    State,
)
from agent.portal.accounts.access import Identity
from agent.portal.audience import PreviewLog, WatchAct, seen_by, watchers_by_device
from agent.portal.client import BURST, LEASE_S, RENEW_SHARE, Client, Clock, MinuteLimit, Session
from agent.portal.devices import Directory
from agent.portal.farewells import Farewells, SendToDevice
from agent.portal.messages import (
    MAX_MESSAGE_BYTES,
    BrokerChanged,
    BrowserBye,
    BrowserCandidate,
    BrowserOffer,
    BrowserPing,
    BrowserResume,
    DeviceChanged,
    DeviceEvent,
    DeviceGone,
    Error,
    Hello,
    Ice,
    PastEvents,
    Pong,
    SessionAnswer,
    SessionBye,
    SessionCandidate,
    SessionReject,
    SessionRestart,
    ToBrowser,
    encode_to_browser,
    fitting_devices,
    fitting_events,
    parse_from_browser,
)
from agent.portal.outbox import Outbox
from agent.portal.rebirths import Rebirths
from agent.portal.turn import IceGrant, IceServers

MAX_CLIENTS = 256
MAX_LINK_CLIENTS = 128
"""Of all share links together: however many links go round, users find room."""
MAX_CLIENTS_PER_OWNER = 32
"""Of one user, or of one share link."""
MAX_SESSIONS, MAX_SESSIONS_PER_OWNER = 32, 128
"""Of one socket, and of one user or share link."""
OFFERS_PER_MINUTE = 240
"""Of one user or share link: a wall of cameras that all restart twice."""
MAX_CANDIDATES = 64
"""Kept for each session until its answer comes."""
ANSWER_TIMEOUT_S = 10.0
ORPHAN_S = 30.0
"""How long a session outlives its WebSocket: as long as consent to send does (RFC 7675)."""
ICE_RENEW_SHARE = 0.25
"""Credentials are renewed when this share of their life is left."""
_HELLO_ROOM_BYTES = MAX_MESSAGE_BYTES - 16 * 1024  # the rest is for at most 9 ICE servers
PAST_EVENTS, PAST_OF_DEVICE = 100, 20
"""Kept in memory, for who comes later; and of one camera, whose events push out no other's."""
EVENTS_PER_MINUTE = 30
"""Of one camera: a browser that lets messages pile up is closed."""
_NO_ANSWER = "The camera did not answer; its link may be down."
_UNKNOWN_CAMERA = "There is no camera of this name here."
_LEFT = "the viewer has left"
_SHUT_OUT = "the viewer may no longer come in"
_OTHER_RIGHTS = "What you may do with this camera has changed."
_BROKER_AWAY = "The portal has lost the MQTT broker; it keeps trying to reach it."

log = logging.getLogger(__name__)

NoteWatching = Callable[[Client, str, WatchAct, str], None]
"""`note(client, device, act, detail)` for the audit log: somebody begins or ends to watch."""
AskToLook = Callable[[str, str], bool]
"""`ask(device, boot_id)` tells a device that there may be a new release; False as of `SendToDevice`."""


class Gateway:
    """Every client, session and device of this portal."""

    def __init__(
        self,
        send: SendToDevice,
        ice: IceServers,
        version: str,
        clock: Clock | None = None,
        note_watching: NoteWatching = lambda *_: None,
        ask_to_look: AskToLook = lambda *_: False,
        lease_s: float = LEASE_S,
    ) -> None:
        self.version = version
        self.broker_connected = False
        self.problem = ""
        """What else is wrong with the portal, in words; it serves all the same."""
        self._send = send
        self._ask_to_look = ask_to_look
        self._ice = ice
        self._clock = clock or Clock()
        self._lease_s = lease_s
        self.note_watching = note_watching
        self._directory = Directory()
        self._limit = MinuteLimit(OFFERS_PER_MINUTE)
        self._events = MinuteLimit(EVENTS_PER_MINUTE)
        self._previews = PreviewLog()
        self._past: deque[DeviceEvent] = deque(maxlen=PAST_EVENTS)
        self._clients: set[Client] = set()
        self._numbers = itertools.count()
        self._sessions: dict[str, Session] = {}
        self._farewells = Farewells(send)
        self._rebirths = Rebirths(self._ask_of_start)

    # From the browsers.

    def join(self, identity: Identity, address: str = "") -> Client | None:
        """Take in a WebSocket; None where there are too many, in all or of this user or link.

        An administrator finds room, however many others have opened.
        """
        own = sum(client.is_of(identity) for client in self._clients)
        of_links = sum(client.identity.share_id is not None for client in self._clients)
        is_crowded = identity.share_id is not None and of_links >= MAX_LINK_CLIENTS
        if identity.access.is_admin and own < MAX_CLIENTS_PER_OWNER:
            self._make_room()
        if len(self._clients) >= MAX_CLIENTS or own >= MAX_CLIENTS_PER_OWNER or is_crowded:
            return None
        number = next(self._numbers)
        client = Client(
            number=number,
            identity=identity,
            address=address,
            outbox=Outbox(lambda device: self._encode_device(client, device)),
            ice=self._grant(identity, number),
            tokens=BURST,
            refilled_s=self._clock.mono_s(),
        )
        self._greet(client)
        self._clients.add(client)
        return client

    def _make_room(self) -> None:
        """Where there is none, the newest WebSocket of who has most goes, but for administrators'."""
        others = [client for client in self._clients if not client.identity.access.is_admin]
        if len(self._clients) >= MAX_CLIENTS and others:
            held = Counter(client.owner for client in others)
            given = max(others, key=lambda client: (held[client.owner], client.number))
            self.leave(given)
            given.outbox.close(1013, "an administrator needed this place")

    def leave(self, client: Client) -> None:
        """Forget a WebSocket; safe to call twice.

        Its sessions play on for a while: a viewer whose network changed comes back over another WebSocket.
        """
        self._clients.discard(client)
        for session in client.sessions.values():
            session.orphaned_until_s = self._clock.mono_s() + ORPHAN_S
        client.sessions.clear()

    def receive(self, client: Client, text: str) -> None:
        """Act on one message from a browser."""
        if not client.may_send(self._clock.mono_s()):
            self._tell(client, Error("too-fast", "too many messages: the connection is closed"))
            client.outbox.close(1008, "too many messages")
            return
        try:
            message = parse_from_browser(text)
        except MessageError as exc:
            self._tell(client, Error(exc.code, str(exc)))
            return
        match message:
            case BrowserOffer():
                self._on_offer(client, message)
            case BrowserCandidate():
                self._on_candidate(client, message)
            case BrowserBye():
                session = client.sessions.get(message.session)
                if session is not None:  # a bye to what is already over is no fault
                    self._end(session, _LEFT)
            case BrowserResume():
                self._on_resume(client, message)
            case BrowserPing():
                self._tell(client, Pong())

    # From the accounts.

    def live_sessions(self) -> set[str]:
        """Keys of the sign-ins that have a WebSocket here, or a stream."""
        streaming = {session.client.identity.session for session in self._sessions.values()}
        return streaming | {client.identity.session for client in self._clients}

    def apply(self, identities: Mapping[str, Identity], asked: set[str]) -> None:
        """Take in who of those asked about may still do what; who is missing is out, at once."""
        clients = self._clients | {session.client for session in self._sessions.values()}
        for client in clients:
            if client.identity.session not in asked:  # came in since, with newer knowledge
                continue
            identity = identities.get(client.identity.session)
            if identity is None:
                self._shut_out(client)
            elif identity.access != client.identity.access:
                self._change_access(client, identity)

    def devices(self) -> tuple[str, ...]:
        """Of which anything is known."""
        return self._directory.ids()

    def ask_to_look(self, device: str) -> bool:
        """Tell a device that there may be a new release; False where it or the broker is away."""
        boot_id = self._directory.boot_id(device)
        if boot_id is None or not self._directory.is_online(device):
            return False
        return self._ask_to_look(device, boot_id)

    # From the devices.

    def on_state(self, device: str, state: State) -> None:
        """A device's presence changed."""
        if state.online and self._ends_any(device, state.boot_id):
            self._rebirths.doubt(device, state, self._clock.mono_s())
            return
        # The will of a former start may come late, and says nothing of the one that is doubtful.
        if state.online or state.boot_id == self._rebirths.boot_id(device):
            self._rebirths.drop(device)
        self._take_state(device, state)

    def _take_state(self, device: str, state: State) -> None:
        was_online = self._directory.is_online(device)
        if state.online:
            self._on_presence(device, state.boot_id)
        if not self._directory.apply(device, state, self._clock.unix_s()):
            return
        if was_online not in (None, state.online):
            # Not told one by one: a fleet that comes back would flood the browsers, and they see it anyway.
            kind = "online" if state.online else "offline"
            self._keep_event(DeviceEvent(device, kind, "", self._clock.unix_s()))
        self._show(device)

    def on_health(self, device: str, health: Health) -> None:
        """What a device's doctor says."""
        if self._directory.apply_health(device, health):
            self._show(device)

    def on_signal(self, device: str, session_id: str, message: FromDevice) -> None:
        """A device answers; only the WebSocket that opened the session hears it.

        Raises MessageError `stale-answer` for one to another offer than the session's newest.
        """
        session = self._session_of(device, session_id, message)
        if session is None:
            return  # another portal's, over, of a wrong device, or a duplicate
        match message:
            case Answer():
                if message.offer != session.nonce:
                    raise MessageError("stale-answer", "it answers another offer than the newest")
                session.answer_by_s = session.asked = None
                if session.watching_since_s is None:
                    session.watching_since_s = self._clock.mono_s()
                    self._note_begin(session)
                    self._show(device)
                self._tell(session.client, SessionAnswer(session_id, message.sdp))
            case Candidate():
                self._tell(session.client, SessionCandidate(session_id, message.candidate))
            case Reject(challenge=str(challenge)) if session.asked is not None:
                self._meet(session, session.asked, challenge)
            case Reject():
                self._on_reject(session, message)
            case Restart():
                self._tell(session.client, SessionRestart(session_id, message.reason))
            case Bye():
                self._forget(session)
                self._tell(session.client, SessionBye(session_id, message.reason))

    def _on_reject(self, session: Session, message: Reject) -> None:
        self._forget(session)
        words = SessionReject(session.id, message.code, message.message, message.retry_after_s)
        self._tell(session.client, words)
        if message.code == "wrong-boot" and (reborn := self._rebirths.drop(session.device)):
            self._take_state(session.device, reborn)  # so the start that we knew is over

    def _session_of(self, device: str, session_id: str, message: FromDevice) -> Session | None:
        session = self._sessions.get(session_id)
        if session is None:
            self._farewells.on_said(device, session_id, message)
            if reborn := self._rebirths.on_signal(device, session_id, message):
                self._take_state(device, reborn)
            return None
        if session.device != device or message.seq <= session.seq_in:
            return None
        session.seq_in = message.seq
        return session

    def on_undelivered(self, device: str, session_id: str, words: str) -> None:
        """The broker does not take what we sent to a device: nobody need wait for its answer.

        What plays already ends as well: nothing shall be seen that is not in the audit log.
        """
        session = self._sessions.get(session_id)
        if session is not None and session.device == device:
            self._end(session, "the MQTT broker does not take what belongs to this session")
            self._reject(session.client, session_id, "broker-refuses", _as_sentence(words))

    def on_event(self, device: str, event: Event) -> None:
        """Something happened at a device. Raises MessageError `too-fast` where too much does."""
        if not self._events.admits(device, self._clock.mono_s()):
            raise MessageError("too-fast", f"{device} says more than {EVENTS_PER_MINUTE} events a minute")
        told = DeviceEvent(device, event.kind, event.message, event.at)
        self._keep_event(told)
        text = encode_to_browser(told)
        for client in self._watchers(device):
            client.outbox.put(text)

    def _keep_event(self, event: DeviceEvent) -> None:
        own = [each for each in self._past if each.device == event.device]
        if len(own) >= PAST_OF_DEVICE:
            self._past.remove(own[-1])
        self._past.appendleft(event)

    def on_revoked(self, device: str) -> None:
        """A device may not speak any more: its sessions end, and nobody can ask for another."""
        for session in list(self._sessions.values()):
            if session.device == device:
                self._end(session, "the camera was revoked")
                self._tell(session.client, SessionBye(session.id, "The camera was revoked."))
        self._rebirths.drop(device)
        if self._directory.revoke(device, self._clock.unix_s()):
            self._show(device)

    def on_names(self, names: Mapping[str, str | None]) -> None:
        """What the portal calls its cameras; what they say of themselves does not count."""
        for device in self._directory.take_names(names):
            self._show(device)

    def said_names(self, devices: Iterable[str]) -> dict[str, str]:
        """What these cameras call themselves, as far as they have spoken."""
        return self._directory.said_names(devices)

    def on_broker(self, connected: bool) -> None:
        """The link to the broker came or went."""
        if connected != self.broker_connected:
            self.broker_connected = connected
            self._broadcast(BrokerChanged(connected))

    # Time.

    def tick(self) -> None:
        """Give up offers that nobody answered, renew leases and ICE credentials, sign out who has expired."""
        now_s, unix_s = self._clock.mono_s(), self._clock.unix_s()
        for session in list(self._sessions.values()):
            if session.answer_by_s is not None and now_s >= session.answer_by_s:
                self._end(session, "no answer in time")
                self._reject(session.client, session.id, "no-answer", _NO_ANSWER)
            elif session.orphaned_until_s is not None and now_s >= session.orphaned_until_s:
                self._end(session, _LEFT)
            elif now_s >= session.renew_at_s and session.orphaned_until_s is None:
                self._renew(session, now_s)
        self._farewells.tick(now_s)
        for device, state in self._rebirths.waiting():
            if not self._ends_any(device, state.boot_id):  # any more
                self._rebirths.drop(device)
                self._take_state(device, state)
        self._rebirths.tick(now_s)
        for client in list(self._clients):
            if client.identity.expires_at <= unix_s:
                self._shut_out(client)
            elif self._is_stale(client, unix_s):
                self._renew_ice(client)

    def close(self) -> None:
        """Close every WebSocket because the portal stops; streams play on without it."""
        for client in self._clients:
            client.outbox.close(1001, "the portal is stopping")
            for session in list(client.sessions.values()):
                self._forget(session)

    # Inside.

    def _on_offer(self, client: Client, offer: BrowserOffer) -> None:
        refusal = self._refusal(client, offer)
        if refusal is not None:
            self._tell(client, refusal)
            return
        session = self._sessions.get(offer.session) or self._open(client, offer)
        if not offer.restart:  # a restart without an answer leaves the session as it is
            session.answer_by_s = self._clock.mono_s() + ANSWER_TIMEOUT_S
        self._hand_over(session, client)
        session.asked = offer
        session.candidates.clear()
        self._ask(session, offer)
        log.info("session %s: %s asks %s", session.id[:8], client.user, offer.device)

    def _on_resume(self, client: Client, resume: BrowserResume) -> None:
        """Go on with a session that this portal may not know: its device will judge whose it is."""
        session = self._sessions.get(resume.session)
        if session is not None and not _is_owner(session, client, resume.device):
            self._tell(client, Error("session-taken", "this session is somebody else's", resume.session))
            return
        refusal = self._over_limit(client, resume.session, is_new=session is None)
        if refusal is None and not client.may_watch(resume.device):
            self.note_watching(client, resume.device, "watch-refused", "")
            refusal = SessionReject(resume.session, "unknown-camera", _UNKNOWN_CAMERA)
        if refusal is not None:
            self._tell(client, refusal)
            return
        if session is None:
            session = self._open(client, resume)
            session.watching_since_s = session.renew_at_s = self._clock.mono_s()
            self._note_begin(session)
            log.info("session %s: %s goes on with %s", session.id[:8], client.user, resume.device)
        self._hand_over(session, client)
        if session.watching_since_s is not None and self._directory.is_online(session.device) is not None:
            self._show(session.device)

    def _open(self, client: Client, asked: BrowserOffer | BrowserResume) -> Session:
        self._farewells.drop(asked.session)
        boot_id, unix_s = self._directory.boot_id(asked.device), self._clock.unix_s()
        session = Session(asked.session, asked.device, boot_id, client, asked.stream)
        session.ahead_s = unix_s - self._clock.mono_s()
        session.seq_out = int(unix_s)  # higher than what another portal may have sent in this session
        return session

    def _hand_over(self, session: Session, client: Client) -> None:
        session.client.sessions.pop(session.id, None)  # its end is no longer the session's
        session.client, session.orphaned_until_s = client, None
        self._sessions[session.id] = client.sessions[session.id] = session

    def _renew(self, session: Session, now_s: float) -> None:
        """Tell the device that its viewer may still watch; where that cannot be said, soon again."""
        client, device = session.client, session.device
        if not (self._directory.is_online(device) and self._directory.understands(device, "lease")):
            return
        permissions = client.identity.access.permissions(device)
        renew = Renew(session.next_seq(), now_s + session.ahead_s, self._lease_s, client.user, permissions)
        if self._send(device, session.id, renew):
            session.promise(now_s, self._lease_s)
            session.renew_at_s = now_s + self._lease_s * RENEW_SHARE

    def _ask(self, session: Session, offer: BrowserOffer, challenge: str | None = None) -> None:
        client, device, now = session.client, session.device, self._clock.unix_s()
        session.nonce = secrets.token_urlsafe(16)
        lease_s = self._lease_s if self._directory.understands(device, "lease") else None
        if lease_s is not None:
            now_s = self._clock.mono_s()
            session.ahead_s = now - now_s
            session.promise(now_s, lease_s)
            # A restart that the device refuses renews nothing, so it puts nothing off.
            session.renew_at_s = min(session.renew_at_s, now_s + lease_s * RENEW_SHARE)
        message = Offer(
            seq=session.next_seq(),
            nonce=session.nonce,
            issued_at=now,
            expires_at=now + OFFER_LIFETIME_S,
            boot_id=self._directory.boot_id(device) or "",
            user=client.user,
            permissions=client.identity.access.permissions(device),
            sdp=offer.sdp,
            ice_servers=self._ice.grant(device, now, session.id).servers,
            relay_only=offer.relay_only,
            restart=offer.restart,
            stream=offer.stream,
            challenge=challenge,
            lease_s=lease_s,
        )
        try:
            if not self._send(device, session.id, message):
                self._forget(session)
                self._reject(client, session.id, "broker-away", _BROKER_AWAY)
        except MessageError as exc:
            self._forget(session)
            self._tell(client, Error(exc.code, str(exc), session.id))

    def _meet(self, session: Session, offer: BrowserOffer, challenge: str) -> None:
        """Prove to a device whose clock is wrong that its viewer asks now."""
        session.asked = None  # once
        log.info("session %s: the clock of %s is wrong", session.id[:8], session.device)
        self._ask(session, offer, challenge)
        for candidate in session.candidates:
            self._send(session.device, session.id, Candidate(session.next_seq(), candidate))

    def _over_limit(self, client: Client, session_id: str, *, is_new: bool) -> SessionReject | None:
        if not self._limit.admits(client.owner, self._clock.mono_s()):
            return SessionReject(
                session_id, "too-many-offers", "Too many requests in a minute: wait a little.", 60.0
            )
        own = sum(session.client.owner == client.owner for session in self._sessions.values())
        if is_new and own >= MAX_SESSIONS_PER_OWNER:
            return SessionReject(
                session_id,
                "too-many-sessions",
                f"You already have {MAX_SESSIONS_PER_OWNER} sessions open; close some cameras.",
            )
        if is_new and len(client.sessions) >= MAX_SESSIONS:
            return SessionReject(
                session_id,
                "too-many-sessions",
                f"This page already has {MAX_SESSIONS} sessions open; close some cameras.",
            )
        return None

    def _refusal(self, client: Client, offer: BrowserOffer) -> Error | SessionReject | None:
        known = self._sessions.get(offer.session)
        if known is not None and not _may_restart(known, client, offer):
            return Error("session-taken", "this session exists already: make a new one", offer.session)
        over = self._over_limit(client, offer.session, is_new=known is None)
        if over is not None:
            return over
        if not self.broker_connected:
            return SessionReject(offer.session, "broker-away", _BROKER_AWAY)
        online = self._directory.is_online(offer.device)
        # The same words for a camera that is not granted: not even its existence is told.
        if online is None or not client.may_watch(offer.device):
            self.note_watching(client, offer.device, "watch-refused", "")
            return SessionReject(offer.session, "unknown-camera", _UNKNOWN_CAMERA)
        if not online:
            return SessionReject(
                offer.session, "offline", "The camera is offline. Check its power and its network."
            )
        return None

    def _on_candidate(self, client: Client, message: BrowserCandidate) -> None:
        session = client.sessions.get(message.session)
        if session is None:
            self._tell(
                client, Error("unknown-session", "this connection has no such session", message.session)
            )
            return
        if session.asked is not None and len(session.candidates) < MAX_CANDIDATES:
            session.candidates.append(message.candidate)
        self._send(session.device, session.id, Candidate(session.next_seq(), message.candidate))

    def _end(self, session: Session, reason: str) -> None:
        """Close our side of a session, and tell the device until it knows."""
        self._forget(session)
        now_s = self._clock.mono_s()
        self._farewells.say(session, reason, now_s, max(session.lease_ends_s, now_s + self._lease_s))

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        session.client.sessions.pop(session.id, None)
        if session.watching_since_s is not None:
            duration_s = self._clock.mono_s() - session.watching_since_s
            detail = f"session {session.id[:8]}, {duration_s:.0f} s"
            session.watching_since_s = None
            if session.stream == "main":
                self.note_watching(session.client, session.device, "watch-end", detail)

    def _note_begin(self, session: Session) -> None:
        client, device = session.client, session.device
        if session.stream == "main":
            self.note_watching(client, device, "watch", f"session {session.id[:8]}")
        elif self._previews.is_news(client, device, self._clock.mono_s()):
            self.note_watching(client, device, "preview", "")

    def _shut_out(self, client: Client) -> None:
        """End all that somebody had here who may no longer come in."""
        for session in [each for each in self._sessions.values() if each.client is client]:
            self._end(session, _SHUT_OUT)
        client.outbox.close(1008, "signed out")

    def _change_access(self, client: Client, identity: Identity) -> None:
        before, client.identity = client.identity.access, identity
        now = identity.access
        for session in [each for each in self._sessions.values() if each.client is client]:
            # What the device was told in the offer holds for the session: other rights are another session.
            if now.permissions(session.device) != before.permissions(session.device):
                self._end(session, _OTHER_RIGHTS)
                self._tell(client, SessionBye(session.id, _OTHER_RIGHTS))
        for device in self._directory.ids():
            if now.may(device, "watch"):
                client.outbox.put_device(device)
            elif before.may(device, "watch"):
                client.outbox.forget_device(device)
                self._tell(client, DeviceGone(device))
        if now.sees_any != before.sees_any and self._ice.has_relays:
            self._renew_ice(client)

    def _watchers(self, device: str) -> Iterable[Client]:
        return (client for client in self._clients if client.may_watch(device))

    def _show(self, device: str) -> None:
        for client in self._watchers(device):
            client.outbox.put_device(device)

    def _ends_any(self, device: str, boot_id: str) -> bool:
        """Whether sessions would end, or be ended no more, if the device had begun anew under this name."""
        sessions = itertools.chain(self._sessions.values(), self._farewells.sessions())
        return any(
            session.device == device and session.boot_id not in (None, boot_id) for session in sessions
        )

    def _ask_of_start(self, device: str, session: str, boot_id: str, challenge: str | None) -> bool:
        """Offer a restart of a session that nobody has; see `Rebirths`."""
        now = self._clock.unix_s()
        offer = Offer(
            seq=0 if challenge is None else 1,
            nonce=secrets.token_urlsafe(16),
            issued_at=now,
            expires_at=now + OFFER_LIFETIME_S,
            boot_id=boot_id,
            user="portal",
            permissions=("watch",),
            sdp="v=0\r\n",
            ice_servers=self._ice.grant(device, now, session).servers,  # a device keeps those of the newest
            restart=True,
            challenge=challenge,
        )
        return self._send(device, session, offer)

    def _on_presence(self, device: str, boot_id: str) -> None:
        """A device says so after each connection: what was said to it before may be lost."""
        self._farewells.on_presence(device, boot_id, self._clock.mono_s())
        for session in list(self._sessions.values()):
            if session.device != device:
                continue
            if session.boot_id is None:  # it was resumed before the device was known
                session.boot_id = boot_id
            if session.boot_id == boot_id:
                session.renew_soon()
            else:  # an agent that started anew knows nothing of its former sessions
                self._forget(session)
                self._tell(session.client, SessionBye(session.id, "The camera restarted."))

    def _greet(self, client: Client) -> None:
        watchers = watchers_by_device(self._sessions.values())
        known = (device for device in self._directory.all() if client.may_watch(device.id))
        devices = [seen_by(client, device, watchers.get(device.id, ())) for device in known]
        ice, first = client.ice, fitting_devices(devices, _HELLO_ROOM_BYTES)
        ends_at = client.identity.expires_at if client.identity.share_id is not None else None
        self._tell(
            client,
            Hello(
                self.version, client.user, self.broker_connected, ice.servers, ice.expires_at, first, ends_at
            ),
        )
        past = fitting_events(
            (event for event in self._past if client.may_watch(event.device)), _HELLO_ROOM_BYTES
        )
        if past:
            self._tell(client, PastEvents(past))
        for device in devices[len(first) :]:
            client.outbox.put_device(device.id)

    def _grant(self, identity: Identity, number: int) -> IceGrant:
        """TURN for whoever has a camera to watch, and no longer than they may come in."""
        if not identity.access.sees_any:
            return self._ice.without_relays()
        spread = f"{identity.name} {number}"
        return self._ice.grant(identity.name, self._clock.unix_s(), spread, until=identity.expires_at)

    def _renew_ice(self, client: Client) -> None:
        client.ice = self._grant(client.identity, client.number)
        self._tell(client, Ice(client.ice.servers, client.ice.expires_at))

    def _is_stale(self, client: Client, unix_s: float) -> bool:
        """Whether the client's TURN credentials end soon, and newer ones would last longer."""
        expires_at, ttl_s = client.ice.expires_at, self._ice.turn.ttl_s if self._ice.turn else 0
        if expires_at is None or expires_at >= int(client.identity.expires_at):
            return False
        return expires_at - unix_s < ttl_s * ICE_RENEW_SHARE

    def _encode_device(self, client: Client, device: str) -> str:
        watchers = watchers_by_device(self._sessions.values()).get(device, ())
        return encode_to_browser(DeviceChanged(seen_by(client, self._directory.get(device), watchers)))

    def _reject(self, client: Client, session: str, code: str, message: str) -> None:
        self._tell(client, SessionReject(session, code, message))

    def _tell(self, client: Client, message: ToBrowser) -> None:
        client.outbox.put(encode_to_browser(message))

    def _broadcast(self, message: ToBrowser) -> None:
        text = encode_to_browser(message)
        for client in self._clients:
            client.outbox.put(text)


def _as_sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _may_restart(session: Session, client: Client, offer: BrowserOffer) -> bool:
    """Say whether an offer belongs to the session, and is not older than its newest WebSocket.

    What was sent on a WebSocket that had lost its network comes late, when that network is back.
    """
    return offer.restart and _is_owner(session, client, offer.device)


def _is_owner(session: Session, client: Client, device: str) -> bool:
    is_same = session.device == device and client.is_of(session.client.identity)
    return is_same and client.number >= session.client.number
