"""Sessions that the portal has ended, until their devices know of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.model.signal import Bye, FromDevice, Reject, Result, ToDevice
from agent.portal.session_table import Session

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
"""Each pause is twice the one before: a bye costs a metered link some 400 bytes."""
MAX_FAREWELLS = 4096
"""Beyond, the oldest is left to its lease."""

SendToDevice = Callable[[str, str, ToDevice], bool]
"""`send(device, session, message)` hands a message to the broker; False where that is away or behind."""


@dataclass(slots=True)
class _Farewell:
    session: Session
    reason: str
    until_s: float
    due_s: float
    pause_s: float = FIRST_PAUSE_S


class Farewells:
    """Says `bye` until the device has said so too, or its lease must be over. Time is monotonic.

    A device of before there were leases confirms nothing: one `bye` that the broker took has to do.
    """

    def __init__(self, send: SendToDevice) -> None:
        self._send = send
        self._open: dict[str, _Farewell] = {}

    def __len__(self) -> int:
        return len(self._open)

    def say(self, session: Session, reason: str, now_s: float, until_s: float) -> None:
        """End a session: now, and again until `until_s`."""
        self._open.pop(session.id, None)
        self._open[session.id] = _Farewell(session, reason, until_s, now_s)
        if len(self._open) > MAX_FAREWELLS:
            del self._open[next(iter(self._open))]
        self._say_if_due(self._open[session.id], now_s)

    def on_said(self, device: str, session: str, message: FromDevice) -> Session | None:
        """A device speaks in a session that is over here: perhaps it has ended it, too.

        Returns the session where it says first what was done in it, as what was watched until its end.
        """
        if not self.waits_on(device, session):
            return None
        ended = self._open[session].session
        if isinstance(message, Bye | Reject):
            del self._open[session]
        if not isinstance(message, Result) or message.seq <= ended.seq_in:
            return None
        ended.seq_in = message.seq
        return ended

    def waits_on(self, device: str, session: str) -> bool:
        """Whether this device has yet to say that this session is over."""
        farewell = self._open.get(session)
        return farewell is not None and farewell.session.device == device

    def sessions(self) -> Iterator[Session]:
        """Those of which no device has said yet that they are over."""
        return (farewell.session for farewell in self._open.values())

    def drop(self, session: str) -> None:
        """It is wanted again."""
        self._open.pop(session, None)

    def on_presence(self, device: str, boot_id: str, now_s: float) -> None:
        """A device is there, perhaps after a while: say it again, unless it began anew and knows nothing."""
        for farewell in list(self._open.values()):
            session = farewell.session
            if session.device == device and session.boot_id not in (None, boot_id):
                del self._open[session.id]
            elif session.device == device:
                farewell.due_s, farewell.pause_s = now_s, FIRST_PAUSE_S

    def tick(self, now_s: float) -> None:
        """Say again what is due."""
        for farewell in list(self._open.values()):
            if now_s >= farewell.until_s:
                del self._open[farewell.session.id]
            else:
                self._say_if_due(farewell, now_s)

    def _say_if_due(self, farewell: _Farewell, now_s: float) -> None:
        session = farewell.session
        if now_s < farewell.due_s:
            return
        if not self._send(session.device, session.id, Bye(session.next_seq(), farewell.reason)):
            return  # due as soon as the broker is there
        if not session.is_leased:
            del self._open[session.id]
        farewell.due_s = now_s + farewell.pause_s
        farewell.pause_s = min(LONGEST_PAUSE_S, 2 * farewell.pause_s)
