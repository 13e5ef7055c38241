"""What this device can do for a modem that hangs, before somebody has to drive out."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.config import ModemSettings
from agent.doctor.report import Finding
from agent.serial.modem.ladder import Step
from agent.serial.modem.recovery import installed
from agent.serial.modem.routes import port_device, usb_device


@dataclass(frozen=True, slots=True)
class Means:
    """What there is."""

    steps: frozenset[Step]
    """By root."""
    knows_interface: bool
    """Whether the modem's own interface can be told from another way out."""
    has_second: bool
    """Something besides the portal tells whether the modem leads anywhere."""


def read_means(modem: ModemSettings) -> Means:
    """ModemManager's modem, and one on USB, is known by its place in /sys."""
    is_known = modem.backend != "at" or modem.interface is not None or _is_on_usb(modem.port)
    return Means(installed(), is_known, modem.recovery.second_address is not None)


def _is_on_usb(port: str) -> bool:
    return usb_device(port_device(port)) is not None


def judge_recovery(means: Means) -> Finding:
    """A warning where a modem would hang until somebody drives out; all that is missing at once."""
    faults = list(_faults(means))
    if not faults:
        return Finding("recovery", "", "good", "a modem that hangs is reset, and its power cut")
    words, advice = zip(*faults, strict=True)
    return Finding("recovery", "", "warning", "; ".join(words), "; ".join(advice))


def _faults(means: Means) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do."""
    if not means.knows_interface:
        yield (
            "the modem's own interface may be taken for another way out, and the modem is not reset then",
            "name it in modem.interface",
        )
    if "power-cycle" not in means.steps:
        missing = (
            "no power step" if "reauthorize-usb" in means.steps else "neither a power step nor a USB step"
        )
        yield (
            f"{missing}: a modem may hang until somebody cuts its power by hand",
            "give the Ansible role modem its modem_power_hub or modem_power_gpio",
        )
    if not means.has_second:
        yield (
            "a modem that says it is connected and leads nowhere is not reset: the portal alone may be away",
            "set modem.recovery.second_address (modem_second_address of the role) to a host elsewhere",
        )
