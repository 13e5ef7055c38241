"""Does what a device is told, once: the table says who may, the handlers do it, and both ways meet here."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from agent.device.ledger import Ledger
from agent.errors import MessageError
from agent.model.command import (
    COMMANDS,
    LATER,
    CommandError,
    Nothing,
    Order,
    encode_result,
    parse_arguments,
)
from agent.model.signal import MAX_COMMAND_S, Result

log = logging.getLogger(__name__)

MAX_KNOWN = 256
"""Commands of an hour whose answers are kept: many more are no person's."""
MAX_KNOWN_OF_OTHERS = MAX_KNOWN * 3 // 4
"""However many operators send, who manages the camera still can."""
KEPT = 16
"""Answers on disk: of commands that end the agent."""
KNOWN_S = MAX_COMMAND_S + 60.0
"""By then even a device without a clock finds what asks again expired, or for another start."""

Handler = Callable[[Order, Any], Any]
"""`handle(order, arguments)` returns the table's result, or raises CommandError. Synchronous."""
ANSWERS: TypeAdapter[tuple[Result, ...]] = TypeAdapter(Annotated[tuple[Result, ...], Field(max_length=KEPT)])
"""Those in the journal."""


def note_done(order: Order) -> None:
    """Who had it done, in the log; for who answers later too, once it is."""
    if words := COMMANDS[order.name].audit:
        log.info(f"{order.user!a} {words}")


class Commands:
    """Every command that this device knows; idempotent by id, over both ways. Time is monotonic."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        journal: Ledger[tuple[Result, ...]],
        clock: Callable[[], float],
    ) -> None:
        """`journal` outlives the agent: what ended it is not done again by its next start."""
        self._handlers = handlers
        self._clock = clock
        self._journal = journal
        self._kept = self._journal.load() or ()
        self._known: OrderedDict[str, tuple[float, Result]] = OrderedDict()

    def answered(self, command: str) -> Result | None:
        """What the command of this id was answered, where that is known."""
        if found := self._known.get(command):
            return found[1]
        return next((result for result in self._kept if result.id == command), None)

    def run(self, order: Order) -> Result | None:
        """Do it; None where the answer comes later. Raises MessageError where it is refused, and not done.

        Codes: `unknown-command`, `wrong-way`, `not-allowed`, `invalid`, `too-many-commands`.
        """
        kind, handler = COMMANDS.get(order.name), self._handlers.get(order.name)
        if kind is None or handler is None:
            raise MessageError("unknown-command", f"this camera does not know the command {order.name}")
        if order.way not in kind.ways:
            raise MessageError("wrong-way", f"{kind.name} does not come by {order.way}")
        if kind.permission not in order.permissions:
            raise MessageError("not-allowed", f"{ascii(order.user)[:60]} may not {kind.name} this camera")
        arguments = parse_arguments(kind, order.arguments)
        self._make_room(order)
        try:
            value = handler(order, arguments)
        except CommandError as exc:
            result = Result(0, order.id, kind.name, ok=False, code=exc.code, message=str(exc))
        else:
            if value is LATER:
                return None
            note_done(order)
            value = encode_result(kind, Nothing() if value is None else value)
            result = Result(0, order.id, kind.name, ok=True, code="done", value=value)
        self.finish(result)
        return result

    def finish(self, result: Result) -> None:
        """Keep the answer, for who asks again; not of what changes nothing, as keyframes."""
        if not COMMANDS[result.name].audit:
            return
        self._known[result.id] = self._clock() + KNOWN_S, result
        if COMMANDS[result.name].ends_agent:
            self._kept = (result, *self._kept)[:KEPT]
            self._journal.keep(self._kept, self._clock(), is_urgent=True)

    def _make_room(self, order: Order) -> None:
        now_s = self._clock()
        while self._known and next(iter(self._known.values()))[0] < now_s:
            self._known.popitem(last=False)
        if len(self._known) >= (MAX_KNOWN if "manage" in order.permissions else MAX_KNOWN_OF_OTHERS):
            raise MessageError("too-many-commands", "too many commands in an hour: wait")
