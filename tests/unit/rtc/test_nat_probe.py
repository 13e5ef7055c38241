"""RFC 5780 against every NAT of RFC 4787, in memory; and the socket against hostile bytes."""

import contextlib
import struct
from dataclasses import dataclass, field

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from agent.rtc import nat
from agent.rtc.nat import Answer, Behaviour, StunSocket, examine

LOCAL, PUBLIC = "192.168.1.7", "203.0.113.9"
PRIMARY, OTHER = ("198.51.100.1", 3478), ("198.51.100.2", 3479)
ALONE = ("198.51.100.9", 3478)
KINDS = ["endpoint-independent", "address-dependent", "address- and port-dependent"]


def scope(rule, address):
    """The part of a peer's address that this rule looks at."""
    return {KINDS[0]: (), KINDS[1]: address[:1], KINDS[2]: address}[rule]


@dataclass
class Internet:
    """A NAT before two STUN servers: PRIMARY and OTHER are one of them, with two ports each."""

    mapping: str = KINDS[0]
    filtering: str = KINDS[0]
    is_translated: bool = True
    dead: set = field(default_factory=set)
    """Addresses that do not answer, by IP."""
    is_able: bool = True
    """Whether the server knows RFC 5780."""
    ignores_change: bool = False
    sockets: int = 0
    ports: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def open(self):
        self.sockets += 1
        yield Asker(self, self.sockets)


@dataclass
class Asker:
    internet: Internet
    number: int
    sent: list = field(default_factory=list)

    async def ask(self, server, change=0):
        net = self.internet
        net.asked.append(server)
        self.sent.append(server)
        port = net.ports.setdefault((self.number, scope(net.mapping, server)), 40_000 + len(net.ports))
        if server[0] in net.dead:
            return None
        pair = PRIMARY, OTHER
        source = server
        if change and not net.ignores_change:
            at = [one[0] for one in pair].index(server[0])
            ip = pair[1 - at][0] if change & nat.CHANGE_IP else server[0]
            number = ({3478, 3479} - {server[1]}).pop() if change & nat.CHANGE_PORT else server[1]
            source = (ip, number)
        if scope(net.filtering, source) not in {scope(net.filtering, sent) for sent in self.sent}:
            return None
        other = OTHER if net.is_able and server == PRIMARY else None
        return Answer((PUBLIC if net.is_translated else LOCAL, port), source, other)


async def kind_of(internet, *servers):
    behaviour = await examine(servers or (PRIMARY,), internet.open, LOCAL)
    return behaviour.kind


@pytest.mark.parametrize(
    ("mapping", "filtering", "kind"),
    [
        (0, 0, "full-cone"),
        (0, 1, "restricted"),
        (0, 2, "port-restricted"),
        *((m, f, "symmetric") for m in (1, 2) for f in (0, 1, 2)),
    ],
)
async def test_every_nat_by_its_name(mapping, filtering, kind):
    internet = Internet(KINDS[mapping], KINDS[filtering])
    behaviour = await examine((PRIMARY,), internet.open, LOCAL)
    assert behaviour.kind == kind
    assert (behaviour.mapping, behaviour.filtering) == (KINDS[mapping], KINDS[filtering])
    assert behaviour.mapped[0] == PUBLIC


@pytest.mark.parametrize(("filtering", "kind"), [(0, "open"), (1, "firewall"), (2, "firewall")])
async def test_without_translation(filtering, kind):
    assert await kind_of(Internet(filtering=KINDS[filtering], is_translated=False)) == kind


async def test_no_answer_at_all_is_blocked():
    assert await kind_of(Internet(dead={PRIMARY[0]})) == "udp-blocked"


async def test_one_server_of_two_that_is_dead_does_not_block():
    assert await kind_of(Internet(filtering=KINDS[2], dead={ALONE[0]}), ALONE, PRIMARY) == "port-restricted"


@pytest.mark.parametrize(("mapping", "kind"), [(0, "cone"), (1, "symmetric"), (2, "symmetric")])
async def test_two_plain_servers_tell_the_mapping_alone(mapping, kind):
    internet = Internet(KINDS[mapping], KINDS[2], is_able=False)
    behaviour = await examine((PRIMARY, ALONE), internet.open, LOCAL)
    assert (behaviour.kind, behaviour.filtering) == (kind, None)


async def test_one_plain_server_cannot_tell():
    assert await kind_of(Internet(is_able=False)) == "unknown"


async def test_two_ports_of_one_server_are_not_two_servers():
    internet = Internet(KINDS[1], is_able=False)
    assert await kind_of(internet, PRIMARY, (PRIMARY[0], 3479)) == "unknown"


async def test_silence_of_a_dead_second_address_is_no_filter():
    internet = Internet(filtering=KINDS[2], dead={OTHER[0]})
    assert await kind_of(internet) == "unknown"
    assert await kind_of(internet, PRIMARY, ALONE) == "cone"


async def test_a_server_that_answers_from_the_wrong_place_says_nothing_of_the_filter():
    assert await kind_of(Internet(filtering=KINDS[2], ignores_change=True)) == "cone"


@pytest.mark.parametrize("other", [("10.0.0.1", 80), ("127.0.0.1", 22), ("8.8.8.8", 0), ("::1", 80)])
async def test_a_server_cannot_send_us_into_our_own_network(other):
    class Liar:
        async def ask(self, server, change=0):
            assert server == ("8.8.8.8", 3478), "it was asked nothing else"
            assert not change
            return Answer((PUBLIC, 1), server, other)

    @contextlib.asynccontextmanager
    async def open_asker():
        yield Liar()

    assert (await examine((("8.8.8.8", 3478),), open_asker, LOCAL)).mapping is None


def test_what_is_known_of_nothing():
    assert Behaviour(is_udp_open=False).kind == "udp-blocked"
    assert Behaviour(is_udp_open=True, local_ip=LOCAL, mapped=(PUBLIC, 1)).kind == "unknown"
    assert Behaviour(is_udp_open=True, local_ip=PUBLIC, mapped=(PUBLIC, 1)).kind == "firewall"


class Wire:
    """A datagram transport that keeps what is sent."""

    def __init__(self):
        self.sent = []

    def sendto(self, data, addr):
        self.sent.append((data, addr))


async def asked(reply, **attributes):
    """One question by a real socket class, answered with what `reply` makes of the request."""
    wire, sock = Wire(), StunSocket()
    sock.connection_made(wire)
    request = {}

    class Now(Wire):
        def sendto(self, data, addr):
            super().sendto(data, addr)
            request["message"] = stun.parse_message(data)
            for answer in reply(request["message"]):
                sock.datagram_received(answer, PRIMARY)

    sock.connection_made(Now())
    return await sock.ask(PRIMARY, **attributes), request["message"]


def response(request, message_class=stun.Class.RESPONSE, **attributes):
    attributes = {name.replace("_", "-"): value for name, value in attributes.items()}
    return bytes(stun.Message(request.message_method, message_class, request.transaction_id, attributes))


async def test_an_answer_on_the_wire():
    answer, request = await asked(
        lambda asked: [response(asked, XOR_MAPPED_ADDRESS=(PUBLIC, 4000), OTHER_ADDRESS=OTHER)], change=6
    )
    assert answer == Answer((PUBLIC, 4000), PRIMARY, OTHER)
    assert request.attributes["CHANGE-REQUEST"] == 6


async def test_a_refusal_is_no_answer():
    answer, _ = await asked(
        lambda asked: [response(asked, stun.Class.ERROR, ERROR_CODE=(420, "Unknown Attribute"))], change=6
    )
    assert answer is None


async def test_an_answer_without_an_address_is_none():
    answer, _ = await asked(lambda asked: [response(asked)])
    assert answer is None


async def test_what_is_no_answer_of_ours_is_passed_over():
    def reply(request):
        stranger = stun.Message(request.message_method, stun.Class.RESPONSE, b"x" * 12)
        short = struct.pack("!HHI12sHH2s", 0x0101, 8, 0x2112A442, request.transaction_id, 0x8028, 2, b"ab")
        short += b"\0\0"
        return [b"", b"\0" * 20, bytes(stranger), short, response(request, XOR_MAPPED_ADDRESS=(PUBLIC, 1))]

    answer, _ = await asked(reply)
    assert answer.mapped == (PUBLIC, 1)


@given(st.binary(max_size=200))
def test_no_datagram_breaks_the_socket(data):
    sock = StunSocket()
    sock.datagram_received(data, PRIMARY)
    header = struct.pack("!HHI", 0x0101, len(data), 0x2112A442) + bytes(12)
    sock.datagram_received(header + data, PRIMARY)
