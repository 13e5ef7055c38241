"""ECT(1) on what leaves to a viewer that reports it (RFC 8888): only where both ends are asked to."""

import asyncio

from parts.chromium import REPORTS_BY_SOURCE, chromium
from parts.page_viewer import offering
from parts.stock_viewer import device
from parts.tone import Room

from agent.rtc import ecn
from agent.rtc.ecn import Path

TIMEOUT_S = 40
PICTURES = 75
"""Three seconds of them: were no report understood, all but a few packets would end after half of that."""
_MARKED = """async () => {
  const all = [...(await pc.getStats()).values()].filter((stats) => stats.type === "inbound-rtp");
  const sum = (name) => all.reduce((total, stats) => total + stats[name], 0);
  return { packets: sum("packetsReceived"), marked: sum("packetsReceivedWithEct1") };
}"""


async def test_packets_carry_ect_1_where_the_viewer_reports_it(monkeypatch):
    # This machine may be slower than any path.
    monkeypatch.setattr(ecn, "TRIAL_NS", TIMEOUT_S * 1_000_000_000)
    room = Room(600)
    async with device(l4s=True, sound=room.sound) as cam, chromium(REPORTS_BY_SOURCE) as browser:
        answer, found, states = await plays(cam, browser, "voice", "video", "data")
    assert answer.count("a=rtcp-fb:* ack ccfb") == 2, "of picture and sound"
    assert "transport-cc" not in answer
    assert "transport-wide-cc" not in answer
    assert found["marked"] == found["packets"] >= PICTURES
    assert states == [Path.MARKING], "the reports say so too"


async def test_unless_it_is_asked_for_nothing_is_marked():
    async with device() as cam, chromium(REPORTS_BY_SOURCE) as browser:
        answer, found, states = await plays(cam, browser, "video", "data")
    assert "ccfb" not in answer
    assert "transport-cc" in answer
    assert (found["marked"], states) == (0, [None])


async def test_a_viewer_without_such_reports_is_served_as_ever():
    async with device(l4s=True) as cam, chromium() as browser:
        answer, found, states = await plays(cam, browser, "video", "data")
    assert "ccfb" not in answer
    assert "transport-cc" in answer
    assert (found["marked"], states) == (0, [None])


async def plays(cam, browser, *sections):
    """The answer, what the page has received, and what is known of the path of each viewer."""
    page = await browser.new_page()
    await page.goto("about:blank")

    async def call(function, *arguments):
        return await page.evaluate(f"(given) => ({function})(...given)", arguments)

    async with asyncio.timeout(TIMEOUT_S), offering(cam, call) as viewer:
        await viewer.connect(*sections)
        await viewer.received(pictures=PICTURES)
        peers = [one._peer for one in cam.sessions._viewers.values()]
        states = [peer._marking and peer._marking.state for peer in peers]
        return await viewer.answer, await call(_MARKED), states
