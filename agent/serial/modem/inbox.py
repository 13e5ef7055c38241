"""Messages that ModemManager's modem got: read, handed on, answered, deleted. A card holds twenty of them."""

import logging
from typing import Any

from agent.errors import ModemError
from agent.serial.modem.bus import CALL_S, Bus, RefusedError, texts
from agent.serial.modem.managed import MODEM, PREFIX
from agent.serial.modem.sms import OnSms

log = logging.getLogger(__name__)

_MESSAGING, _SMS = f"{MODEM}.Messaging", f"{PREFIX}.Sms"
_RECEIVED = 3
"""MMSmsState; 2 is one whose parts are still under way."""
MAX_AT_ONCE = 32
ANSWERED_S = 60.0
"""By then an answer has left, or never will."""
SEND_S = ANSWERED_S - CALL_S


class Inbox:
    """Of one modem."""

    def __init__(self, on_sms: OnSms) -> None:
        self._on_sms = on_sms
        self._has_warned = False

    async def take(self, bus: Bus, path: str, modem: dict[str, Any]) -> None:
        """Those that are there whole; `modem` is what ModemManager says of the one at `path`."""
        for message in modem.get(_MESSAGING, {}).get("Messages", [])[:MAX_AT_ONCE]:
            try:
                await _take(bus, path, message, self._on_sms)
            except RefusedError as exc:  # and so would be the others
                self._warn(exc)
                return
            except ModemError as exc:  # another one may be read all the same
                log.debug("an SMS was not read: %s", exc)

    def _warn(self, exc: RefusedError) -> None:
        if not self._has_warned:
            log.warning("no SMS is read or answered: %s: `modem_sms` of the role modem grants it", exc)
        self._has_warned = True


async def _take(bus: Bus, path: str, message: str, on_sms: OnSms) -> None:
    said = await bus.call(PREFIX, message, "org.freedesktop.DBus.Properties.GetAll", _SMS, signature="s")
    if said.get("State") != _RECEIVED:
        return
    # First, so that one that is done and then comes to nothing is not looked at for ever.
    await bus.call(PREFIX, path, f"{_MESSAGING}.Delete", message, signature="o")
    text, number = said.get("Text"), said.get("Number")
    answer = await on_sms(text) if isinstance(text, str) else None
    if answer is not None and isinstance(number, str) and number:
        await _send(bus, path, number, answer)


async def _send(bus: Bus, path: str, number: str, text: str) -> None:
    try:
        body = texts({"number": number, "text": text})
        made = await bus.call(PREFIX, path, f"{_MESSAGING}.Create", body, signature="a{sv}")
        await bus.call(PREFIX, made, f"{_SMS}.Send", deadline_s=SEND_S)
        await bus.call(PREFIX, path, f"{_MESSAGING}.Delete", made, signature="o")
    except ModemError as exc:
        log.warning("the answer to an SMS was not sent: %s", exc)
