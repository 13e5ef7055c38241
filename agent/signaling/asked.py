"""What viewers ask over the data channel: done for whoever may, and told to the portal for its audit log."""

from collections.abc import Callable

from agent.errors import MessageError
from agent.model.command import Order, is_audited
from agent.model.signal import Result
from agent.model.text import clip
from agent.signaling.handler import SessionHandler
from agent.signaling.window import Window

MAX_TOLD_PER_S = 5
"""What viewers ask in vain shall not have the camera say more than its broker takes."""

Tell = Callable[[str, Result], None]
"""`tell(session, result)` tells the portal."""
NoteRefusal = Callable[[MessageError, float, Exception | None], None]
"""`note(error, now_unix_s, cause)` counts and logs."""


class AskedInSessions:
    """Never raises: what is refused is a result too."""

    def __init__(self, handler: SessionHandler, tell: Tell, note_refusal: NoteRefusal) -> None:
        self._handler, self._tell, self._note_refusal = handler, tell, note_refusal
        self._window = Window(MAX_TOLD_PER_S)

    def run(self, order: Order, now_unix_s: float) -> Result:
        """Do it, or say why not; an id that is known is answered again."""
        if known := self._handler.answered(order.id):
            return known
        result = self._answer(order, now_unix_s)
        # What is done is bounded by the hour, and no flood of refusals keeps it from the audit log.
        if is_audited(result) and (result.ok or self._window.admits(now_unix_s)):
            self._tell(order.session, result)
        return result

    def _answer(self, order: Order, now_unix_s: float) -> Result:
        cause, error = None, MessageError("wrong-way", f"{order.name} is not answered in a session")
        try:
            if result := self._handler.on_command(order):
                return result
        except MessageError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  one viewer's message must not end everybody's video
            cause, error = exc, MessageError("internal", f"{type(exc).__name__} in the agent: see its log")
        self._note_refusal(error, now_unix_s, cause)
        return Result(0, order.id, order.name, ok=False, code=error.code, message=clip(str(error)))
