"""A modem, its USB port and its cell with what goes wrong in them. A state and a clock; no byte is sent."""

from dataclasses import dataclass

STEPS = ("renew-bearer", "cycle-radio", "reset-modem", "reauthorize-usb", "power-cycle", "reboot")
BACK_S = {
    "renew-bearer": (1, 8),
    "cycle-radio": (4, 18),
    "reset-modem": (25, 55),
    "reauthorize-usb": (8, 35),
    "power-cycle": (25, 60),
    "reboot": (40, 90),
}
"""From a step that cures to the path."""
NOTICE_S = 45.0
"""The MQTT link is found dead within one and a half keepalives."""
STATUS_S = 10.0
"""As often a back end asks the modem."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to fail."""

    name: str
    weight: float
    cure: str = ""
    """The first step that helps, and every stronger one does; empty where none can."""
    answers: str = "ok"
    """What steps of the back end come to: `ok`, `silence` (a time-out), `absent` (refused at once)."""
    hindrance: str = ""
    """Seen by the modem, and over by itself."""
    lasts_s: tuple[float, float] = (0, 0)
    """Where it is over by itself."""
    says_connected: bool = False
    """The modem says so meanwhile."""


KINDS = (
    Kind("a short gap", 0.08, lasts_s=(2, 28), says_connected=True),
    Kind("re-enumeration", 0.06, cure="renew-bearer", answers="absent", lasts_s=(5, 40)),
    Kind("bearer gone", 0.22, cure="renew-bearer"),
    Kind("stuck on a cell that is gone", 0.16, cure="cycle-radio", says_connected=True),
    Kind("a zombie that says OK", 0.08, cure="reset-modem", says_connected=True),
    Kind("silence", 0.06, cure="reauthorize-usb", answers="silence"),
    Kind("garbage", 0.04, cure="reauthorize-usb", answers="silence"),
    Kind("vanished", 0.07, cure="power-cycle", answers="absent"),
    Kind("a zombie until its power is cut", 0.02, cure="power-cycle", says_connected=True),
    Kind("silence until its power is cut", 0.04, cure="power-cycle", answers="silence"),
    Kind("the board's USB is dead", 0.01, cure="reboot", answers="absent"),
    Kind("no coverage", 0.08, hindrance="no-coverage", lasts_s=(20, 2 * 3600)),
    Kind("denied", 0.04, hindrance="denied", lasts_s=(20, 2 * 3600)),
    Kind("the SIM is gone", 0.02, hindrance="sim-missing", lasts_s=(600, 3 * 3600)),
    Kind("PIN or PUK", 0.02, hindrance="sim-locked", lasts_s=(600, 3 * 3600)),
)
PORTAL_IS_AWAY = Kind("the portal is away", 0.2, lasts_s=(60, 86_400), says_connected=True)
"""No fault of a modem: a second address answers meanwhile."""


class FaultyModem:
    """One fault after the other; real time is an argument."""

    def __init__(self, random, kinds=KINDS):
        self._random, self._kinds = random, kinds
        self.kind = None
        self._since_s = self._ends_s = 0.0
        self._noticed_s = 0.0
        self._cured_s = None

    def strike(self, now_s):
        """The next fault, by how often each comes."""
        self.kind = self._random.choices(self._kinds, [kind.weight for kind in self._kinds])[0]
        self._since_s, self._cured_s = now_s, None
        self._noticed_s = now_s + self._random.uniform(0, NOTICE_S)
        low_s, high_s = self.kind.lasts_s
        self._ends_s = now_s + self._random.uniform(low_s, high_s) if high_s else float("inf")

    def is_well(self, now_s):
        """There is a path."""
        ends_s = self._ends_s if self._cured_s is None else min(self._cured_s, self._ends_s)
        return self.kind is None or now_s >= ends_s

    def link_is_down(self, now_s):
        """As MQTT has noticed it."""
        return not self.is_well(now_s) and now_s >= self._noticed_s

    def says_connected(self, now_s):
        """What the modem takes itself for."""
        return self.is_well(now_s) or self.kind.says_connected

    def hindrance(self, now_s):
        """What is so."""
        return "" if self.is_well(now_s) else self.kind.hindrance

    def shown_hindrance(self, now_s):
        """What the back end last read."""
        read_s = now_s - now_s % STATUS_S
        return self.hindrance(read_s) if read_s >= self._since_s else ""

    def take(self, step, now_s):
        """How long the step takes, and whether it says that it was done."""
        strength = STEPS.index(step)
        if self.kind.answers == "absent" and strength < STEPS.index("reauthorize-usb"):
            return 0.1, False
        if self.kind.answers == "silence" and strength < STEPS.index("reauthorize-usb"):
            return 10.0, False
        took_s = {"renew-bearer": 3.0, "cycle-radio": 8.0, "reset-modem": 3.0, "power-cycle": 5.0}.get(
            step, 1.0
        )
        if self.kind.cure and strength >= STEPS.index(self.kind.cure) and self._cured_s is None:
            self._cured_s = now_s + took_s + self._random.uniform(*BACK_S[step])
        return took_s, True
