"""Relayed by a real coturn: over udp, tcp and tls; and what people read when it does not work."""

import asyncio
import json
import time

import pytest
from parts.coturn import SECRET, coturn
from parts.mosquitto import mosquitto
from parts.stack import running_stack

from agent.model.signal import IceServer
from agent.portal.turn import rest_credential
from agent.rtc.relay import RelayTransport
from agent.rtc.servers import parse_ice_servers

BLACK_HOLE = "turn:192.0.2.254:3478?transport=udp"  # TEST-NET-1: nobody answers


@pytest.fixture(scope="module")
def broker():
    with mosquitto() as running:
        yield f'url = "{running.settings().url}"'


@pytest.fixture(scope="module")
def turn():
    with coturn() as running:
        yield running


def rest(turn, tmp_path, *transports):
    """Portal settings: coturn's shared secret."""
    secret = tmp_path / "turn-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    urls = json.dumps([turn.url(transport) for transport in transports])
    return f'[portal.turn]\nurls = {urls}\nsecret_file = "{secret}"\nttl_s = 60\n'


def fixed(tmp_path, url, username, password):
    """Portal settings: one server with one password for all."""
    credential = tmp_path / "credential"
    credential.touch(mode=0o600)
    credential.write_text(password)
    return (
        f'[[portal.ice_servers]]\nurls = ["{url}"]\nusername = "{username}"\n'
        f'credential_file = "{credential}"\n'
    )


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_relay_only_reaches_the_viewer(broker, turn, tmp_path, transport):
    settings = rest(turn, tmp_path, transport)
    with running_stack(broker, portal=settings, ca_file=turn.ca_file) as stack:
        code, seen, said = stack.watch("--relay-only", "--seconds", "3")
        assert code == 0, said + stack.log("agent")
        assert seen["path"] == "relay"
        assert seen["frames"] > 60
        assert "relay" in stack.log("agent"), "the device's own end is a relay too"


async def test_a_port_that_another_client_left_in_use_is_left_alone(turn, monkeypatch):
    """Coturn answers 437 until the other's allocation expires (RFC 8656 section 7.4)."""
    username, password = rest_credential(SECRET, "viewer", int(time.time()) + 60)
    _, [server] = parse_ice_servers([IceServer((turn.url("udp"),), username, password)])
    loop = asyncio.get_running_loop()
    first = await RelayTransport.open(server, asyncio.DatagramProtocol())
    port = first._client.transport.get_extra_info("sockname")[1]
    first.abort()
    opened, locals_ = loop.create_datagram_endpoint, [("127.0.0.1", port)]

    async def from_that_port(factory, **options):
        return await opened(factory, local_addr=locals_.pop() if locals_ else None, **options)

    await asyncio.sleep(0)  # the socket closes
    monkeypatch.setattr(loop, "create_datagram_endpoint", from_that_port)
    second = await RelayTransport.open(server, asyncio.DatagramProtocol())
    assert not locals_, "the used port was tried first"
    assert second.get_extra_info("related_address")[1] != port
    await second.delete()


def test_a_server_over_all_three_transports_at_once(broker, turn, tmp_path):
    settings = rest(turn, tmp_path, "tls", "tcp", "udp")
    with running_stack(broker, portal=settings, ca_file=turn.ca_file) as stack:
        code, _, said = stack.watch("--relay-only", "--seconds", "1")
        assert code == 0, said
        log = stack.log("agent")
        assert "viewer connected: relay to relay" in log
        assert "ICE server" not in log, "none of the three was refused"


@pytest.mark.parametrize(
    ("username", "password"),
    [("viewer", "wrong"), (f"{int(time.time()) - 60}:viewer", "expired")],
    ids=["wrong", "expired"],
)
def test_refused_credentials_are_named_at_both_ends(broker, turn, tmp_path, username, password):
    settings = fixed(tmp_path, turn.url("udp"), username, password)
    with running_stack(broker, portal=settings, webrtc="connect_timeout_s = 5") as stack:
        code, seen, said = stack.watch("--relay-only", "--seconds", "1")
        assert code == 1
        assert seen["frames"] == 0
        agent = stack.log("agent")
        assert f"ICE server {turn.url('udp')}: refused with 401" in agent
        assert "user name or password is wrong or has expired" in agent
        assert "relay" in said.lower() or "turn" in said.lower(), said


def test_a_turn_server_that_is_away_costs_a_direct_viewer_nothing(broker, tmp_path):
    def first_frame_ms(settings):
        with running_stack(broker, portal=settings) as stack:
            for _ in range(3):
                code, seen, said = stack.watch("--seconds", "0.5")
                assert code == 0, said
                assert seen["path"] == "host"
                yield seen["first_frame_ms"]

    without = min(first_frame_ms(""))
    with_dead = min(first_frame_ms(fixed(tmp_path, BLACK_HOLE, "viewer", "any")))
    assert with_dead - without <= 100, (with_dead, without)
