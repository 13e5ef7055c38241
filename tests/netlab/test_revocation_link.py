"""The camera's link is away while its viewer is shut out, who refuses to leave: the picture ends."""

import asyncio

import pytest
from netlab.internet import internet
from netlab.plan import Plan
from netlab.recovery import LINK
from netlab.servers import BROKER_PORT, start_service
from netlab.viewer import play, viewing
from parts.portal import PASSWORD, USER

from agent.config import load
from agent.portal.accounts.desk import Desk

LEASE_S = 15.0
AWAY_S = 8.0
"""Shorter than consent to send lasts (RFC 7675): the picture would come back."""
PATIENCE_S = 20.0
QUIET_S = 1.5
_CUT_BROKER = f"""table inet cut {{
  chain out {{
    type filter hook output priority filter
    tcp dport {BROKER_PORT} drop
  }}
}}
"""
_STAY = """() => {
  window.peers = [];
  const Native = RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...settings) {
      super(...settings);
      peers.push(this);
    }
    close() {}
  };
}"""
_RECEIVED = """async () => {
  const stats = [...(await peers[0].getStats()).values()];
  return stats.find((one) => one.type === "inbound-rtp" && one.kind === "video").packetsReceived;
}"""

pytestmark = pytest.mark.usefixtures("can_emulate", "has_parts")


async def receives(page, for_s):
    """Whether more of the stream comes within that time."""
    before = await page.evaluate(_RECEIVED)
    await asyncio.sleep(for_s)
    return await page.evaluate(_RECEIVED) > before


@pytest.mark.parametrize("lost", ["the way to the broker", "the whole link"])
async def test_a_viewer_who_is_shut_out_meanwhile_sees_nothing_more(lost):
    with internet(Plan("port-restricted", "port-restricted", **LINK)) as lab:
        service = start_service(lab, ["udp"], lease_s=LEASE_S)
        async with viewing(lab, service) as page:
            await page.evaluate(_STAY)
            await play(page)
            await asyncio.sleep(LEASE_S)
            assert await receives(page, QUIET_S), "it is renewed"
            if lost == "the whole link":
                lab.link.change(is_up=False)
            else:
                lab.spaces.run("device", "nft", "-f", "-", stdin=_CUT_BROKER)
            with Desk.open(load(lab.spaces.folder / "portal.toml").portal) as desk:
                desk.add_user("zoe", "admin", password=PASSWORD)
                desk.set_disabled(USER, disabled=True)
            await asyncio.sleep(AWAY_S)
            if lost == "the whole link":
                lab.link.change(is_up=True)
            async with asyncio.timeout(LEASE_S + PATIENCE_S):
                while await receives(page, QUIET_S):
                    pass
            await asyncio.sleep(QUIET_S)
            assert not await receives(page, QUIET_S), service.agent.log()
