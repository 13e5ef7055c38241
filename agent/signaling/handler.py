"""What the device's end of signaling needs: who answers, and how a message leaves."""

from typing import Protocol

from agent.model.command import Order
from agent.model.keys import KeySet
from agent.model.signal import Offer, Result


class SessionHandler(Protocol):
    """Who answers. All synchronous; a MessageError that `on_offer` raises becomes a `reject`."""

    def on_offer(self, session: str, offer: Offer) -> None:
        """Start a session, or renegotiate it."""

    def on_candidate(self, session: str, candidate: str) -> None:
        """One more `candidate:…` of the viewer; empty at the end of candidates."""

    def on_bye(self, session: str, reason: str) -> None:
        """The viewer has left, or may watch no longer."""

    def on_portal_keys(self, keys: KeySet) -> None:
        """The portal's keys changed: from now on these count."""

    def on_look(self) -> None:
        """There may be a new release."""

    def on_confirmed(self, events: tuple[str, ...]) -> None:
        """A portal has the events of these ids."""

    def answered(self, command: str) -> Result | None:
        """What the command of this id was answered, where it is known already."""

    def on_command(self, order: Order) -> Result | None:
        """Do what is asked, where its user may; None where the answer comes later, by `send_result`.

        Raises MessageError where it is refused.
        """


class Publish(Protocol):
    """`Broker.publish`."""

    def __call__(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: float | None = None,
        is_urgent: bool = False,
    ) -> bool: ...
