"""A session's life: a browser offers, its device answers, the lease is renewed, either end says `bye`.

No socket, task or topic in here; `tick` is called twice a second.
"""

import logging
import secrets
from itertools import chain
from typing import Protocol

from agent.errors import MessageError
from agent.model.signal import (
    OFFER_LIFETIME_S,
    VIEWER_LEFT,
    Answer,
    Bye,
    Candidate,
    FromDevice,
    Offer,
    Reject,
    Renew,
    Restart,
    Result,
)
from agent.portal.accounts.access import Access
from agent.portal.audience import NoteWatching, PreviewLog, ResultLog
from agent.portal.client import Client, Clock
from agent.portal.devices import Directory
from agent.portal.farewells import Farewells, SendToDevice
from agent.portal.limits import MAX_CANDIDATES, OfferLimit
from agent.portal.messages import (
    BrowserBye,
    BrowserCandidate,
    BrowserOffer,
    BrowserResume,
    Error,
    SessionAnswer,
    SessionBye,
    SessionCandidate,
    SessionReject,
    SessionRestart,
)
from agent.portal.session_table import Session, SessionTable
from agent.portal.turn import IceServers

LEASE_S = 180.0
"""How long a device lets a session play without a word of ours: longer than a portal or a broker takes to
restart, and to be found again."""
RENEW_SHARE = 1 / 3
"""A lease is renewed when this share of it has passed, so that two renewals may be lost."""
ANSWER_TIMEOUT_S = 10.0
ORPHAN_S = 30.0
"""How long a session outlives its WebSocket: as long as consent to send does (RFC 7675)."""
_NO_ANSWER = "The camera did not answer; its link may be down."
_UNKNOWN_CAMERA = "There is no camera of this name here."
_SHUT_OUT = "the viewer may no longer come in"
_OTHER_RIGHTS = "What you may do with this camera has changed."
_BROKER_AWAY = "The portal has lost the MQTT broker; it keeps trying to reach it."

log = logging.getLogger(__name__)


class SessionsHost(Protocol):
    """What sessions need of the gateway."""

    broker_connected: bool
    note_watching: NoteWatching

    def show(self, device: str) -> None:
        """Who watches a device has changed: tell whoever may know."""


class PortalSessions:
    """Every session between a browser here and a device."""

    def __init__(
        self,
        send: SendToDevice,
        ice: IceServers,
        clock: Clock,
        directory: Directory,
        around: SessionsHost,
        lease_s: float,
    ) -> None:
        self.table = SessionTable()
        self._send = send
        self._ice = ice
        self._clock = clock
        self._directory = directory
        self._around = around
        self._lease_s = lease_s
        self._limit = OfferLimit(self.table)
        self._previews = PreviewLog()
        self._results = ResultLog()
        self.farewells = Farewells(send)

    # From the browsers.

    def on_offer(self, client: Client, offer: BrowserOffer) -> None:
        """A viewer asks for a stream, or for another path of the one that they have."""
        refusal = self._refusal(client, offer)
        if refusal is not None:
            client.tell(refusal)
            return
        session = self.table.get(offer.session) or self._open(client, offer)
        if not offer.restart:  # a restart without an answer leaves the session as it is
            session.answer_by_s = self._clock.mono_s() + ANSWER_TIMEOUT_S
        self.table.put(session, client)
        session.asked = offer
        session.candidates.clear()
        self._ask(session, offer)
        log.info("session %s: %s asks %s", session.id[:8], client.user, offer.device)

    def on_resume(self, client: Client, resume: BrowserResume) -> None:
        """Go on with a session that this portal may not know: its device will judge whose it is."""
        session = self.table.get(resume.session)
        if session is not None and not session.may_go_to(client, resume.device):
            client.tell(Error("session-taken", "this session is somebody else's", resume.session))
            return
        now_s = self._clock.mono_s()
        refusal = self._limit.refusal(client, resume.session, now_s, is_new=session is None)
        if refusal is None and not client.may_watch(resume.device):
            self._around.note_watching(client, resume.device, "watch-refused", "")
            refusal = SessionReject(resume.session, "unknown-camera", _UNKNOWN_CAMERA)
        if refusal is not None:
            client.tell(refusal)
            return
        if session is None:
            session = self._open(client, resume)
            session.watching_since_s = session.renew_at_s = now_s
            self._note_begin(session)
            log.info("session %s: %s goes on with %s", session.id[:8], client.user, resume.device)
        self.table.put(session, client)
        if session.watching_since_s is not None and self._directory.is_online(session.device) is not None:
            self._around.show(session.device)

    def on_candidate(self, client: Client, message: BrowserCandidate) -> None:
        """One of the viewer's candidates, for the device."""
        session = self._own(client, message.session)
        if session is None:
            client.tell(Error("unknown-session", "this connection has no such session", message.session))
            return
        if session.asked is not None and len(session.candidates) < MAX_CANDIDATES:
            session.candidates.append(message.candidate)
        self._send(session.device, session.id, Candidate(session.next_seq(), message.candidate))

    def on_bye(self, client: Client, message: BrowserBye) -> None:
        """A viewer has seen enough; a bye to what is already over is no fault."""
        session = self._own(client, message.session)
        if session is not None:
            self._end(session, VIEWER_LEFT)

    def on_left(self, client: Client) -> None:
        """A WebSocket has gone. Its sessions play on for a while: its viewer may come back over another."""
        for session in self.table.of_client(client):
            if session.orphaned_until_s is None:
                session.orphaned_until_s = self._clock.mono_s() + ORPHAN_S

    def on_stop(self, client: Client) -> None:
        """The portal stops: no device is told, and streams play on."""
        for session in self.table.of_client(client):
            self._forget(session)

    # From the accounts.

    def shut_out(self, client: Client) -> None:
        """End all that somebody had here who may no longer come in."""
        for session in self.table.of_client(client):
            self._end(session, _SHUT_OUT)

    def on_access(self, client: Client, before: Access) -> None:
        """End those of whose camera somebody, who has the new rights already, may do something else now."""
        now = client.identity.access
        for session in self.table.of_client(client):
            # What the device was told in the offer holds for the session: other rights are another session.
            if now.permissions(session.device) != before.permissions(session.device):
                self._end(session, _OTHER_RIGHTS)
                client.tell(SessionBye(session.id, _OTHER_RIGHTS))

    def on_revoked(self, device: str) -> None:
        """A device may not speak any more."""
        for session in self.table.of_device(device):
            self._end(session, "the camera was revoked")
            session.client.tell(SessionBye(session.id, "The camera was revoked."))

    # From the devices.

    def would_end(self, device: str, boot_id: str) -> bool:
        """Whether sessions would end, or be ended no more, if the device had begun anew under this name."""
        ended = (session for session in self.farewells.sessions() if session.device == device)
        sessions = chain(self.table.of_device(device), ended)
        return any(session.boot_id not in (None, boot_id) for session in sessions)

    def on_presence(self, device: str, boot_id: str) -> None:
        """A device says so after each connection: what was said to it before may be lost."""
        self.farewells.on_presence(device, boot_id, self._clock.mono_s())
        for session in self.table.of_device(device):
            if session.boot_id is None:  # it was resumed before the device was known
                session.boot_id = boot_id
            if session.boot_id == boot_id:
                session.renew_soon()
            else:  # an agent that started anew knows nothing of its former sessions
                self._forget(session)
                session.client.tell(SessionBye(session.id, "The camera restarted."))

    def expects(self, device: str, session_id: str) -> bool:
        """Whether it concerns us what this device says in this session."""
        session = self.table.get(session_id)
        if session is None:
            return self.farewells.waits_on(device, session_id)
        return session.device == device

    def on_signal(self, device: str, session_id: str, message: FromDevice) -> bool:
        """A device answers; only the WebSocket that opened the session hears it.

        True where it says that it has begun anew. Raises MessageError `stale-answer` for an answer to another
        offer than the session's newest.
        """
        session = self.table.get(session_id)
        if session is None:
            self._note_result(self.farewells.on_said(device, session_id, message), message)
            return False
        if session.device != device or message.seq <= session.seq_in:
            return False  # of a wrong device, or a duplicate
        session.seq_in = message.seq
        match message:
            case Answer():
                self._on_answer(session, message)
            case Candidate():
                session.client.tell(SessionCandidate(session_id, message.candidate))
            case Reject(challenge=str(challenge)) if session.asked is not None:
                self._meet(session, session.asked, challenge)
            case Reject():
                self._forget(session)
                words = SessionReject(session_id, message.code, message.message, message.retry_after_s)
                session.client.tell(words)
                return message.code == "wrong-boot"
            case Restart():
                session.client.tell(SessionRestart(session_id, message.reason))
            case Bye():
                self._forget(session)
                session.client.tell(SessionBye(session_id, message.reason))
            case Result():
                self._note_result(session, message)
        return False

    def _note_result(self, session: Session | None, message: FromDevice) -> None:
        if session is not None and isinstance(message, Result):
            self._results.note(session, message, self._clock.mono_s(), self._around.note_watching)

    def _on_answer(self, session: Session, message: Answer) -> None:
        if message.offer != session.nonce:
            raise MessageError("stale-answer", "it answers another offer than the newest")
        session.answer_by_s = session.asked = None
        if session.watching_since_s is None:
            session.watching_since_s = self._clock.mono_s()
            self._note_begin(session)
            self._around.show(session.device)
        session.client.tell(SessionAnswer(session.id, message.sdp))

    def on_undelivered(self, device: str, session_id: str, words: str) -> None:
        """The broker does not take what we sent to a device: nobody need wait for its answer.

        What plays already ends as well: nothing shall be seen that is not in the audit log.
        """
        session = self.table.get(session_id)
        if session is not None and session.device == device:
            self._end(session, "the MQTT broker does not take what belongs to this session")
            session.client.tell(SessionReject(session_id, "broker-refuses", _as_sentence(words)))

    # Time.

    def tick(self, now_s: float) -> None:
        """Give up offers that nobody answered, renew leases, say `bye` again. Time is monotonic."""
        for session in self.table:
            if session.answer_by_s is not None and now_s >= session.answer_by_s:
                self._end(session, "no answer in time")
                session.client.tell(SessionReject(session.id, "no-answer", _NO_ANSWER))
            elif session.orphaned_until_s is not None and now_s >= session.orphaned_until_s:
                self._end(session, VIEWER_LEFT)
            elif now_s >= session.renew_at_s and session.orphaned_until_s is None:
                self._renew(session, now_s)
        self.farewells.tick(now_s)

    # Inside.

    def _own(self, client: Client, session_id: str) -> Session | None:
        session = self.table.get(session_id)
        if session is None or session.client is not client or session.orphaned_until_s is not None:
            return None
        return session

    def _refusal(self, client: Client, offer: BrowserOffer) -> Error | SessionReject | None:
        known = self.table.get(offer.session)
        if known is not None and not (offer.restart and known.may_go_to(client, offer.device)):
            return Error("session-taken", "this session exists already: make a new one", offer.session)
        over = self._limit.refusal(client, offer.session, self._clock.mono_s(), is_new=known is None)
        if over is not None:
            return over
        if not self._around.broker_connected:
            return SessionReject(offer.session, "broker-away", _BROKER_AWAY)
        online = self._directory.is_online(offer.device)
        # The same words for a camera that is not granted: not even its existence is told.
        if online is None or not client.may_watch(offer.device):
            self._around.note_watching(client, offer.device, "watch-refused", "")
            return SessionReject(offer.session, "unknown-camera", _UNKNOWN_CAMERA)
        if not online:
            return SessionReject(
                offer.session, "offline", "The camera is offline. Check its power and its network."
            )
        return None

    def _open(self, client: Client, asked: BrowserOffer | BrowserResume) -> Session:
        self.farewells.drop(asked.session)
        boot_id, unix_s = self._directory.boot_id(asked.device), self._clock.unix_s()
        session = Session(asked.session, asked.device, boot_id, client, asked.stream)
        session.ahead_s = unix_s - self._clock.mono_s()
        session.seq_out = int(unix_s)  # higher than what another portal may have sent in this session
        return session

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
            permissions=self._directory.told(device, client.identity.access.permissions(device)),
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
                client.tell(SessionReject(session.id, "broker-away", _BROKER_AWAY))
        except MessageError as exc:
            self._forget(session)
            client.tell(Error(exc.code, str(exc), session.id))

    def _meet(self, session: Session, offer: BrowserOffer, challenge: str) -> None:
        """Prove to a device whose clock is wrong that its viewer asks now."""
        session.asked = None  # once
        log.info("session %s: the clock of %s is wrong", session.id[:8], session.device)
        self._ask(session, offer, challenge)
        for candidate in session.candidates:
            self._send(session.device, session.id, Candidate(session.next_seq(), candidate))

    def _renew(self, session: Session, now_s: float) -> None:
        """Tell the device that its viewer may still watch; where that cannot be said, soon again."""
        client, device = session.client, session.device
        if not (self._directory.is_online(device) and self._directory.understands(device, "lease")):
            return
        permissions = self._directory.told(device, client.identity.access.permissions(device))
        renew = Renew(session.next_seq(), now_s + session.ahead_s, self._lease_s, client.user, permissions)
        if self._send(device, session.id, renew):
            session.promise(now_s, self._lease_s)
            session.renew_at_s = now_s + self._lease_s * RENEW_SHARE

    def _end(self, session: Session, reason: str) -> None:
        """Close our side of a session, and tell the device until it knows."""
        self._forget(session)
        now_s = self._clock.mono_s()
        self.farewells.say(session, reason, now_s, max(session.lease_ends_s, now_s + self._lease_s))

    def _forget(self, session: Session) -> None:
        self.table.remove(session)
        if session.watching_since_s is not None:
            duration_s = self._clock.mono_s() - session.watching_since_s
            detail = f"session {session.id[:8]}, {duration_s:.0f} s"
            session.watching_since_s = None
            if session.stream == "main":
                self._around.note_watching(session.client, session.device, "watch-end", detail)

    def _note_begin(self, session: Session) -> None:
        client, device = session.client, session.device
        if session.stream == "main":
            self._around.note_watching(client, device, "watch", f"session {session.id[:8]}")
        elif self._previews.is_news(client, device, self._clock.mono_s()):
            self._around.note_watching(client, device, "preview", "")


def _as_sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
