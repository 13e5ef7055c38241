"""What each verb of an SMS does here, and the words that come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.errors import MessageError
from agent.model.sections import PlanSection
from agent.model.sms import Verb
from agent.serial.modem.sms import Act
from agent.serial.modem.status import Modem

MB = 1_000_000


class Allowance(Protocol):
    """The data plan."""

    def section(self) -> PlanSection: ...
    def refill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Acts:
    """One device's; every callable is asked when an SMS wants it."""

    version: str
    modem: Modem
    trouble: Callable[[], str]
    """What recovery has to say."""
    allowance: Callable[[], Allowance | None]
    """None where the settings have no data plan."""
    reboot: Callable[[], None]
    """After the answer was sent. Raises MessageError."""
    set_apn: Callable[[str], None]
    """Raises ModemError."""

    def by_verb(self) -> Mapping[Verb, Act]:
        """For the lifeline."""
        return {"status": self._status, "reboot": self._reboot, "apn": self._apn, "plan": self._plan}

    def _status(self, _argument: str) -> str:
        status, plan = self.modem.status, self.allowance()
        power_dbm = status.rsrp_dbm if status.rsrp_dbm is not None else status.rssi_dbm
        said = [
            self.version,
            status.state,
            " ".join(filter(None, (status.technology, status.operator))),
            "" if power_dbm is None else f"{power_dbm:.0f} dBm",
            _used(plan.section()) if plan else "",
            self.trouble(),
        ]
        return "; ".join(filter(None, said))

    def _reboot(self, _argument: str) -> str:
        self.reboot()
        return "reboots within a minute"

    def _apn(self, argument: str) -> str:
        self.set_apn(argument)
        return f"connects by {argument}"

    def _plan(self, _argument: str) -> str:
        plan = self.allowance()
        if plan is None:
            raise MessageError("no-plan", "its settings have no data plan")
        plan.refill()
        return _used(plan.section())


def _used(plan: PlanSection) -> str:
    return f"{plan.used_bytes // MB} of {plan.cap_bytes // MB} MB used"
