"""The agent's own doctor: looks now and then, without the camera, and tells its verdict every 30 s."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.config import Settings
from agent.doctor.examination import Examination
from agent.doctor.report import Finding, Report
from agent.doctor.surroundings import checks, outside
from agent.model.health import MAX_FAULTS, Health, HealthFault
from agent.model.signal import IceServer
from agent.model.text import clip

log = logging.getLogger(__name__)

SETTLE_S = 5.0
"""After a start, or after a change of addresses: the first seconds belong to the viewers."""
INTERVAL_S = 30.0
RENEW_S, RENEW_FAULTY_S = 3600.0, 120.0
"""What was found good is looked at again after this, and what was not."""


class NoProgress:
    """Nobody looks on."""

    def started(self, check: str, subject: str) -> None:
        """See `agent.doctor.visit.Progress`."""

    def ended(self, finding: Finding) -> None:
        """See `agent.doctor.visit.Progress`."""


class HealthReporter:
    """Publishes the verdict for ever; visits anew now and then, and when there is a reason."""

    def __init__(
        self,
        visit: Callable[[tuple[IceServer, ...]], Awaitable[Report]],
        publish: Callable[[Health], None],
        *,
        settle_s: float = SETTLE_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._visit = visit
        self._publish = publish
        self._settle_s, self._interval_s = settle_s, interval_s
        self._servers: tuple[IceServer, ...] = ()
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """Our addresses changed: what was found is of another network."""
        self._changed.set()

    def on_ice_servers(self, servers: tuple[IceServer, ...]) -> None:
        """Those of the newest offer: a device has none of its own."""
        if _urls(servers) != _urls(self._servers):
            self.look_again()
        self._servers = servers

    async def run(self) -> None:
        """Look and tell, until cancelled. A fault in here is logged: it must not take the video down."""
        while True:
            await asyncio.sleep(self._settle_s)
            try:
                await self._look_and_tell()
            except Exception:
                log.exception("the doctor failed")
                await asyncio.sleep(RENEW_S)

    async def _look_and_tell(self) -> None:
        """One visit, told again and again until it is old or something has changed."""
        self._changed.clear()
        health = to_health(await self._visit(self._servers))
        for fault in health.faults:
            log.warning(f"doctor: {fault.check}: {fault.message}: {fault.advice}")
        clock = asyncio.get_running_loop().time
        until_s = clock() + (RENEW_FAULTY_S if health.faults else RENEW_S)
        while clock() < until_s:
            self._publish(health)
            if await self._has_changed():
                return

    async def _has_changed(self) -> bool:
        """Wait for the next turn; True at once where there is a reason to look again."""
        try:
            async with asyncio.timeout(self._interval_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


def to_health(report: Report) -> Health:
    """The report's essence, within the message's bounds."""
    faults = tuple(
        HealthFault(finding.check, clip(finding.message), clip(finding.advice))
        for finding in report.findings
        if finding.verdict == "fault"
    )
    is_carrier = any(finding.details.get("is_carrier") is True for finding in report.findings)
    return Health(report.at, report.nat, is_carrier, faults[:MAX_FAULTS])


def make_health_reporter(settings: Settings, publish: Callable[[Health], None]) -> HealthReporter:
    """For the agent: it has the camera and the broker itself, and the portal's servers from each offer.

    Until the first one it asks the STUN servers of a portal that shares its settings file.
    """
    stun = tuple(IceServer(tuple(one.urls)) for one in settings.portal.ice_servers if not one.username)

    async def visit(servers: tuple[IceServer, ...]) -> Report:
        examination = Examination(outside(settings), NoProgress())
        return await examination.run(settings.device.id, list(checks(settings)), servers or stun)

    return HealthReporter(visit, publish)


def _urls(servers: tuple[IceServer, ...]) -> set[str]:
    return {url for server in servers for url in server.urls}
