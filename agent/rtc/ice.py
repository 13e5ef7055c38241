"""ICE (RFC 8445) with trickle both ways (RFC 8838), on aioice's `Connection`.

Added to it: several STUN and TURN servers, all tried at once; candidates reported as they come; a filter for
interfaces; late nominations of a better pair; consent that tolerates long round trips; a bounded close.
"""

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import aioice
from aioice import ice, stun
from aioice.candidate import Candidate, candidate_priority

from agent.model.signal import IceServer
from agent.model.tasks import TaskGroup
from agent.rtc import seams as _seams  # noqa: F401  checks, at import, every private name used below
from agent.rtc.burst import BurstSocket, SendBurst
from agent.rtc.ccfb import Ecn
from agent.rtc.interfaces import is_inward
from agent.rtc.pool import Take
from agent.rtc.refusal import SERVER_FAULTS, server_fault
from agent.rtc.relay import MAX_UNSENT_BYTES, Address, RelayTransport, relayed_candidate
from agent.rtc.servers import (
    StunServer,
    TurnServer,
    parse_ice_servers,
    reflexive_candidate,
    reflexive_servers,
)
from agent.rtc.sockets import IceSocket, adopt, open_socket

log = logging.getLogger(__name__)

GATHER_TIMEOUT_S = 10.0
"""A server that has not answered by then is given up."""
CONSENT_LIFETIME_S = 30.0  # RFC 7675 section 5.1
CONSENT_INTERVAL_S = 5.0
CONSENT_RETRANSMISSIONS = 2
"""0.5 + 1 + 2 s: a check survives a round trip of 3.5 s; aioice's own gives up after 0.5 s."""
MAX_REMOTE_CANDIDATES = 64
MAX_WAITING_DATAGRAMS = 256
"""What comes in while nobody reads: before DTLS, and during a restart."""
SPARE_PACE_S = 0.05  # between two checks of pairs that are not in use: RFC 8445 section 14.2
SPARE_INTERVAL_S = 15.0
"""How often a spare pair is checked: carrier NATs forget a silent one after 30 s."""
MAX_SPARES = 24


@dataclass(frozen=True, slots=True)
class Path:
    """The pair in use: candidate types as in RFC 8445, and how we reach our relay where there is one."""

    local: str
    remote: str
    relay: str = ""


class IceConnection(aioice.Connection):
    """One viewer's ICE agent, controlled.

    `on_candidate` is called with `candidate:…` for each local candidate that is found after the answer,
    and with an empty string at the end. `on_server_error` gets a server's URL and what is wrong with it.
    `on_srtp` gets SRTP and SRTCP packets as they come, which `recv` then does not return.
    """

    def __init__(
        self,
        servers: Sequence[IceServer],
        *,
        relay_only: bool,
        on_candidate: Callable[[str], None],
        on_server_error: Callable[[str, str], None],
        on_srtp: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        policy = ice.TransportPolicy.RELAY if relay_only else ice.TransportPolicy.ALL
        super().__init__(ice_controlling=False, transport_policy=policy)
        self._relay_only = relay_only
        self._stuns, self._turns = reflexive_servers(servers), parse_ice_servers(servers)[1]
        self._on_candidate = on_candidate
        self._on_server_error = on_server_error
        self._on_srtp = on_srtp
        self.forbidden: dict[str, str] = {}
        """By a server's URL the last peer that it does not relay to, in words: often one of many."""
        self._relays: dict[ice.StunProtocol, TurnServer] = {}
        self._triggered: set[ice.CandidatePair] = set()
        self._bursts: dict[Any, BurstSocket] = {}
        self._known: set[Address] = set()
        self._ways: dict[tuple[Any, Address, Ecn], SendBurst] = {}
        self._pairs_changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._close_task: asyncio.Task[None] | None = None

    def is_known(self, host: str, port: int) -> bool:
        """Whether this is an address of the viewer's: signaled, or learnt from a check with our password."""
        if (host, port) in self._known:  # candidates are never taken back
            return True
        is_known = any(
            known._network_host == host and known.port == port  # noqa: SLF001
            for known in self._remote_candidates
        )
        if is_known:
            self._known.add((host, port))
        return is_known

    def data_received(self, data: bytes, component: int) -> None:
        """Keep a datagram of the viewer's until it is read; nobody is owed more than a few.

        SRTP goes straight on: reports come sixteen times a second of each viewer, and the way through a queue
        and a task costs as much as reading one.
        """
        if 127 < data[0] < 192:  # RFC 7983 section 7
            self._on_srtp(data)
        elif self._queue.qsize() < MAX_WAITING_DATAGRAMS:
            super().data_received(data, component)

    async def gather_host(self, addresses: Sequence[str], take: Take) -> tuple[str, ...]:
        """A socket for each address, new or from the pool; the candidates that go into the answer."""
        self._local_candidates_start = True
        if not self._relay_only:
            pooled = {address: found for address in addresses if (found := take(address))}
            for index, address in enumerate(addresses):
                one = pooled.get(address)
                transport = one.transport if one else await open_socket(address)
                if transport is None:
                    continue
                protocol = adopt(transport, self)
                # RFC 8445 section 5.1.2.1: unique preferences
                protocol.local_candidate.priority = candidate_priority(1, "host", 65535 - index)
                self._protocols.append(protocol)
                self._local_candidates.append(protocol.local_candidate)
            for host in list(self._local_candidates):
                if one := pooled.get(host.host):
                    self._found(reflexive_candidate(host, one.mapped))
        self._local_candidates_end = True  # connect() may start; more come by trickle
        return tuple(candidate.to_sdp() for candidate in self._local_candidates)

    def gather_servers(self) -> None:
        """Ask every STUN and TURN server at once, in the background."""
        self._spawn(self._gather_servers(), "gather")

    def add_remote(self, candidate: str) -> None:
        """Take a `candidate:…` line of the viewer's; what we cannot use is passed over.

        End-of-candidates is not passed on: our own side may still gather, and aioice would then give up.
        The connect deadline bounds the wait instead.
        """
        if len(self._remote_candidates) + len(self._tasks) >= MAX_REMOTE_CANDIDATES:
            return
        try:
            parsed = Candidate.from_sdp(candidate.removeprefix("candidate:"))
        except ValueError:
            log.debug("viewer's candidate is malformed: %.100r", candidate)
            return
        if parsed.transport.lower() == "udp" and parsed.component == 1 and 0 < parsed.port < 65536:
            # A task, because an mDNS name (`….local`) takes up to a second to resolve or to fail.
            self._spawn(self._add_remote(parsed), "remote candidate")

    def _pair_remote_candidate(self, remote_candidate: Candidate) -> None:
        """Nobody's word has us knock at doors of our own machine: who is in here is checked once it asks."""
        own = [candidate.host for candidate in self._local_candidates if candidate.type == "host"]
        if not is_inward(remote_candidate._network_host, own):  # noqa: SLF001
            super()._pair_remote_candidate(remote_candidate)
            return
        for relay in self._relays:  # a TURN server judges for itself whom it relays to
            can_pair = relay.local_candidate.can_pair_with(remote_candidate)
            if can_pair and not self._find_pair(relay, remote_candidate):
                self._check_list.append(ice.CandidatePair(relay, remote_candidate))

    async def connect(self) -> None:
        """Find a working pair and start consent checks; waits until cancelled where there is none."""
        await super().connect()
        # aioice cancels the checks still under way and leaves them IN_PROGRESS for ever. Frozen again, they
        # are checked when the browser nominates one of them later: that is how a better pair is adopted.
        for pair in self._check_list:
            if pair.state == ice.CandidatePair.State.IN_PROGRESS:
                pair.task, pair.state = None, ice.CandidatePair.State.FROZEN
        self._spawn(self._tend_spares(), "spare pairs")

    def check_incoming(
        self, message: stun.Message, addr: tuple[str, int], protocol: ice.StunProtocol
    ) -> None:
        """Answer a check with a check, also where one is under way (RFC 8445 section 7.3.1.4).

        The one under way may have died at the viewer's NAT, which this incoming check has just opened; aioice
        would wait for its retransmission. Once a pair, since a new request forgets the old one's response.
        """
        if "PRIORITY" not in message.attributes:  # RFC 8445 section 7.1.1: a check has one
            return
        if len(self._remote_candidates) >= MAX_REMOTE_CANDIDATES and not self.is_known(*addr):
            return
        super().check_incoming(message, addr, protocol)
        for pair in self._check_list:
            if pair.protocol is protocol and pair.remote_addr == addr and pair not in self._triggered:
                self._triggered.add(pair)
                if pair.state == ice.CandidatePair.State.IN_PROGRESS and pair.task is not None:
                    pair.task.cancel()
                    pair.task = asyncio.create_task(self.check_start(pair), name="triggered check")

    def check_complete(self, pair: ice.CandidatePair) -> None:
        """Keep the pairs that aioice drops at the first nomination: a better one may be among them."""
        before = list(self._check_list)
        super().check_complete(pair)
        for dropped in (other for other in before if other not in self._check_list):
            dropped.task, dropped.state = None, ice.CandidatePair.State.FROZEN
            self._check_list.append(dropped)
        self.sort_check_list()

    async def query_consent(self) -> None:
        """Consent freshness (RFC 7675) on the selected pair, patient with slow links."""
        confirmed = time.monotonic()
        while time.monotonic() - confirmed < CONSENT_LIFETIME_S:
            await asyncio.sleep(CONSENT_INTERVAL_S * random.uniform(0.8, 1.2))  # noqa: S311
            for pair in list(self._nominated.values()):
                if await self._is_answered(pair):
                    confirmed = time.monotonic()
        log.info("consent expired: the viewer has not answered for %.0f s", CONSENT_LIFETIME_S)
        self._query_consent_task = None
        await self.close()

    def path(self) -> Path | None:
        """The pair in use, None before there is one."""
        pair = self._nominated.get(1)
        if pair is None:
            return None
        relay = self._relays.get(pair.protocol)
        return Path(pair.local_candidate.type, pair.remote_candidate.type, relay.url if relay else "")

    def direct_path(self) -> Hashable | None:
        """What tells the pair in use from others; None without one, and where a TURN server is in it."""
        pair = self._nominated.get(1)
        if pair is None or "relay" in (pair.local_candidate.type, pair.remote_candidate.type):
            return None
        return pair.local_candidate.host, pair.local_candidate.port, pair.remote_addr

    def route(self, ecn: Ecn = Ecn.NOT_ECT) -> SendBurst | None:
        """A function that sends a burst of datagrams to the viewer now; None without a pair, or if stalled.

        Look it up for each burst: browsers change the pair while video flows. A relay takes no ECN field.
        """
        pair = self._nominated.get(1)
        if pair is None:
            return None
        transport: Any = pair.protocol.transport  # typeshed gives a datagram transport no buffer size
        address = pair.remote_addr
        if isinstance(transport, RelayTransport):
            return None if transport.is_stalled else transport.route(address)
        if transport.is_closing() or transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            return None
        way = self._ways.get((transport, address, ecn))
        if way is None:
            burst = self._bursts.get(transport)
            if burst is None:
                burst = self._bursts[transport] = BurstSocket(transport)
            send = burst.send
            way = self._ways[transport, address, ecn] = lambda datagrams: send(datagrams, address, ecn)
        return way

    async def close(self) -> None:
        """Release sockets and allocations within about a second, whatever the servers do. Never raises."""
        if self._close_task is None:
            self._closing = True
            self._close_task = asyncio.create_task(self._close_all(), name="ice close")
        # Shielded: aioice's close hangs for ever when an earlier call was cancelled half-way.
        await asyncio.shield(self._close_task)

    # ---- pairs that are not in use

    async def _tend_spares(self) -> None:
        """Go on checking after the first nomination, and keep what works open for a fail-over.

        The browser controls: it nominates another pair when it likes, and media follows.
        """
        while True:
            self._pairs_changed.clear()
            for pair in self._check_list[:MAX_SPARES]:
                if pair is self._nominated.get(1) or pair.task is not None:
                    continue
                if pair.state == ice.CandidatePair.State.SUCCEEDED:
                    pair.task = asyncio.create_task(self._refresh(pair), name="spare pair")
                elif pair.state != ice.CandidatePair.State.FAILED:
                    pair.task = asyncio.create_task(self.check_start(pair), name="late check")
                await asyncio.sleep(SPARE_PACE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SPARE_INTERVAL_S):
                    await self._pairs_changed.wait()

    async def _refresh(self, pair: ice.CandidatePair) -> None:
        try:
            if not await self._is_answered(pair):
                pair.state = ice.CandidatePair.State.FAILED  # until the viewer checks it again
        finally:
            pair.task = None

    async def _is_answered(self, pair: ice.CandidatePair) -> bool:
        """Whether the viewer answers a check on this pair that nominates nothing; patient with slow links."""
        assert self.remote_password is not None
        try:
            await pair.protocol.request(
                self.build_request(pair, nominate=False),
                pair.remote_addr,
                integrity_key=self.remote_password.encode(),
                retransmissions=CONSENT_RETRANSMISSIONS,
            )
        except stun.TransactionError:
            return False
        return True

    # ---- gathering

    async def _gather_servers(self) -> None:
        known = {(c.related_address, c.related_port) for c in self._local_candidates if c.type == "srflx"}
        hosts = [p for p in self._protocols if p.local_candidate.type == "host"]
        bases = [
            p
            for p in hosts
            if "." in p.local_candidate.host and (p.local_candidate.host, p.local_candidate.port) not in known
        ]
        jobs = [self._gather_one(s.url, self._reflexive(base, s)) for s in self._stuns for base in bases]
        # The cheapest way first, of equals the one that is named first: so the portal spreads load.
        turns = sorted(self._turns, key=lambda server: server.rank)
        jobs += [self._gather_one(s.url, self._relay(s, rank)) for rank, s in enumerate(turns)]
        async with TaskGroup() as group:
            for job in jobs:
                group.create_task(job, name="ice server")
        self._on_candidate("")

    async def _gather_one(self, url: str, job: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(GATHER_TIMEOUT_S):
                await job
        except TimeoutError:
            self._on_server_error(url, f"no answer within {GATHER_TIMEOUT_S:.0f} s")
        except SERVER_FAULTS as exc:
            self._on_server_error(url, server_fault(exc))

    async def _reflexive(self, base: ice.StunProtocol, server: StunServer) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            server.host, server.port, family=socket.AF_INET, type=socket.SOCK_DGRAM
        )
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        response, _ = await base.request(request, (str(found[0][4][0]), server.port))
        self._found(reflexive_candidate(base.local_candidate, response.attributes["XOR-MAPPED-ADDRESS"]))

    async def _relay(self, server: TurnServer, rank: int) -> None:
        protocol = IceSocket(self)
        candidate = await relayed_candidate(
            server,
            protocol,
            rank=rank,
            hide_related=self._relay_only,
            on_forbidden=lambda words: self.forbidden.update({server.url: words}),
        )
        self._protocols.append(protocol)
        self._relays[protocol] = server
        for remote in self._remote_candidates:
            self._pair_remote_candidate(remote)
        self.sort_check_list()
        self._pairs_changed.set()
        self._found(candidate)

    def _found(self, candidate: Candidate) -> None:
        same = (c for c in self._local_candidates if (c.host, c.port) == (candidate.host, candidate.port))
        if self._closing or next(same, None):  # without a NAT the reflexive address is the host's own
            return
        self._local_candidates.append(candidate)
        if self._local_candidates_end:  # else it goes into the answer
            self._on_candidate("candidate:" + candidate.to_sdp())

    async def _add_remote(self, candidate: Candidate) -> None:
        try:
            await self.add_remote_candidate(candidate)
            self._pairs_changed.set()
        except OSError as exc:  # no multicast here: mDNS names stay unknown, the other candidates serve
            log.debug("viewer's candidate %s cannot be resolved: %s", candidate.host, exc)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close_all(self) -> None:
        self._queue.put_nowait(None)  # who reads need not wait for a goodbye to a dead server
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        relays = [protocol.transport for protocol in self._relays]
        await asyncio.gather(*(relay.delete() for relay in relays if isinstance(relay, RelayTransport)))
        for burst in self._bursts.values():
            burst.close()
        await super().close()
