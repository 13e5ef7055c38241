"""Which devices are there, and under which start of their agents; what they say of themselves.

No socket, task or topic in here; `tick` is called twice a second.
"""

import secrets
from typing import Protocol

from agent.model.signal import OFFER_LIFETIME_S, FromDevice, Offer, State
from agent.portal.client import Clock
from agent.portal.devices import Directory
from agent.portal.farewells import SendToDevice
from agent.portal.rebirths import Rebirths
from agent.portal.sessions import PortalSessions
from agent.portal.turn import IceServers


class PresenceHost(Protocol):
    """What the presence of devices needs of the gateway."""

    def show(self, device: str) -> None:
        """What is known of a device has changed."""

    def came_or_went(self, device: str, *, is_online: bool, is_first: bool) -> None:
        """It did, or is seen for the first time."""

    def on_presence(self, device: str, boot_id: str) -> None:
        """It is there, and this is its start."""


class Presence:
    """Takes states in, and asks a device first where one would end sessions of the start that lives."""

    def __init__(
        self,
        send: SendToDevice,
        ice: IceServers,
        clock: Clock,
        directory: Directory,
        sessions: PortalSessions,
        around: PresenceHost,
    ) -> None:
        self._send = send
        self._ice = ice
        self._clock = clock
        self._directory = directory
        self._sessions = sessions
        self._around = around
        self._rebirths = Rebirths(self._ask_of_start)

    def on_state(self, device: str, state: State) -> None:
        """A device's presence changed."""
        if state.online and self._sessions.would_end(device, state.boot_id):
            self._rebirths.doubt(device, state, self._clock.mono_s())
            return
        # The will of a former start may come late, and says nothing of the one that is doubtful.
        if state.online or state.boot_id == self._rebirths.boot_id(device):
            self._rebirths.drop(device)
        self._take(device, state)

    def expects(self, device: str, session_id: str) -> bool:
        """Whether this device was asked of its start in this session."""
        return self._rebirths.asked_in(device, session_id)

    def on_signal(self, device: str, session_id: str, message: FromDevice) -> None:
        """A device speaks in a session that is none: it may answer what it was asked of its start."""
        if reborn := self._rebirths.on_signal(device, session_id, message):
            self._take(device, reborn)

    def on_wrong_boot(self, device: str) -> None:
        """A device says that the start that we knew is over."""
        if reborn := self._rebirths.drop(device):
            self._take(device, reborn)

    def on_revoked(self, device: str) -> None:
        """A device may not speak any more."""
        self._rebirths.drop(device)
        if self._directory.revoke(device, self._clock.unix_s()):
            self._around.show(device)

    def tick(self, now_s: float) -> None:
        """Ask again, and believe what ends no session any more. Time is monotonic."""
        for device, state in self._rebirths.waiting():
            if not self._sessions.would_end(device, state.boot_id):
                self._rebirths.drop(device)
                self._take(device, state)
        self._rebirths.tick(now_s)

    def _take(self, device: str, state: State) -> None:
        was_online = self._directory.is_online(device)
        if state.online:
            self._sessions.on_presence(device, state.boot_id)
        is_news = self._directory.apply(device, state, self._clock.unix_s())
        if state.online:
            self._around.on_presence(device, state.boot_id)
        if not is_news:
            return
        if was_online != state.online:
            self._around.came_or_went(device, is_online=state.online, is_first=was_online is None)
        self._around.show(device)

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
