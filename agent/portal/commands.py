"""Commands of this portal's users that wait for a device, or for its answer.

A device that is away is told when it is there again, until the command expires. What is said twice is done
once, by its id, also where the device began anew in between and the command was signed for its new start.
"""

import asyncio
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.errors import MessageError
from agent.model.command import COMMANDS, CommandKind, check_result
from agent.model.signal import Command, FromDevice, JsonObject, Reject, Result
from agent.portal.accounts.access import Access, Identity
from agent.portal.client import Clock
from agent.portal.devices import Directory
from agent.portal.farewells import SendToDevice

AGAIN_S = 10.0
"""A command or its answer may be lost."""
MAX_WAITING, MAX_WAITING_OF_DEVICE = 4096, 32
MAX_WAITING_OF_OTHERS, MAX_WAITING_OF_USER = MAX_WAITING_OF_DEVICE * 3 // 4, 8
"""Of one device, from who may not manage it, all together and each: room is left for who manages it."""
MAX_KEPT = 2 * MAX_WAITING
"""With those that were answered; the oldest answers go first."""
MAX_LISTENERS = 64
"""Requests that wait for one answer; who asks beyond them hears of it by asking again."""
KEPT_S = 120.0
"""How long an answer is kept for who asks for it again."""
_OLD = "This camera's software does not know this command: update it first."
_AWAY = "The camera was away until the command expired: it was not done."
_SILENT = "The camera was told, and did not answer: it may have been done."
_LOST_RIGHT = "Who asked for it may no longer do this, or is signed out."

NOBODY = Identity("", "", Access("admin"), math.inf)
"""In whose name the portal itself gives commands: no user's is empty, nor the key of a session."""

AskToLook = Callable[[str], bool]
CommandAct = Literal["command-done", "command-failed", "command-refused"]
Answered = Callable[[Result], None]


@dataclass(eq=False, slots=True)
class Waiting:
    """One command, until its answer is forgotten."""

    id: str
    device: str
    kind: CommandKind
    arguments: JsonObject
    who: Identity
    issued_at: float
    expires_at: float
    """Unix time, by which the device judges; the next two are monotonic."""
    ends_s: float
    due_s: float
    boot_id: str = ""
    """For which start of the device it was sent last; empty while it was not."""
    is_challenged: bool = False
    result: Result | None = None
    on_answer: list[Answered] = field(default_factory=list)

    def when_answered(self, tell: Answered) -> None:
        """Call it with the answer, now or later."""
        if self.result is not None:
            tell(self.result)
        elif len(self.on_answer) < MAX_LISTENERS:
            self.on_answer.append(tell)


class Commands:
    """Pure but for what it sends; `tick` is called twice a second."""

    def __init__(
        self, send: SendToDevice, directory: Directory, clock: Clock, ask_to_look: AskToLook
    ) -> None:
        """`ask_to_look` is the one command that devices of before the table know."""
        self._send, self._directory, self._clock = send, directory, clock
        self._ask_to_look = ask_to_look
        self._all: dict[str, Waiting] = {}

    def find(self, command: str) -> Waiting | None:
        """One that waits, or was answered of late."""
        return self._all.get(command)

    def ask(
        self,
        command: str,
        device: str,
        kind: CommandKind,
        arguments: JsonObject,
        who: Identity,
        life_s: float,
    ) -> Waiting:
        """Tell the device, now or when it is there. Raises MessageError `too-many-commands`."""
        self._make_room(device, who)
        now_s, unix_s = self._clock.mono_s(), self._clock.unix_s()
        one = Waiting(command, device, kind, arguments, who, unix_s, unix_s + life_s, now_s + life_s, now_s)
        self._all[command] = one
        self._tell_if_due(one, now_s)
        return one

    def tell(self, device: str, name: str, arguments: JsonObject) -> None:
        """What the portal asks for itself, where nobody waits for the answer. Raises as `ask`."""
        kind = COMMANDS[name]
        self.ask(secrets.token_hex(16), device, kind, arguments, NOBODY, kind.life_s)

    def sessions(self) -> set[str]:
        """Keys of the sign-ins whose commands wait."""
        return {one.who.session for one in self._open() if one.who is not NOBODY}

    def apply(self, identities: Mapping[str, Identity], asked: set[str]) -> None:
        """What somebody may no longer do is not said to a device that comes back."""
        for one in self._open():
            if one.who.session in asked:
                who = identities.get(one.who.session)
                if who is None or not who.access.may(one.device, one.kind.permission):
                    self._fail(one, "not-allowed", _LOST_RIGHT)
                else:
                    one.who = who

    def on_presence(self, device: str, boot_id: str) -> None:
        """A device is there, perhaps begun anew: what it has not answered is said to it."""
        now_s = self._clock.mono_s()
        for one in self._open():
            if one.device == device:
                if one.boot_id != boot_id:
                    one.due_s = now_s
                self._tell_if_due(one, now_s)

    def on_revoked(self, device: str) -> None:
        """Who enrols under this name next is not told what was meant for it."""
        for one in self._open():
            if one.device == device:
                self._fail(one, "revoked", "The camera was revoked.")

    def expects(self, device: str, command: str) -> bool:
        """Whether this device was asked, or is to be asked, for this."""
        one = self._all.get(command)
        return one is not None and one.device == device

    def on_signal(self, device: str, command: str, message: FromDevice) -> bool:
        """Take an answer in; False where it is none of ours."""
        if not self.expects(device, command):
            return False
        one = self._all[command]
        match message:
            case Result() if one.result is None:
                self._on_result(one, message)
            case Reject() if one.result is None:
                self._on_reject(one, message)
        return True

    def on_undelivered(self, device: str, command: str, words: str) -> None:
        """The broker does not take it."""
        one = self._all.get(command)
        if one is not None and one.device == device and one.result is None:
            self._fail(one, "broker-refuses", words)

    def tick(self) -> None:
        """Say again what was not answered; give up what has expired."""
        now_s = self._clock.mono_s()
        for one in list(self._all.values()):
            if one.result is not None:
                if now_s >= one.ends_s + KEPT_S:
                    del self._all[one.id]
            elif now_s >= one.ends_s:
                self._fail(one, *(("no-answer", _SILENT) if one.boot_id else ("away", _AWAY)))
            else:
                self._tell_if_due(one, now_s)

    def _make_room(self, device: str, who: Identity) -> None:
        waiting = self._open()
        own = [one.who.user_id for one in waiting if one.device == device]
        is_full = len(waiting) >= MAX_WAITING or len(own) >= MAX_WAITING_OF_DEVICE
        if not who.access.may(device, "manage"):
            is_full |= len(own) >= MAX_WAITING_OF_OTHERS or own.count(who.user_id) >= MAX_WAITING_OF_USER
        if is_full:
            raise MessageError("too-many-commands", "Too many commands wait already: try again in a while.")
        if len(self._all) >= MAX_KEPT:
            answered = (one for one in self._all.values() if one.result is not None)
            del self._all[min(answered, key=lambda one: one.ends_s).id]

    def _open(self) -> list[Waiting]:
        return [one for one in self._all.values() if one.result is None]

    def _tell_if_due(self, one: Waiting, now_s: float) -> None:
        boot_id = self._directory.boot_id(one.device)
        if now_s < one.due_s or boot_id is None or not self._directory.is_online(one.device):
            return
        if not self._directory.understands(one.device, "command"):
            self._tell_old(one)
        elif self._say(one, boot_id):
            one.boot_id, one.due_s = boot_id, now_s + AGAIN_S
            one.is_challenged = False  # a device whose clock is wrong asks anew, at each start and each time

    def _tell_old(self, one: Waiting) -> None:
        if one.kind.name != "look":
            self._fail(one, "unknown-command", _OLD)
        elif self._ask_to_look(one.device):
            self._finish(one, Result(0, one.id, one.kind.name, ok=True, code="done"))

    def _say(self, one: Waiting, boot_id: str, challenge: str | None = None) -> bool:
        command = Command(
            issued_at=one.issued_at,
            expires_at=one.expires_at,
            boot_id=boot_id,
            user=one.who.name,
            permissions=self._directory.told(one.device, one.who.access.permissions(one.device)),
            name=one.kind.name,
            arguments=one.arguments,
            challenge=challenge,
        )
        try:
            return self._send(one.device, one.id, command)
        except MessageError as exc:
            self._fail(one, exc.code, str(exc))
            return False

    def _on_result(self, one: Waiting, message: Result) -> None:
        if (message.id, message.name) != (one.id, one.kind.name):
            raise MessageError("invalid", "it answers another command than its topic")
        if message.ok:
            check_result(one.kind, message.value)
        self._finish(one, message)

    def _on_reject(self, one: Waiting, message: Reject) -> None:
        if message.challenge is not None:  # its clock is wrong
            if not one.is_challenged:  # else it refused what it was told twice before it heard the answer
                one.is_challenged = True
                self._say(one, one.boot_id, message.challenge)
        elif message.code == "wrong-boot":
            one.boot_id = ""  # its new state is under way
        else:
            self._fail(one, message.code, message.message)

    def _fail(self, one: Waiting, code: str, words: str) -> None:
        self._finish(one, Result(0, one.id, one.kind.name, ok=False, code=code, message=words))

    def _finish(self, one: Waiting, result: Result) -> None:
        one.result = result
        one.ends_s = self._clock.mono_s()
        for tell in one.on_answer:
            tell(result)
        one.on_answer.clear()


async def ask_and_wait(
    commands: Commands, device: str, kind: CommandKind, arguments: JsonObject, who: Identity, life_s: float
) -> Result:
    """What became of a command that the portal itself asks for, in somebody's name. Raises MessageError."""
    answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    one = commands.ask(secrets.token_hex(16), device, kind, arguments, who, life_s)
    one.when_answered(lambda result: None if answered.done() else answered.set_result(result))
    return await answered  # a tick ends it, if nobody else does


def act_of(result: Result) -> CommandAct:
    """What the audit log calls what became of a command."""
    if result.ok:
        return "command-done"
    return "command-refused" if result.code == "not-allowed" else "command-failed"


def known_kind(name: str) -> CommandKind | None:
    """A command that may come by the portal."""
    kind = COMMANDS.get(name)
    return kind if kind and "broker" in kind.ways else None
