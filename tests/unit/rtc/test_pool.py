"""The candidate pool: real sockets on loopback, and a STUN server that answers as told."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aioice import stun
from fakes.clock import LoopClock

from agent.model.signal import IceServer
from agent.rtc.ice import IceConnection
from agent.rtc.pool import CandidatePool

US = "127.0.0.1"
MAPPED = ("203.0.113.30", 40000)


class StunServer(asyncio.DatagramProtocol):
    def __init__(self):
        self.asked = 0
        self.answered = asyncio.Event()
        self.is_silent, self.other, self.mapped = False, None, MAPPED

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        request = stun.parse_message(data)
        self.asked += 1
        if self.is_silent:
            return
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = self.mapped
        if self.other:
            response.attributes["OTHER-ADDRESS"] = self.other
        self.transport.sendto(bytes(response), addr)
        self.answered.set()


@asynccontextmanager
async def serving(ip=US):
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(StunServer, local_addr=(ip, 0))
    yield protocol
    transport.close()


@pytest.fixture
async def server():
    async with serving() as protocol:
        yield protocol


@pytest.fixture
def servers(server):
    port = server.transport.get_extra_info("sockname")[1]
    return (IceServer((f"stun:{US}:{port}",)),)


@pytest.fixture
async def pool():
    pool = CandidatePool(lambda: [US, "2001:db8::1"])
    running = asyncio.create_task(pool.run())
    yield pool
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def clock():
    return LoopClock()


@pytest.fixture
def taken(pool, clock):
    """What it has, as soon as it has something."""
    return lambda: clock.until(lambda: pool.take(US))


async def test_nothing_is_ready_before_an_offer_has_named_a_server(pool):
    await asyncio.sleep(0)
    assert pool.take(US) is None


async def test_the_socket_of_an_answer_is_known_to_the_internet_and_followed_by_another(pool, servers, taken):
    pool.learn(servers)
    first, second = await taken(), await taken()
    assert first.mapped == second.mapped == MAPPED
    ports = {one.transport.get_extra_info("sockname") for one in (first, second)}
    assert len(ports) == 2
    first.transport.abort()
    second.transport.abort()


async def test_a_server_that_does_not_answer_makes_nothing_ready(pool, server, servers, clock):
    server.is_silent = True
    pool.learn(servers)
    await clock.until(lambda: server.asked)
    assert pool.take(US) is None


@pytest.mark.parametrize("host", ["stun..example.net", "x" * 64 + ".net"])
async def test_a_name_that_can_be_none_is_passed_over(pool, servers, taken, host):
    pool.learn((IceServer((f"stun:{host}:3478",)), *servers))
    assert (await taken()).mapped == MAPPED


async def test_what_was_learnt_on_another_network_is_forgotten(pool, server, servers, taken, clock):
    pool.learn(servers)
    (await taken()).transport.abort()
    await clock.until(server.answered.is_set)
    pool.reset()
    assert pool.take(US) is None
    (await taken()).transport.abort()


@pytest.mark.parametrize("port", [MAPPED[1], MAPPED[1] + 1], ids=["cone", "symmetric"])
async def test_an_address_that_only_the_server_sees_is_not_offered(pool, server, servers, port, clock):
    async with serving("127.0.0.2") as other:
        server.other = other.transport.get_extra_info("sockname")
        other.mapped = (MAPPED[0], port)
        pool.learn(servers)
        await clock.until(other.answered.is_set)
        await clock.after(0.1)
        found = pool.take(US)
    assert (found is None) == (port != MAPPED[1])
    if found:
        found.transport.abort()


async def test_a_socket_may_be_taken_while_the_nat_is_asked_about(pool, server, servers, taken, clock):
    async with serving("127.0.0.2") as other:
        server.other, other.is_silent = other.transport.get_extra_info("sockname"), True
        pool.learn(servers)
        first = await taken()
        await clock.until(lambda: other.asked)
        other.is_silent = False
        await clock.until(other.answered.is_set)
        second = await taken()
    first.transport.abort()
    second.transport.abort()


async def test_turn_over_udp_serves_where_no_stun_server_is_named(pool, server, taken):
    port = server.transport.get_extra_info("sockname")[1]
    pool.learn((IceServer((f"turn:{US}:{port}?transport=udp",), "user", "secret"),))
    (await taken()).transport.abort()


async def test_an_answer_holds_both_addresses_of_a_pooled_socket(pool, servers, taken, clock):
    pool.learn(servers)
    one = await taken()
    said = []
    connection = IceConnection(servers, relay_only=False, on_candidate=said.append, on_server_error=print)
    lines = await connection.gather_host([US], {US: one}.get)
    port = one.transport.get_extra_info("sockname")[1]
    host, reflexive = lines
    assert f"{US} {port} typ host" in host
    assert f"{MAPPED[0]} {MAPPED[1]} typ srflx raddr {US} rport {port}" in reflexive
    assert said == []
    connection.gather_servers()
    await clock.until(lambda: said == [""])
    await connection.close()
