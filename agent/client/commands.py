"""`pinhole do`: one command to one camera, and what became of it."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from agent.client.session import SignIn, signed_in
from agent.errors import PortalError
from agent.model.command import COMMANDS, CommandKind, list_names
from agent.model.signal import Text

LIVES_S = 60.0
SOON_S = 1.0
"""An answer that comes within it needs no word before it."""
SLACK_S = 5.0
"""The portal gives up by itself when the command has expired."""
NOT_KNOWN = ("no-answer", "waiting")
"""Codes of what may have been done, or may still be."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a command; without `ok` it waits."""

    id: str
    ok: bool | None = None
    code: Text = "waiting"
    message: Text = ""
    value: dict[str, JsonValue] | None = None

    @property
    def words(self) -> str:
        """For people."""
        if self.ok:
            return json.dumps(self.value, ensure_ascii=False, indent=2) if self.value else "done"
        return f"{self.code}: {self.message or 'the camera is away, or did not answer'}"


@dataclass(frozen=True, slots=True)
class SmsAnswer:
    """The text, or why there is none."""

    text: Text = ""
    note: Text = ""
    """Why the camera may never take it."""
    code: Text = ""
    message: Text = ""


_TOLD = TypeAdapter(Told)
_ANSWER = TypeAdapter(SmsAnswer)


def parse_arguments(pairs: list[str], kind: CommandKind | None = None) -> dict[str, Any]:
    """`key=value`, where a value is JSON if it can be, and else text; `1,2` is a list where `kind` takes one.

    So is `text; more text`, where it is no JSON. Raises PortalError.
    """
    lists = list_names(kind) if kind else ()
    made: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise PortalError(f"{pair}: an argument is key=value")
        if key in lists and not text.startswith("["):
            text = f"[{text}]"
        try:
            made[key] = json.loads(text)
        except ValueError:
            is_list = key in lists
            made[key] = [each.strip() for each in text.strip("[]").split(";")] if is_list else text
        try:
            json.dumps(made[key], allow_nan=False)
        except ValueError as exc:
            raise PortalError(f"{key}: a number must be finite") from exc
    return made


async def do_command(
    url: str,
    sign_in: SignIn,
    device: str,
    name: str,
    arguments: dict[str, Any],
    *,
    expires_s: float | None,
    is_confirmed: bool,
    say: Callable[[str], None],
) -> Told:
    """Have it done, and wait for the answer until the command has expired. Raises PortalError.

    `say` is told where that takes longer than a moment.
    """
    body: dict[str, Any] = {"id": secrets.token_hex(16), "arguments": arguments, "confirmed": is_confirmed}
    if expires_s is not None:
        body["expires_s"] = expires_s
    kind = COMMANDS.get(name)
    life_s = expires_s or LIVES_S
    if kind:
        life_s = max(expires_s or 0, kind.life_s) if kind.answers_late else expires_s or kind.life_s
    words = f"asked; waits for {device}, {life_s:g} s at most"
    until_s = time.monotonic() + life_s + SLACK_S
    async with signed_in(url, sign_in) as ask:
        soon = asyncio.get_running_loop().call_later(SOON_S, say, words)
        try:
            while True:  # each question waits for ten seconds at the portal
                told = _parse(url, *await ask(f"/api/devices/{device}/commands/{name}", body))
                if told.ok is not None or time.monotonic() > until_s:
                    return told
        finally:
            soon.cancel()


async def make_sms(url: str, sign_in: SignIn, device: str, verb: str, argument: str) -> SmsAnswer:
    """The text to send. Raises PortalError."""
    async with signed_in(url, sign_in) as ask:
        status, said = await ask(f"/api/devices/{device}/sms", {"verb": verb, "argument": argument})
    try:
        answer = _ANSWER.validate_json(said)
    except ValidationError as exc:
        raise PortalError(f"{url} does not answer like a portal that knows SMS: HTTP {status}") from exc
    if not answer.text:
        raise PortalError(f"{answer.code}: {answer.message}")
    return answer


def encode(told: Told) -> str:
    """One JSON object."""
    return _TOLD.dump_json(told).decode()


def _parse(url: str, status: int, text: str) -> Told:
    try:
        return _TOLD.validate_json(text)
    except ValidationError as exc:
        raise PortalError(f"{url} does not answer like a portal: HTTP {status}") from exc
