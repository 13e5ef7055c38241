"""A real portal on loopback, with a bus in memory instead of the broker."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fakes.bus import FakeBus

from agent.config import PortalSettings
from agent.portal.app import run_portal
from agent.portal.gateway import Gateway
from agent.portal.turn import IceServers

PASSWORD = "correct-horse-battery"


@dataclass
class PortalPart:
    """A running portal. `stop` ends it like a signal would."""

    url: str
    gateway: Gateway
    bus: FakeBus
    task: asyncio.Task

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])


@asynccontextmanager
async def portal(*, ice=None, gateway=None, bus=None, **settings):
    """Yield a portal whose broker is there; keywords go into PortalSettings."""
    bus = bus or FakeBus()
    gateway = gateway or Gateway(bus.send, ice or IceServers(), "1.2.3")
    gateway.on_broker(connected=True)
    ready = asyncio.get_running_loop().create_future()
    run = run_portal(PortalSettings(**({"port": 0} | settings)), PASSWORD, gateway, ready.set_result)
    task = asyncio.create_task(run, name="portal")
    await asyncio.wait([ready, task], timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    part = PortalPart(ready.result(), gateway, bus, task)
    try:
        yield part
    finally:
        await part.stop()
