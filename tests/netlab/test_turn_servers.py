"""Several TURN servers, one of them dead: the others share the viewers, and nobody waits for that one."""

import asyncio
import re
import shutil

import pytest
from netlab.internet import internet
from netlab.plan import MORE_TURN_HOSTS, SERVER_IP6, Plan
from netlab.servers import MOSQUITTO, TURNSERVER, start_service
from netlab.viewer import play, statistics, viewing
from parts.need import need

VIEWERS = 8
WATCH_S = 1.0
MIN_SHARE = 0.1


@pytest.fixture(autouse=True)
def _has_parts():
    need(MOSQUITTO, "needs mosquitto: sudo apt-get install mosquitto")
    need(TURNSERVER, "needs coturn: sudo apt-get install coturn")
    need(shutil.which("chromium"), "needs chromium: sudo apt-get install chromium")


def relayed_bytes(turn):
    """What a coturn says that it got from peers, in all the allocations that are over."""
    return sum(int(number) for number in re.findall(r"peer usage:.*? rb=(\d+)", turn.log()))


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
        first, second = relayed_bytes(service.turn), relayed_bytes(service.second_turn)
        assert min(first, second) > MIN_SHARE * (first + second), (first, second)
        assert service.agent.log().count("viewer connected") == VIEWERS
        assert MORE_TURN_HOSTS[1] in service.agent.log(), "the dead one was tried"


async def test_a_server_that_relays_ipv6_alone_serves_a_device_without_udp():
    """It refuses who asks for no family (440); Chromium does not ask again, so the device's relay must do."""
    with internet(Plan("port-restricted", "udp-blocked", "ipv6")) as lab:
        service = start_service(lab, relay_ips=[SERVER_IP6])
        async with viewing(lab, service) as page:
            await play(page)
            device = (await statistics(page))["device"]
        assert device["path"] == "relay"
        assert "refused" not in service.agent.log()
