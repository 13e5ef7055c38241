"""The real agent, and a real Chromium that reports marks, over a link with an L4S queue."""

import asyncio

import pytest
from netlab.frames import watch_peers
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import start_service
from netlab.shape import Shape
from netlab.viewer import play, viewing
from parts.chromium import REPORTS_BY_SOURCE

pytestmark = pytest.mark.usefixtures("can_emulate", "has_parts")
# The synthetic picture alone takes half a megabit, so a link this slow is full of it.
UPLINK = Shape(rate_bps=500_000, delay_ms=20, queue_bytes=60_000, mark_ms=1.0)
PATIENCE_S = 60
CAMERA = 'source = "synthetic"\n[webrtc]\nl4s = true'
GIVEN_UP = "no ECN on this path"
BLEACH = """table inet bleach {
  chain forward { type filter hook forward priority 0; meta l4proto udp ip ecn set not-ect; }
}
"""


async def test_the_queue_marks_the_viewer_says_so_and_the_picture_goes_on():
    with internet(Plan("none", "none", uplink=UPLINK)) as lab:
        service = start_service(lab, ("udp",), camera=CAMERA)
        async with viewing(lab, service, flags=(REPORTS_BY_SOURCE,)) as page:
            # The very first may pass by a relay.
            first = await watch(page, lambda found: found["ect1"] >= 100)
            found = await watch(page, lambda found: found["ce"] >= 20 and found["ect1"] >= 400)
            assert found["bare"] == first["bare"]
            assert await page.evaluate("() => pinhole.state.phase") == "playing"
        assert lab.link.statistics().uplink.marked_packets >= found["ce"]
        assert "ECN works on this path" in service.agent.log()


async def test_where_a_router_takes_the_mark_off_no_more_is_marked():
    with internet(Plan("none", "none", uplink=UPLINK)) as lab:
        lab.spaces.run("carrier", "nft", "-f", "-", stdin=BLEACH)  # behind the queue
        service = start_service(lab, ("udp",), camera=CAMERA)
        async with viewing(lab, service, flags=(REPORTS_BY_SOURCE,)) as page:
            await watch(page, lambda _: GIVEN_UP in service.agent.log())
            told = await watch(page, lambda found: found["bare"] > 0)
            # What stood in the queue by then has come.
            before = await watch(page, lambda found: found["bare"] >= told["bare"] + 100)
            marked = lab.link.statistics().uplink.marked_packets
            after = await watch(page, lambda found: found["bare"] >= before["bare"] + 100)
            assert after["ect1"] == after["ce"] == 0
            assert lab.link.statistics().uplink.marked_packets == marked, "the queue sees no ECT(1) any more"


_RECEIVED = """async () => {
  const all = [...(await probe.peers.at(-1).getStats()).values()].filter((one) => one.type === "inbound-rtp");
  const sum = (name) => all.reduce((total, one) => total + one[name], 0);
  const [ect1, ce] = [sum("packetsReceivedWithEct1"), sum("packetsReceivedWithCe")];
  return { ect1, ce, bare: sum("packetsReceived") - ect1 - ce };
}"""


async def watch(page, is_enough):
    """Play, and wait; of how many packets the viewer has seen which field."""
    if await page.evaluate("() => pinhole.state.phase") != "playing":
        await watch_peers(page)
        await play(page)
    async with asyncio.timeout(PATIENCE_S):
        while not is_enough(found := await page.evaluate(_RECEIVED)):
            await asyncio.sleep(0.25)
    return found
