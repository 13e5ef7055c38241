"""Carries a message by the kind of channel that it is for; opens what is sealed for that moment alone."""

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from agent.portal.accounts.seal import Seal, SealError
from agent.portal.notify import webhook
from agent.portal.notify.deliveries import Taken
from agent.portal.notify.outside import ChannelError, Outside
from agent.portal.notify.words import Message

log = logging.getLogger(__name__)


class Carrier:
    """Belongs to one event loop."""

    def __init__(self, seal: Seal, outside: Outside, clock: Callable[[], float] = time.time) -> None:
        self._seal = seal
        self._outside = outside
        self._clock = clock

    async def __call__(self, taken: Taken, message: Message) -> None:
        """Raises ChannelError."""
        config = self._open(taken)
        match taken.channel_kind:
            case "webhook":
                await webhook.send(
                    self._outside, config["url"], config["secret"], message, taken.owner, self._clock()
                )
            case _:
                raise ChannelError("This release does not know such a channel.", is_final=True)

    def _open(self, taken: Taken) -> dict[str, Any]:
        try:
            text = self._seal.open_text(taken.sealed, taken.bound_to, f"channel {taken.channel}")
        except SealError as exc:
            log.error("%s", exc)  # noqa: TRY400  its words say it all
            raise ChannelError(
                "Its secrets cannot be read any more: remove it, and add it again.", is_final=True
            ) from exc
        config: dict[str, Any] = json.loads(text)
        return config
