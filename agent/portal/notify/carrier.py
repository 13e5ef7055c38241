"""Carries a message by the kind of channel that it is for; opens what is sealed for that moment alone."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from agent.portal.accounts.access import Identity
from agent.portal.accounts.seal import Seal, SealError
from agent.portal.notify import webhook, webpush
from agent.portal.notify.deliveries import Taken
from agent.portal.notify.mail import Mail
from agent.portal.notify.outside import ChannelError, Outside
from agent.portal.notify.push_key import PushKeys
from agent.portal.notify.services import Services
from agent.portal.notify.words import Message

PICTURE_S = 5.0
"""So long the camera may take for a picture; text alone suffices."""

PictureOf = Callable[[str, str, Identity], Awaitable[bytes | None]]
"""`picture_of(device, event, reader)`: the picture of an event, where there is one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ways:
    """What channels lead by; each portal has one of each."""

    outside: Outside
    keys: PushKeys
    contact: str
    """Whom push services write to."""
    services: Services
    mail: Mail | None = None

    async def close(self) -> None:
        """Close every connection."""
        self.services.close()
        await self.outside.close()


class Carrier:
    """Belongs to one event loop."""

    def __init__(
        self,
        seal: Seal,
        ways: Ways,
        picture_of: PictureOf | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seal = seal
        self._ways = ways
        self._picture_of = picture_of
        self._clock = clock

    async def __call__(self, taken: Taken, message: Message) -> None:
        """Raises ChannelError."""
        config, now, ways = self._open(taken), self._clock(), self._ways
        match taken.channel_kind:
            case "push":
                key, to = await ways.keys.get(), webpush.Subscription(**config)
                left_s = taken.expires_at - now
                await webpush.send(ways.outside, key, ways.contact, to, message, left_s, now)
            case "webhook":
                await webhook.send(ways.outside, config["url"], config["secret"], message, taken.owner, now)
            case "mail":
                if ways.mail is None:
                    raise ChannelError("The portal has no mail server any more.", is_final=True)
                if taken.kind == "confirm":
                    message = _asking(message, config["code"])
                await ways.mail.send(config["address"], message, await self._picture(taken))
            case "service":
                await ways.services.send(config["url"], message, await self._picture(taken))
            case _:
                raise ChannelError("This release does not know such a channel.", is_final=True)

    async def _picture(self, taken: Taken) -> bytes | None:
        if self._picture_of is None or len(taken.items) != 1 or not taken.items[0].has_picture:
            return None
        item = taken.items[0]
        reader = Identity("notification", taken.owner, taken.access, taken.expires_at, taken.user_id)
        try:
            async with asyncio.timeout(PICTURE_S):
                return await self._picture_of(item.device, item.event_id, reader)
        except TimeoutError:
            return None

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


def _asking(message: Message, code: str) -> Message:
    words = (
        f"Your code is {code}. Enter it on the page Notifications within a day, and Pinhole tells you here "
        "what happens at your cameras. Did you not ask for it? Then do nothing, and you hear no more."
    )
    return replace(message, title=f"Your code for Pinhole: {code}", body=words, url="")
