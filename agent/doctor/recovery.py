"""What this device can do for a modem that hangs, before somebody has to drive out."""

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


def read_means(modem: ModemSettings) -> Means:
    """ModemManager's modem, and one on USB, is known by its place in /sys."""
    is_known = modem.backend != "at" or modem.interface is not None or _is_on_usb(modem.port)
    return Means(installed(), is_known)


def _is_on_usb(port: str) -> bool:
    return usb_device(port_device(port)) is not None


def judge_recovery(means: Means) -> Finding:
    """A warning where power cannot be cut: many modems come back by nothing less."""
    steps = means.steps
    if not means.knows_interface:
        words = "the modem's own interface may be taken for another way out, and the modem is not reset then"
        return Finding("recovery", "", "warning", words, "name it in modem.interface")
    if "power-cycle" in steps:
        return Finding("recovery", "", "good", "a modem that hangs is reset, and its power cut")
    missing = "no power step" if "reauthorize-usb" in steps else "neither a power step nor a USB step"
    return Finding(
        "recovery", "", "warning", f"{missing}: a modem may hang until somebody cuts its power by hand",
        "give the Ansible role modem its modem_power_hub or modem_power_gpio",
    )  # fmt: skip
