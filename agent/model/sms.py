"""A command by SMS: `PH1 TIME NONCE VERB [ARGUMENT] SIGNATURE`, for a camera that no portal reaches.

The signature is the portal's own, Ed25519 over the device and all before it: a device knows the portal's
keys since its enrolment and learns newer ones by itself, holds no secret for it, and a key that is retired
is retired here too. None of its 64 bytes may be left out. As 86 characters of base64 it leaves 47 for an
argument in one message of 160 characters of GSM 7 bit (3GPP TS 23.038), in which letters, digits, `+` and
`/` are what they are in ASCII; base64url's `_` is not.
"""

import base64
import re
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

from agent.errors import MessageError

Verb = Literal["status", "reboot", "apn", "plan"]
VERBS: tuple[Verb, ...] = get_args(Verb)
MAX_CHARS = 160
"""One SMS; parts of a longer one come in any order, and hours apart."""
APN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,45}[A-Za-z0-9])?")
"""3GPP TS 23.003 section 9.1: labels as in names of hosts."""
_PREFIX = "PH1"
_DOMAIN = b"pinhole-sms-1\n"
"""No JWS begins so: what is signed here is no other message of a portal's."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TEXT = re.compile(r"PH1 ([0-9a-z]{1,8}) ([0-9a-f]{8}) ([a-z]{1,8})(?: ([!-~]{1,47}))? ([A-Za-z0-9+/]{86})")


@dataclass(frozen=True, slots=True)
class SmsCommand:
    """What is to be done, and which of all such commands it is."""

    issued_s: int
    """Unix time, by the portal's clock."""
    nonce: str
    verb: Verb
    argument: str = ""

    def signed_by(self, device: str) -> bytes:
        """The bytes that are signed: for one device, and for nothing else."""
        return _DOMAIN + f"{device}\n{self._said()}".encode()

    def encode(self, signature: bytes) -> str:
        """The message to send."""
        return f"{_PREFIX} {self._said()} {base64.b64encode(signature).decode().rstrip('=')}"

    def _said(self) -> str:
        said = f"{_base36(self.issued_s)} {self.nonce} {self.verb}"
        return f"{said} {self.argument}" if self.argument else said


def make_command(verb: str, argument: str, now_s: float) -> SmsCommand:
    """A new one. Raises MessageError `invalid`."""
    return _checked(int(now_s), secrets.token_hex(4), verb, argument)


def is_command(text: str) -> bool:
    """Whether it says of itself that it is one; operators and strangers send others."""
    return text.startswith(f"{_PREFIX} ")


def parse_command(text: str) -> tuple[SmsCommand, bytes]:
    """The command and its signature, which proves nothing yet. Raises MessageError `invalid`."""
    found = _TEXT.fullmatch(text.strip()) if len(text) <= MAX_CHARS else None
    if found is None:
        raise MessageError("invalid", "not a command of a portal's, or not as it was sent")
    time, nonce, verb, argument, signature = found.groups()
    signed = base64.b64decode(f"{signature}==")
    command = _checked(int(time, 36), nonce, verb, argument or "")
    if command.encode(signed) != text.strip():  # by leading zeros, or by bits that base64 does not use
        raise MessageError("invalid", "not as a portal writes it")
    return command, signed


def _checked(issued_s: int, nonce: str, verb: str, argument: str) -> SmsCommand:
    if verb not in VERBS:
        raise MessageError("invalid", f"{ascii(verb)[:40]}: no such verb; there are {', '.join(VERBS)}")
    if verb == "apn" and not APN.fullmatch(argument):
        raise MessageError("invalid", "apn takes a name of at most 47 letters, digits, dots and dashes")
    if verb != "apn" and argument:
        raise MessageError("invalid", f"{verb} takes no argument")
    return SmsCommand(issued_s, nonce, verb, argument)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
