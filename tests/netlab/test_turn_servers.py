"""TURN servers: several, one of them dead; one that relays IPv6 alone; and one behind a link that stalls."""

import asyncio
import re

import pytest
from netlab.internet import internet
from netlab.plan import MORE_TURN_HOSTS, SERVER_IP6, Plan
from netlab.servers import start_service
from netlab.shape import Shape
from netlab.viewer import play, statistics, viewing

pytestmark = pytest.mark.usefixtures("has_parts")
VIEWERS = 8
MORE_VIEWERS = 4
WATCH_S = 1.0
MIN_SHARE = 0.1
STALL_S = 4.0
LATE_MS = 1000
MAX_LATE_FRAMES = 30
"""What was under way when the link stalled; of the four seconds after that nothing."""


def relayed_bytes(turn):
    """What a coturn says that it got from peers, in all the allocations that are over."""
    return sum(int(number) for number in re.findall(r"peer usage:.*? rb=(\d+)", turn.log()))


async def names_the_dead_one(agent, page):
    """Whether the device says of a server that it does not answer, in a session of over ten seconds."""
    for _ in range(MORE_VIEWERS):  # each asks some of the servers
        await play(page)
        for _ in range(24):
            if MORE_TURN_HOSTS[1] in agent.log():
                return True
            await asyncio.sleep(0.5)
    return False


async def test_viewers_are_spread_over_the_servers_that_live_and_the_dead_one_harms_none():
    with internet(Plan("symmetric", "symmetric")) as lab:
        service = start_service(lab, has_more_turn=True)
        async with viewing(lab, service) as page:
            for _ in range(VIEWERS):
                playback = await play(page)
                assert playback.failed_attempts == ()
                await asyncio.sleep(WATCH_S)
                await page.goto(f"{service.url}/?in#/")
                await page.reload()  # another viewer, as far as the portal knows
                await page.wait_for_function("() => pinhole.state.devices > 0")
            assert service.agent.log().count("viewer connected") == VIEWERS
            assert await names_the_dead_one(service.agent, page), "it was tried"
        first, second = relayed_bytes(service.turn), relayed_bytes(service.second_turn)
        assert min(first, second) > MIN_SHARE * (first + second), (first, second)


async def test_a_server_that_relays_ipv6_alone_serves_a_device_without_udp():
    """It refuses who asks for no family (440); Chromium does not ask again, so the device's relay must do."""
    with internet(Plan("port-restricted", "udp-blocked", "ipv6")) as lab:
        service = start_service(lab, relay_ips=[SERVER_IP6])
        async with viewing(lab, service) as page:
            await play(page)
            device = (await statistics(page))["device"]
        assert device["path"] == "relay"
        assert "refused" not in service.agent.log()


@pytest.mark.usefixtures("can_emulate")
async def test_over_tcp_a_stalled_link_costs_pictures_and_no_delay():
    """What would be late is dropped, up to the next keyframe: TCP would deliver every old picture first."""
    link = Shape(delay_ms=30, rate_bps=4e6)
    with internet(Plan("port-restricted", "udp-blocked", uplink=link, downlink=link)) as lab:
        service = start_service(lab, ["tcp"])
        async with viewing(lab, service) as page:
            await play(page)
            await asyncio.sleep(3)
            lab.link.change(is_up=False)
            await asyncio.sleep(STALL_S)
            lab.link.change(is_up=True)
            seen = await page.evaluate("() => pinhole.latencies.length")
            await page.wait_for_function(f"() => pinhole.latencies.length > {seen + 60}", timeout=20_000)
            latencies_ms = (await page.evaluate("() => pinhole.latencies"))[seen:]
        late_ms = [one for one in latencies_ms if one > LATE_MS]
        assert len(late_ms) < MAX_LATE_FRAMES, latencies_ms
        assert max(latencies_ms[-15:]) < LATE_MS, latencies_ms
