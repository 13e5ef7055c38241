"""Has a device begun anew, or is an old message of it said again? It is asked, whatever its clock says.

The broker keeps states, and anybody in it may say an older one again; taken for news, it would end the
sessions of the start that lives. So before one of another start ends any, the device is offered a restart of
a session that nobody has, for that very start. Its refusal is signed, for this question alone: `wrong-boot`
where it is an old story, and otherwise that there is no such session.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from agent.model.signal import FromDevice, Reject, State

AGAIN_S = 10.0
"""A question or its answer may be lost."""
SOONEST_S = 1.0
"""Between two questions, however many states are said again."""
MAX_TRIES = 6
_OF_THIS_START = ("session-over", "too-many-offers")
"""Refusals of a device that had found the offer to be for its own start."""

Ask = Callable[[str, str, str, str | None], bool]
"""`ask(device, session, boot_id, challenge)` offers the restart; False where the broker is away."""


@dataclass(slots=True)
class _Doubt:
    state: State
    due_s: float
    session: str = ""
    """Of the newest question."""
    tries: int = 0
    is_challenged: bool = False


class Rebirths:
    """One doubtful state for each device, while it is asked. Time is monotonic."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._doubts: dict[str, _Doubt] = {}

    def doubt(self, device: str, state: State, now_s: float) -> None:
        """Ask the device whether this start is its own."""
        known = self._doubts.get(device)
        if known is not None and known.state.boot_id == state.boot_id:
            known.state = state  # it goes on to speak while it is asked
            return
        due_s = now_s
        if known is not None:  # its question came just now, or waits
            due_s = max(now_s, known.due_s - AGAIN_S + SOONEST_S if known.tries else known.due_s)
        self._doubts[device] = doubt = _Doubt(state, due_s)
        self._ask_if_due(device, doubt, now_s)

    def drop(self, device: str) -> State | None:
        """What was doubtful, if anything, is so no more."""
        doubt = self._doubts.pop(device, None)
        return doubt.state if doubt else None

    def boot_id(self, device: str) -> str | None:
        """Of the start that is doubtful."""
        doubt = self._doubts.get(device)
        return doubt.state.boot_id if doubt else None

    def asked_in(self, device: str, session: str) -> bool:
        """Whether the newest question to this device was put in this session."""
        doubt = self._doubts.get(device)
        return doubt is not None and doubt.session == session

    def waiting(self) -> list[tuple[str, State]]:
        """What is doubtful."""
        return [(device, doubt.state) for device, doubt in self._doubts.items()]

    def on_signal(self, device: str, session: str, message: FromDevice) -> State | None:
        """Take an answer in; returns the state where it is proven to be of the start that lives."""
        doubt = self._doubts.get(device)
        if doubt is None or doubt.session != session or not isinstance(message, Reject):
            return None
        if message.challenge is not None and not doubt.is_challenged:  # its clock is wrong
            doubt.is_challenged = True
            self._ask(device, session, doubt.state.boot_id, message.challenge)
        elif message.code in _OF_THIS_START:
            return self.drop(device)
        elif message.code == "wrong-boot":
            del self._doubts[device]
        return None

    def tick(self, now_s: float) -> None:
        """Ask again where no answer came; in the end a device that is there says its state anew."""
        for device, doubt in list(self._doubts.items()):
            if now_s >= doubt.due_s and doubt.tries >= MAX_TRIES:
                del self._doubts[device]
            else:
                self._ask_if_due(device, doubt, now_s)

    def _ask_if_due(self, device: str, doubt: _Doubt, now_s: float) -> None:
        if now_s < doubt.due_s:
            return
        doubt.session, doubt.is_challenged = secrets.token_hex(16), False
        doubt.due_s, doubt.tries = now_s + AGAIN_S, doubt.tries + 1
        self._ask(device, doubt.session, doubt.state.boot_id, None)
