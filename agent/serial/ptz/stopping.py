"""How often a head is told to stop, and when it has been told enough. Pure."""

from dataclasses import dataclass

from agent.serial.ptz.driver import Driver

STOPS = 3
STOP_GAP_S = 0.05
UNTAKEN_GAP_S, UNTAKEN_STOPS = 0.15, 8
"""A head that confirms, and has not: so many in all before other things may be tried."""
LATER_GAPS_S = (0.2, 0.7, 2.0)
"""One that confirms nothing gets these as well, where nothing else was wanted meanwhile."""
PATIENT_GAP_S, PATIENT_STOPS = 1.0, 30


@dataclass(slots=True)
class Stopping:
    """Stops that are under way."""

    due_s: float
    """When the next one goes out."""
    count: int = 0

    def is_first(self, driver: Driver) -> bool:
        """Whether nothing else may go out yet."""
        is_untaken = driver.confirms and not driver.is_stopped and not driver.is_silent
        return self.count < (UNTAKEN_STOPS if is_untaken else STOPS)

    def plan(self, driver: Driver, now_s: float) -> bool:
        """One went out; whether there is another one to come."""
        self.count += 1
        gap_s = self._gap_s(driver)
        self.due_s = now_s + (gap_s or 0.0)
        return gap_s is not None

    def _gap_s(self, driver: Driver) -> float | None:
        beyond = self.count - STOPS
        if beyond < 0:
            return STOP_GAP_S
        if not driver.confirms:
            return LATER_GAPS_S[beyond] if beyond < len(LATER_GAPS_S) else None
        if driver.is_stopped or self.count >= PATIENT_STOPS:
            return None
        return UNTAKEN_GAP_S if self.count < UNTAKEN_STOPS else PATIENT_GAP_S
