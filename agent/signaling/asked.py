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
Later = Callable[[Result], None]
"""Brings an answer that comes later to the viewer."""
NoteRefusal = Callable[[MessageError, float, Exception | None], None]
"""`note(error, now_unix_s, cause)` counts and logs."""


class AskedInSessions:
    """Never raises: what is refused is a result too."""

    def __init__(self, handler: SessionHandler, tell: Tell, note_refusal: NoteRefusal) -> None:
        self._handler, self._tell, self._note_refusal = handler, tell, note_refusal
        self._window = Window(MAX_TOLD_PER_S)
        self._later: dict[str, Later] = {}
        """Of the commands whose answer is to come, which whoever works on them bounds."""

    def run(self, order: Order, now_unix_s: float, later: Later) -> Result | None:
        """Do it, or say why not; an id that is known is answered again. None: `later` gets the answer."""
        if known := self._handler.answered(order.id):
            return known
        result = self._answer(order, now_unix_s)
        if result is None:
            self._later[order.id] = later
            return None
        self._note(order, result, now_unix_s)
        return result

    def finish(self, order: Order, result: Result, now_unix_s: float) -> None:
        """The answer that was to come."""
        self._note(order, result, now_unix_s)
        if later := self._later.pop(order.id, None):
            later(result)

    def _note(self, order: Order, result: Result, now_unix_s: float) -> None:
        # What is done is bounded by the hour, and no flood of refusals keeps it from the audit log.
        if is_audited(result) and (result.ok or self._window.admits(now_unix_s)):
            self._tell(order.session, result)

    def _answer(self, order: Order, now_unix_s: float) -> Result | None:
        cause: Exception | None = None
        try:
            return self._handler.on_command(order)
        except MessageError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  one viewer's message must not end everybody's video
            cause, error = exc, MessageError("internal", f"{type(exc).__name__} in the agent: see its log")
        self._note_refusal(error, now_unix_s, cause)
        return Result(0, order.id, order.name, ok=False, code=error.code, message=clip(str(error)))
