"""What this device can do for a modem that hangs, before somebody has to drive out."""

from agent.doctor.report import Finding
from agent.serial.modem.ladder import Step


def judge_recovery(steps: frozenset[Step]) -> Finding:
    """A warning where power cannot be cut: many modems come back by nothing less."""
    if "power-cycle" in steps:
        return Finding("recovery", "", "good", "a modem that hangs is reset, and its power cut")
    missing = "no power step" if "reauthorize-usb" in steps else "neither a power step nor a USB step"
    return Finding(
        "recovery", "", "warning", f"{missing}: a modem may hang until somebody cuts its power by hand",
        "give the Ansible role modem its modem_power_hub or modem_power_gpio",
    )  # fmt: skip
