"""Relayed by a real coturn: over udp, tcp and tls; and what people read when it does not work."""

import asyncio
import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from parts.coturn import SECRET, coturn
from parts.mosquitto import mosquitto
from parts.stack import ROOT, running_stack
from parts.turn_client import TurnClient

from agent.errors import PathError
from agent.model.signal import IceServer
from agent.portal.turn import rest_credential
from agent.rtc.reach import reach, targets
from agent.rtc.relay import RelayTransport
from agent.rtc.servers import parse_ice_servers

NO_HOST = 'exclude_interfaces = ["*"]\nconnect_timeout_s = 5'
LATE_MS = 1000
"""A busy machine may be so late; to wait for a server that is away would take ten times that."""
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


def sending_on_to(other):
    """A server that has every client go to another."""
    return coturn(
        f"allow-loopback-peers\nalternate-server=127.0.0.1:{other.port}\n"
        f"tls-alternate-server=127.0.0.1:{other.tls_port}"
    )


def all_trusted(*servers):
    file = servers[0].folder / "all.pem"
    file.write_text("".join(one.ca_file.read_text() for one in servers))
    return file


@contextmanager
def allocated(server, username, password):
    """One allocation, held."""
    with TurnClient(("127.0.0.1", server.port), username, password) as client:
        assert client.allocate() == 0
        yield


def doctor_of(stack, url):
    """What `pinhole doctor` finds about a server."""
    config = str(stack.folder / "pinhole.toml")
    done = subprocess.run(
        [sys.executable, "-m", "agent", "doctor", "--config", config, "--no-camera", "--json",
         "--portal", stack.url, *stack.sign_in],
        cwd=ROOT, env=stack.env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    findings = json.loads(done.stdout)["findings"]
    return next(one for one in findings if one["subject"] == url)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_relay_only_reaches_the_viewer(broker, turn, tmp_path, transport):
    settings = rest(turn, tmp_path, transport)
    with running_stack(broker, portal=settings, ca_file=turn.ca_file) as stack:
        code, seen, said = stack.watch("--relay-only", "--seconds", "3")
        assert code == 0, said + stack.log("agent")
        assert seen["path"] == "relay"
        assert seen["frames"] > 0
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


def test_a_full_quota_is_named_at_both_ends_and_by_the_doctor(broker, tmp_path):
    username, password = rest_credential(SECRET, "everybody", int(time.time()) + 600)
    with coturn("allow-loopback-peers\nuser-quota=1") as full, allocated(full, username, password):
        settings = fixed(tmp_path, full.url("udp"), username, password)
        with running_stack(broker, portal=settings, webrtc=NO_HOST) as stack:
            code, seen, said = stack.watch("--relay-only", "--seconds", "1")
            assert code == 1
            assert f"no relay of ours: {full.url('udp')} did not answer, or refused" in said
            named = f"{full.url('udp')}: refused with 486 Allocation Quota Reached: it has no room"
            assert named in " ".join(seen["errors"])
            assert f"ICE server {named}" in stack.log("agent")
            assert named.partition(": ")[2] in doctor_of(stack, full.url("udp"))["message"]


def test_a_peer_that_is_forbidden_is_named_at_both_ends_and_by_the_doctor(broker, tmp_path):
    with coturn("") as strict:  # relays to no loopback address
        settings = rest(strict, tmp_path, "udp")
        with running_stack(broker, portal=settings, webrtc=NO_HOST) as stack:
            code, seen, _ = stack.watch("--relay-only", "--seconds", "1")
            assert code == 1
            named = (
                f"{strict.url('udp')}: to 127.0.0.1 refused with 403 Forbidden IP: it does not relay there"
            )
            assert named in " ".join(seen["errors"])
            assert named in stack.log("agent")
            found = doctor_of(stack, strict.url("udp"))
            assert found["verdict"] == "warning"
            assert "403 Forbidden IP" in found["message"]
            assert "127.0.0.1" in found["advice"]


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_server_that_sends_us_on_is_followed_once(turn, monkeypatch, transport):
    monkeypatch.setenv("SSL_CERT_FILE", str(turn.ca_file))
    username, password = rest_credential(SECRET, "viewer", int(time.time()) + 60)

    async def relayed_by(server):
        urls = (server.url(transport),)
        target = targets((IceServer(urls, username, password),))[0]
        return (await reach(target)).relayed

    with sending_on_to(turn) as first, sending_on_to(first) as second:
        if transport == "tls":  # each has a certificate of its own
            monkeypatch.setenv("SSL_CERT_FILE", str(all_trusted(turn, first, second)))
        before, _ = turn.allocations()
        assert await relayed_by(first)
        assert turn.allocations()[0] == before + 1
        with pytest.raises(PathError, match="refused with 300 Try Alternate: it sends us on"):
            await relayed_by(second)


def test_a_turn_server_that_is_away_costs_a_direct_viewer_nothing(broker, tmp_path):
    def first_frame_ms(settings):
        with running_stack(broker, portal=settings) as stack:
            for _ in range(3):
                code, seen, said = stack.watch("--seconds", "0.5")
                assert code == 0, said
                assert seen["path"] == "host"
                yield seen["first_frame_ms"]
            assert (
                re.findall(r"viewer connected|no answer within", stack.log("agent"))[0] == "viewer connected"
            )

    without = min(first_frame_ms(""))
    with_dead = min(first_frame_ms(fixed(tmp_path, BLACK_HOLE, "viewer", "any")))
    assert with_dead - without < LATE_MS, (with_dead, without)
