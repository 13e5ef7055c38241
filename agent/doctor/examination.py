"""The whole visit: what waits for what, and what comes of it all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from agent.doctor.clock import PortalDate, Synchronisation
from agent.doctor.judge import (
    PathFacts,
    judge_clock,
    judge_ice,
    judge_names,
    judge_nat,
    judge_portal,
    judge_sign_in,
    no_servers,
)
from agent.doctor.names import is_name
from agent.doctor.portal import PortalVisit
from agent.doctor.report import Finding, Report, Verdict, make_report
from agent.doctor.visit import Check, Progress, T, Visit
from agent.errors import PathError
from agent.model.signal import IceServer
from agent.model.tasks import TaskGroup
from agent.rtc.interfaces import LocalAddress
from agent.rtc.nat import Address, Behaviour
from agent.rtc.reach import Reached, Target

NAMES_S, PORTAL_S, ICE_S, NAT_S, CLOCK_S = 4.0, 5.0, 6.0, 6.5, 7.0
LONGEST_S = NAMES_S + PORTAL_S + NAMES_S + max(ICE_S, NAT_S, CLOCK_S)
"""The portal's name, the portal, its servers' names, and what they are asked: one after the other."""


@dataclass(frozen=True, slots=True)
class Outside:
    """How the rest of the world is asked; each raises PinholeError where it fails."""

    look_up: Callable[[str], Awaitable[tuple[str, ...]]]
    synchronisation: Callable[[], Awaitable[Synchronisation]]
    addresses: Callable[[], tuple[LocalAddress, ...]]
    visit_portal: Callable[[], Awaitable[PortalVisit]] | None
    """None where nobody said where it is."""
    ice_servers: Callable[[], Awaitable[tuple[IceServer, ...]]] | None
    """What the portal gives to who is signed in; None where nobody can."""
    targets: Callable[[tuple[IceServer, ...]], Sequence[Target]]
    reach: Callable[[Target], Awaitable[Reached]]
    probe_nat: Callable[[Sequence[Address]], Awaitable[Behaviour]]


class Examination:
    """One visit."""

    def __init__(self, outside: Outside, progress: Progress, *, portal_url: str = "") -> None:
        self._outside = outside
        self._visit = Visit(progress)
        self._portal_url = portal_url
        self._names: dict[str, asyncio.Task[tuple[str, ...] | None]] = {}
        self._group = TaskGroup()

    async def run(self, device: str, checks: Sequence[Check[Any]], servers: tuple[IceServer, ...]) -> Report:
        """All checks at once, but what needs the portal's ICE servers after it.

        `servers` are asked where no portal names any. Ends within 20 s where each check keeps its bound.
        """
        at, started_s = time.time(), time.monotonic()
        async with self._group:
            for check in checks:
                self._spawn(self._check(check))
            self._spawn(self._see_outside(servers))
        duration_ms = (time.monotonic() - started_s) * 1000
        return make_report(device, tuple(self._visit.findings), at, duration_ms)

    def note(self, finding: Finding) -> None:
        """What was known before."""
        self._visit.note(finding)

    async def _see_outside(self, servers: tuple[IceServer, ...]) -> None:
        given = self._spawn(self._sign_in())
        portal = await self._see_portal()
        self._spawn(self._see_clock(portal.date if portal else None))
        from_portal = await given
        targets = self._outside.targets(servers if from_portal is None else from_portal)
        await self._see_path(targets, is_portals_word=from_portal is not None)

    async def _see_clock(self, date: PortalDate | None) -> None:
        ask, judge = self._outside.synchronisation, partial(judge_clock, date=date)
        await self._check(Check("clock", "", CLOCK_S, ask, judge, "see `timedatectl`", "warning"))

    async def _see_portal(self) -> PortalVisit | None:
        url, ask = self._portal_url, self._outside.visit_portal
        if ask is None:
            return None
        advice = "check the URL, and that the portal runs"
        judge = partial(judge_portal, url)
        return await self._check(Check("portal", url, PORTAL_S, ask, judge, advice, "warning", _host(url)))

    async def _sign_in(self) -> tuple[IceServer, ...] | None:
        url, ask = self._portal_url, self._outside.ice_servers
        if ask is None:
            return None
        advice = "check --user and --password-file, and that the portal runs"
        return await self._check(
            Check("portal", "sign-in", PORTAL_S, ask, judge_sign_in, advice, "warning", _host(url))
        )

    async def _see_path(self, targets: Sequence[Target], *, is_portals_word: bool) -> None:
        """Every ICE server, and the NAT that shows on the way to them."""
        if not targets:
            self.note(no_servers(is_portals_word=is_portals_word))
            return
        reaching = {self._spawn(self._reach(target)): target for target in targets}

        async def ask() -> PathFacts:
            behaviour = await self._outside.probe_nat(await self._stun_addresses(targets))
            await asyncio.wait(reaching)  # and not gather, which would cancel them with us
            relays = [t.transport for task, t in reaching.items() if t.is_relay and task.result()]
            answered = {target.host for task, target in reaching.items() if task.result()}
            over_udp = [target for target in targets if target.transport == "udp"]
            hosts = {target.host: target.url for target in over_udp}  # of STUN and TURN at one host the last
            silent = () if answered.intersection(hosts) else tuple(hosts.values())
            return PathFacts(behaviour, self._outside.addresses(), tuple(relays), silent)

        await asyncio.gather(*(self._known(target.host) for target in targets))
        advice = "see what is said of the network and the ICE servers"
        await self._check(Check("nat", "", NAT_S, ask, judge_nat, advice, "warning"))

    async def _reach(self, target: Target) -> Reached | None:
        advice = "see that it runs, that its port is open on the way, and that the portal has its secret"
        ask, judge = partial(self._outside.reach, target), partial(judge_ice, target)
        return await self._check(Check("ice", target.url, ICE_S, ask, judge, advice, "warning", target.host))

    async def _stun_addresses(self, targets: Sequence[Target]) -> list[Address]:
        """Every UDP port that answers bindings; TURN servers do too. IPv4 where there is any."""
        found = [
            (ip, target.port)
            for target in targets
            if target.transport == "udp"
            for ip in await self._known(target.host) or ()
        ]
        if not found:
            raise PathError("not known: there is no STUN server to ask over UDP")
        return [address for address in found if ":" not in address[0]] or found

    async def _check(self, check: Check[T]) -> T | None:
        """The check's facts; None where it failed, or where its host is unknown and nothing was tried."""
        if check.host and await self._known(check.host, check.failure) is None:
            words, advice = f"not tried: the name {check.host} is unknown", "see what is said of the name"
            self.note(Finding(check.name, check.subject, check.failure, words, advice))
            return None
        return await self._visit.check(check)

    async def _known(self, host: str, failure: Verdict = "warning") -> tuple[str, ...] | None:
        """A host's addresses, None where its name is unknown; each name is looked up once."""
        if not is_name(host):
            return (host,)
        if host not in self._names:
            advice = "check the name, and this machine's name servers (/etc/resolv.conf)"
            ask, judge = partial(self._outside.look_up, host), partial(judge_names, host)
            check = Check("names", host, NAMES_S, ask, judge, advice, failure)
            self._names[host] = self._spawn(self._visit.check(check))
        return await asyncio.shield(self._names[host])

    def _spawn(self, body: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._group.create_task(body, name="doctor")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
