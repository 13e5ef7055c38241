"""Commands to cameras: which there are for somebody, and doing one."""

import asyncio
import json
import secrets
import time
from functools import cache
from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from agent.config.document import explained
from agent.errors import MessageError
from agent.model.command import COMMANDS, CommandKind, arguments_schema, is_audited, outcome, parse_arguments
from agent.model.signal import MAX_COMMAND_S, JsonObject, Result
from agent.portal.accounts.access import Identity
from agent.portal.accounts.chain import DETAIL_CHARS
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, add, read, visitor
from agent.portal.commands import Waiting, act_of, known_kind
from agent.portal.gateway import Gateway
from agent.portal.guard import refusal
from agent.portal.rate_limit import MinuteLimit

COMMANDS_PER_MINUTE = 240
"""Of one user: a group of cameras, each asked twice. Each entry of the audit log counts as one."""
WAIT_S = 10.0
"""How long a request waits for the answer; asked again with the same id, it waits again."""


class CommandWish(Body):
    """One command; said again with the same id, it is done once and answered twice."""

    arguments: JsonObject = Field(default_factory=dict)
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    """128 random bits; the portal makes them where nobody did."""
    expires_s: Annotated[float, Field(ge=1, le=MAX_COMMAND_S)] | None = None
    """How long a camera that is away may take to get it; by default what the table says."""
    confirmed: bool = False
    """Whether the command's question, where it has one, was asked."""


class CommandRoutes:
    """The handlers."""

    def __init__(self, accounts: Accounts, gateway: Gateway) -> None:
        self._accounts = accounts
        self._gateway = gateway
        self._limit = MinuteLimit(COMMANDS_PER_MINUTE)
        self._explaining, self._explained = asyncio.Lock(), b""

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        add(app, self._accounts, "GET", "/api/devices/{device}/commands", Need.USER, self.list_commands)
        add(app, self._accounts, "POST", "/api/devices/{device}/commands/{name}", Need.USER, self.do)
        add(app, self._accounts, "GET", "/api/settings", Need.USER, self.explain)

    async def list_commands(self, request: web.Request, who: Identity) -> web.Response:
        """What this user may have this camera do, by the table."""
        device = request.match_info["device"]
        if not self._is_seen(device, who):
            return _unknown(device)
        return web.json_response({"commands": [_shown(kind) for kind in _allowed(device, who)]})

    async def explain(self, _request: web.Request, _who: Identity) -> web.Response:
        """What the settings mean that `set` changes; a camera of another release may have others."""
        async with self._explaining:
            if not self._explained:  # once, beside the event loop: it makes the schema of every section
                self._explained = await asyncio.to_thread(_explanations)
        return web.Response(body=self._explained, content_type="application/json", charset="utf-8")

    async def do(self, request: web.Request, who: Identity) -> web.Response:
        """Done or not, as the camera says; 202 with the id while it has not."""
        device, kind = request.match_info["device"], known_kind(request.match_info["name"])
        wish = await read(request, CommandWish)
        if not self._is_seen(device, who):
            return _unknown(device)
        if kind is None:
            names = ", ".join(each.name for each in _allowed(device, who)) or "none that you may give"
            return refusal(404, "unknown-command", f"There is no command of this name. There are: {names}.")
        if not who.access.may(device, kind.permission):
            self._accounts.audit.add_refusal(
                who.name, "command-refused", device=device, address=visitor(request).address, detail=kind.name
            )
            return refusal(403, "not-allowed", f"Only who may {kind.permission} this camera may do this.")
        known = self._gateway.commands.find(wish.id) if wish.id else None
        begun = known or self._begin(request, who, device, kind, wish)
        if not isinstance(begun, Waiting):
            return begun
        if (begun.device, begun.kind, begun.who.user_id) != (device, kind, who.user_id):
            return refusal(409, "id-taken", "This id is another command's.")
        return await _answer(begun)

    def _begin(
        self, request: web.Request, who: Identity, device: str, kind: CommandKind, wish: CommandWish
    ) -> Waiting | web.Response:
        if kind.question and not wish.confirmed:
            return refusal(409, "ask-first", kind.question)
        try:
            parse_arguments(kind, wish.arguments)
        except MessageError as exc:
            return refusal(400, exc.code, str(exc))
        lines, now_s = audit_lines(kind.name, wish.arguments), time.monotonic()
        if not all(self._limit.admits(who.user_id, now_s) for _ in lines):
            response = refusal(429, "too-many-commands", "Too many commands in a minute: wait a little.")
            response.headers["Retry-After"] = "60"
            return response
        command, life_s = wish.id or secrets.token_hex(16), wish.expires_s or kind.life_s
        if kind.answers_late:
            life_s = max(life_s, kind.life_s)
        try:
            one = self._gateway.commands.ask(command, device, kind, wish.arguments, who, life_s)
        except MessageError as exc:
            return refusal(400, exc.code, str(exc))
        address, audit = visitor(request).address, self._accounts.audit
        for line in lines if kind.audit else ():
            audit.add(who.name, "commanded", device=device, address=address, detail=line)

        def note(result: Result) -> None:
            if is_audited(result):
                audit.add(who.name, act_of(result), device=device, address=address, detail=outcome(result))

        one.when_answered(note)
        return one

    def _is_seen(self, device: str, who: Identity) -> bool:
        """Of a camera that somebody may not watch not even its existence is told."""
        return device in self._gateway.devices() and who.access.may(device, "watch")


def _allowed(device: str, who: Identity) -> list[CommandKind]:
    kinds = [kind for name, kind in COMMANDS.items() if known_kind(name)]
    return [kind for kind in kinds if who.access.may(device, kind.permission)]


def _unknown(device: str) -> web.Response:
    said = ascii(device)[1:-1][:64]
    return refusal(404, "unknown", f"There is no camera with the id {said}; `pinhole fleet` lists them.")


async def _answer(one: Waiting) -> web.Response:
    answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    one.when_answered(lambda result: None if answered.done() else answered.set_result(result))
    try:
        async with asyncio.timeout(WAIT_S):
            result = await answered
    except TimeoutError:
        return web.json_response({"id": one.id, "was_told": bool(one.boot_id)}, status=202)
    said = {"id": one.id, "ok": result.ok, "code": result.code}
    return web.json_response({**said, "message": result.message, "value": result.value})


def _explanations() -> bytes:
    return json.dumps({"settings": explained()}).encode()


@cache
def _shown(kind: CommandKind) -> JsonObject:
    """Made once: the schemas of all commands take longer than everything else of such a request."""
    return {
        "name": kind.name,
        "label": kind.label,
        "question": kind.question,
        "permission": kind.permission,
        "arguments": arguments_schema(kind),
    }


def audit_lines(name: str, arguments: JsonObject) -> list[str]:
    """Entries of the audit log: as many as hold every argument, so that none hides behind others."""
    words = [f" {key}={json.dumps(value)}" for key, value in arguments.items()]
    lines = [name + "".join(words[:1])]
    for word in words[1:]:
        if len(lines[-1] + word) > DETAIL_CHARS:
            lines.append(name)
        lines[-1] += word
    return lines
