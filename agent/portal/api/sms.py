"""Commands by SMS: who manages a camera that no portal reaches gets the text to send to it, signed."""

import time
from collections.abc import Callable

from aiohttp import web

from agent.errors import MessageError
from agent.model.sms import make_command
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, add, read, visitor
from agent.portal.gateway import Gateway
from agent.portal.guard import refusal
from agent.portal.rate_limit import MinuteLimit

TEXTS_PER_MINUTE = 12
"""Of one user: each has to be typed into a telephone."""

Sign = Callable[[bytes], bytes]


class SmsWish(Body):
    """One command."""

    verb: str
    argument: str = ""


class SmsTexts:
    """The handlers."""

    def __init__(self, accounts: Accounts, gateway: Gateway, sign: Sign) -> None:
        """`sign` makes a bare signature by the oldest of the portal's keys, which every device knows."""
        self._accounts, self._gateway, self._sign = accounts, gateway, sign
        self._limit = MinuteLimit(TEXTS_PER_MINUTE)

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "POST", "/api/devices/{device}/sms", Need.USER, self.make)

    async def make(self, request: web.Request, who: Identity) -> web.Response:
        """The text: nothing is sent from here, and nobody here hears what becomes of it."""
        device, wish = request.match_info["device"], await read(request, SmsWish)
        if device not in self._gateway.devices() or not who.access.may(device, "watch"):
            return refusal(404, "unknown", "There is no camera of this name here.")
        audit, address = self._accounts.audit, visitor(request).address
        if not who.access.may(device, "manage"):
            audit.add_refusal(who.name, "command-refused", device=device, address=address, detail="sms")
            return refusal(403, "not-allowed", "Only who may manage this camera may do this.")
        try:
            command = make_command(wish.verb, wish.argument, time.time())
        except MessageError as exc:
            return refusal(400, exc.code, str(exc))
        if not self._limit.admits(who.user_id, time.monotonic()):
            response = refusal(429, "too-many-texts", "Too many messages in a minute: wait a little.")
            response.headers["Retry-After"] = "60"
            return response
        detail = " ".join(filter(None, (command.verb, command.argument, command.nonce)))
        audit.add(who.name, "sms-made", device=device, address=address, detail=detail)
        text = command.encode(self._sign(command.signed_by(device)))
        return web.json_response({"text": text, "note": self._note(device)})

    def _note(self, device: str) -> str:
        """Why this camera may never take it, by what it said last; empty where it may."""
        sections = next((each.sections for each in self._gateway.known() if each.id == device), {})
        modem = sections.get("modem")
        if isinstance(modem, dict) and modem.get("source") in ("modemmanager", "at"):
            return ""
        return "this camera told of no modem when last heard, which modem.backend would name: it takes no SMS"
