"""What of a device's sections can be sent: a room's slip must not silence the others. Pure."""

from dataclasses import replace

from agent.errors import MessageError
from agent.model.sections import SectionsMessage
from agent.signaling.messages import encode


def what_fits(message: SectionsMessage) -> tuple[SectionsMessage, dict[str, str]]:
    """The message with as much as can be sent; and what was left out, by name, and why.

    First goes what could not be sent by itself, then the biggest.
    """
    left_out: dict[str, str] = {}
    while (fault := _fault(message)) and message.sections:
        sizes = {name: _size_bytes(message, name) for name in message.sections}
        worst = max(sizes, key=sizes.__getitem__)
        left_out[worst] = fault
        message = replace(message, sections={n: s for n, s in message.sections.items() if n != worst})
    return message, left_out


def _fault(message: SectionsMessage) -> str:
    try:
        encode(message)
    except MessageError as error:
        return str(error)
    return ""


def _size_bytes(message: SectionsMessage, name: str) -> float:
    """Of one alone; endless where it is none."""
    try:
        return len(encode(replace(message, sections={name: message.sections[name]})))
    except MessageError:
        return float("inf")
