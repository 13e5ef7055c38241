"""What happens to a mobile link, one thing at a time, and how long the picture is away."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from netlab.flows import cut_busiest_flow
from netlab.frames import Glance, forget, look, watch_frames, watch_peers
from netlab.internet import Internet, internet
from netlab.namespaces import LabError, Process
from netlab.plan import Plan
from netlab.servers import Service, restart, start_service
from netlab.shape import Shape
from netlab.viewer import play, statistics, viewing
from playwright.async_api import Page

LINK = {"uplink": Shape(delay_ms=30, rate_bps=4e6), "downlink": Shape(delay_ms=30)}
"""A plain LTE link."""
WARM_UP_S = 3.0
WATCH_S = 4.0
"""At least this long, since a freeze may begin late."""
STEADY_S = 2.0
"""Pictures for so long, and it is over."""
REST_S = 6.0
"""Between two rounds: what a restart leaves behind must not be charged to the next one."""
SERVER_AWAY_S = 5.0
BETWEEN_SERVERS_S = 270.0
"""Three deaths in a session of ten minutes."""
CREDENTIAL_S = 60
OUTLIVED_S = 150.0
"""Two credentials and a half."""
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a scenario acts; `round` counts from 0."""

    lab: Internet
    service: Service
    round: int


Act = Callable[[Stage], Awaitable[None]]
"""Returns when what it broke is whole again."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the picture may cost, in seconds."""

    frozen_s: float | None = None
    back_s: float | None = None
    """From when the link, or the server, is back."""
    informed_s: float = 10.0
    """Until the dashboard reaches the portal, and the portal the broker."""
    same_dtls: bool = True

    def relaxed(self, factor: float) -> "Goal":
        """Return the same for a busy machine."""
        frozen_s, back_s = (
            None if value is None else value * factor for value in (self.frozen_s, self.back_s)
        )
        return Goal(frozen_s, back_s, self.informed_s * factor, self.same_dtls)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that goes wrong; `rounds` is how often it should be seen to heal."""

    name: str
    what: str
    act: Act
    goal: Goal
    rounds: int = 1
    viewer_nat: str = "port-restricted"
    device_nat: str = "port-restricted"
    patience_s: float = 40.0
    is_long: bool = False
    is_once: bool = False
    """A lab can do it once only."""
    rest_s: float = REST_S
    ttl_s: int = 3600
    """How long a TURN credential lives."""
    later_goals: tuple[Goal, ...] = ()
    """Of the second round and those that follow, where they are others."""

    def goal_of(self, number: int) -> Goal:
        """The goal of one round, counted from 0."""
        goals = (self.goal, *self.later_goals)
        return goals[number % len(goals)]

    @property
    def plan(self) -> Plan:
        """The network it happens in."""
        return Plan(self.viewer_nat, self.device_nat, **LINK)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round cost. `back_s` and `informed_s` are None where it never came back."""

    frozen_s: float
    back_s: float | None
    informed_s: float | None
    same_dtls: bool
    phases: tuple[str, ...]
    """What the dashboard said, in order."""

    def faults(self, goal: Goal) -> list[str]:
        """What is worse than the goal."""
        if self.back_s is None:
            return [f"no picture any more: {self.phases[-1]}"]
        found = []
        if goal.frozen_s is not None and self.frozen_s > goal.frozen_s:
            found.append(f"frozen for {self.frozen_s:.1f} s, not {goal.frozen_s:.1f}")
        if goal.back_s is not None and self.back_s > goal.back_s:
            found.append(f"back after {self.back_s:.1f} s, not {goal.back_s:.1f}")
        if self.informed_s is None or self.informed_s > goal.informed_s:
            found.append("the dashboard does not reach the portal, or the portal the broker")
        if goal.same_dtls and not self.same_dtls:
            found.append("a new DTLS session, where ICE restart can do")
        return found


@dataclass
class Result:
    """A scenario and its rounds."""

    scenario: Scenario
    rounds: list[Round] = field(default_factory=list)
    path: str = ""
    """At the end, as the browser sees it."""
    error: str = ""
    logs: dict[str, str] = field(default_factory=dict)
    """What each program said."""

    def faults(self, factor: float = 1.0) -> list[str]:
        """What is worse than `factor` times the goal; empty where all is well."""
        if self.error:
            return [self.error.splitlines()[0]]
        return [
            fault
            for number, one in enumerate(self.rounds)
            for fault in one.faults(self.scenario.goal_of(number).relaxed(factor))
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the logs, for machines."""
        goal = asdict(self.scenario.goal)
        rounds = [asdict(one) for one in self.rounds]
        return {
            "scenario": self.scenario.name, "what": self.scenario.what, "goal": goal, "rounds": rounds,
            "path": self.path, "error": self.error, "faults": self.faults(),
        }  # fmt: skip


async def run_scenario(
    scenario: Scenario, *, rounds: int = 1, on_round: Callable[[Round], None] = lambda _: None
) -> Result:
    """Build the network, play the camera, break it, watch. A LabError becomes part of the result."""
    result = Result(scenario)
    try:
        async with _playing(scenario) as (lab, service, page):
            for number in range(rounds):
                await asyncio.sleep(scenario.rest_s if number else WARM_UP_S)
                result.rounds.append(await _round(scenario, Stage(lab, service, number), page))
                on_round(result.rounds[-1])
            processes = (service.agent, service.portal, service.turn, service.broker)
            result.logs = {process.name: process.log() for process in processes}
            if result.rounds[-1].back_s is not None:
                said = await statistics(page)
                result.path = f"{said['path']}/{said.get('protocol', '?')}"
    except LabError as exc:
        result.error = str(exc)
    return result


@asynccontextmanager
async def _playing(scenario: Scenario) -> AsyncIterator[tuple[Internet, Service, Page]]:
    with internet(scenario.plan) as lab:
        service = start_service(lab, ttl_s=scenario.ttl_s)
        async with viewing(lab, service) as page:
            await watch_peers(page)
            await play(page)
            await watch_frames(page)
            yield lab, service, page


async def _round(scenario: Scenario, stage: Stage, page: Page) -> Round:
    await forget(page)
    acting = asyncio.create_task(_act(scenario, stage), name=scenario.name)
    phases: list[str] = []
    restored_s = informed_s = None
    try:
        while True:
            glance = await look(page, time.time())
            if glance.phase not in phases[-1:]:
                phases.append(glance.phase)
            if acting.done():
                restored_s = restored_s or acting.result()
                if not glance.is_informed:
                    informed_s = None
                elif informed_s is None:
                    informed_s = max(0.0, glance.now_s - restored_s)
                if _is_over(glance, restored_s, informed_s, scenario.patience_s):
                    break
            await asyncio.sleep(POLL_S)
    finally:
        acting.cancel()
    back_s = glance.back_s(restored_s)
    return Round(glance.frozen_s, back_s, informed_s, glance.is_same_dtls, tuple(phases))


async def _act(scenario: Scenario, stage: Stage) -> float:
    await scenario.act(stage)
    return time.time()


def _is_over(glance: Glance, restored_s: float, informed_s: float | None, patience_s: float) -> bool:
    since_s = glance.now_s - restored_s
    if since_s > patience_s:
        return True
    back_s = glance.back_s(restored_s)
    return since_s > WATCH_S and informed_s is not None and back_s is not None and since_s - back_s > STEADY_S


# ---- what goes wrong


def _outage(seconds: float) -> Act:
    async def act(stage: Stage) -> None:
        assert stage.lab.link is not None
        stage.lab.link.change(is_up=False)
        await asyncio.sleep(seconds)
        stage.lab.link.change(is_up=True)

    return act


def _move(stage: Stage, host: str, interface: str, net: str) -> None:
    """Give a host another address of its network, and the old one again in the next round."""
    old, new = (f"{net}.10", f"{net}.20") if stage.round % 2 == 0 else (f"{net}.20", f"{net}.10")
    run = stage.lab.spaces.run
    run(host, "ip", "address", "del", f"{old}/24", "dev", interface)
    run(host, "ip", "address", "add", f"{new}/24", "dev", interface)
    run(host, "ip", "route", "replace", "default", "via", f"{net}.1", "src", new)


async def _move_device(stage: Stage) -> None:
    _move(stage, "device", "wwan0", "192.168.8")


async def _move_viewer(stage: Stage) -> None:
    _move(stage, "viewer", "eth0", "192.168.1")


def _rebinding(router: str) -> Act:
    async def act(stage: Stage) -> None:
        stage.lab.rebind(router)

    return act


async def _cut_path(stage: Stage) -> None:
    await asyncio.to_thread(cut_busiest_flow, stage.lab)


def _death(choose: Callable[[Service], Process]) -> Act:
    async def act(stage: Stage) -> None:
        process = choose(stage.service)
        process.stop(signal.SIGKILL)
        await asyncio.sleep(SERVER_AWAY_S)
        await asyncio.to_thread(restart, process)

    return act


def _in_turn(*acts: Act) -> Act:
    async def act(stage: Stage) -> None:
        await acts[stage.round % len(acts)](stage)

    return act


async def _outlive_credentials(_stage: Stage) -> None:
    await asyncio.sleep(OUTLIVED_S)


ASKED = Goal(frozen_s=3.0)
"""One end knows that its network changed, and asks for a restart."""
UNTOLD = Goal(frozen_s=9.0)
"""Nobody is told: silence alone can say it."""
UNTOUCHED = Goal(frozen_s=0.5)
"""Media does not pass there."""
SCENARIOS = (
    Scenario("outage-5s", "the link is down for 5 s", _outage(5), Goal(back_s=1.5)),
    Scenario("outage-30s", "the link is down for 30 s", _outage(30), Goal(back_s=5, same_dtls=False)),
    Scenario(
        "outage-10min",
        "the link is down for 10 min",
        _outage(600),
        Goal(back_s=5, same_dtls=False),
        is_long=True,
    ),
    Scenario("device-address", "the device gets another address", _move_device, ASKED, rounds=3),
    Scenario("viewer-address", "the viewer gets another address", _move_viewer, ASKED, rounds=3),
    Scenario(
        "carrier-rebind",
        "the carrier's NAT gets another address",
        _rebinding("carrier"),
        UNTOLD,
        is_once=True,
    ),
    Scenario("home-rebind", "the home's NAT gets another address", _rebinding("home"), UNTOLD, is_once=True),
    Scenario("path-cut", "the flow in use is dropped, others pass", _cut_path, ASKED, rounds=3),
    Scenario("broker", "the broker is killed, back after 5 s", _death(lambda s: s.broker), UNTOUCHED),
    Scenario("portal", "the portal is killed, back after 5 s", _death(lambda s: s.portal), UNTOUCHED),
    Scenario(
        "turn",
        "TURN is killed under a relayed stream, back after 5 s",
        _death(lambda s: s.turn),
        Goal(back_s=5),
        device_nat="symmetric",
    ),
    Scenario(
        "servers",
        "broker, portal and TURN are killed in turn in ten minutes",
        _in_turn(_death(lambda s: s.broker), _death(lambda s: s.portal), _death(lambda s: s.turn)),
        UNTOUCHED,
        rounds=3,
        device_nat="symmetric",
        is_long=True,
        rest_s=BETWEEN_SERVERS_S,
        later_goals=(UNTOUCHED, Goal(back_s=5)),
    ),
    Scenario(
        "servers-at-once",
        "broker, portal and TURN are killed in turn in a minute",
        _in_turn(_death(lambda s: s.broker), _death(lambda s: s.portal), _death(lambda s: s.turn)),
        UNTOUCHED,
        rounds=3,
        device_nat="symmetric",
        later_goals=(UNTOUCHED, Goal(back_s=5)),
    ),
    Scenario(
        "credentials",
        "a relayed stream outlives its TURN credentials twice",
        _outlive_credentials,
        UNTOUCHED,
        device_nat="symmetric",
        is_long=True,
        ttl_s=CREDENTIAL_S,
    ),
)
