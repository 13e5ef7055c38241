"""The agent's own doctor: when it looks, when it tells, and what."""

import asyncio

import pytest

from agent.doctor import health as health_module
from agent.doctor.health import HealthReporter, to_health
from agent.doctor.report import Finding, make_report
from agent.model.signal import IceServer
from agent.signaling.messages import encode, parse_health

STUN = (IceServer(("stun:s.example",)),)
FAULT = Finding("clock", "", "fault", "9 s behind", "set it")


def report(*findings):
    return make_report("cam", findings, 1000.0, 5.0)


def test_the_essence_of_a_report():
    nat = Finding("nat", "", "warning", "…", "…", details={"kind": "symmetric", "is_carrier": True})
    health = to_health(report(nat, FAULT, Finding("board", "", "good", "Pi 4")))
    assert (health.nat, health.is_carrier) == ("symmetric", True)
    assert [(fault.check, fault.message, fault.advice) for fault in health.faults] == [
        ("clock", "9 s behind", "set it")
    ]


def test_whatever_was_found_fits_the_message():
    health = to_health(report(*[Finding("ice", "", "fault", "é\ud800" * 1000, "x" * 2000)] * 40))
    assert parse_health(encode(health)).faults


class World:
    """A reporter whose visits and messages are counted."""

    def __init__(self, **pace):
        self.visits = []
        self.told = []
        self.failures = []
        self.stirred = asyncio.Event()
        pace = {"settle_s": 0, "interval_s": 0} | pace
        self.reporter = HealthReporter(self._visit, self._tell, **pace)

    async def _visit(self, servers):
        if self.failures:
            raise self.failures.pop()
        self.visits.append(servers)
        return report(FAULT)

    def _tell(self, health):
        self.told.append(health)
        self.stirred.set()

    async def until(self, condition):
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(self.reporter.run())
            await self.stirred.wait()
            while not condition():
                self.stirred.clear()
                await self.stirred.wait()
            task.cancel()


async def test_it_looks_once_and_tells_again_and_again():
    world = World()
    await world.until(lambda: len(world.told) >= 5)
    assert len(world.visits) == 1
    assert len({id(health) for health in world.told}) == 1


async def test_it_looks_again_when_told_that_the_network_changed():
    world = World(interval_s=3600)

    def looked_twice():
        if len(world.visits) == 1:
            world.reporter.look_again()
        return len(world.visits) >= 2

    await world.until(looked_twice)
    assert len(world.told) == 2, "the old verdict was not told again"


async def test_other_ice_servers_are_asked_without_waiting():
    world = World(interval_s=3600)

    def asked_them():
        world.reporter.on_ice_servers(STUN)
        return STUN in world.visits

    await world.until(asked_them)
    assert world.visits == [(), STUN]


async def test_a_fault_of_its_own_is_survived(monkeypatch):
    monkeypatch.setattr(health_module, "RENEW_S", 0)
    world = World()
    world.failures = [ZeroDivisionError(), OSError()]
    await world.until(lambda: world.told)
    assert world.failures == []


async def test_new_credentials_are_no_news():
    world = World()

    def told_often():
        world.reporter.on_ice_servers((IceServer(("stun:s.example",), f"{len(world.told)}:u", "p"),))
        return len(world.told) >= 5

    world.reporter.on_ice_servers(STUN)
    await world.until(told_often)
    assert len(world.visits) == 1


@pytest.mark.parametrize("servers", [(), STUN])
async def test_it_asks_what_the_newest_offer_named(servers):
    world = World()
    world.reporter.on_ice_servers(servers)
    await world.until(lambda: world.told)
    assert world.visits[0] == servers
