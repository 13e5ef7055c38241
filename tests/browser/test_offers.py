"""Whatever a page has Chromium offer, it takes our answer, and the picture plays."""

import asyncio
import re

from parts.chromium import chromium
from parts.page_viewer import offering
from parts.stock_viewer import device
from parts.tone import Room, pitch_hz

from agent.rtc.sender import RtpSender

TIMEOUT_S = 30
OFFERS = (
    ("max-bundle", ("audio", "video", "data")),
    ("balanced", ("audio", "video", "data")),
    ("max-compat", ("audio", "audio", "video")),
    ("max-bundle", ("data", "video")),
    ("max-bundle", ("video", "video", "data")),
)


async def test_chromium_takes_the_answer_and_plays():
    async with device() as cam, chromium() as browser:
        for policy, sections in OFFERS:
            await plays(cam, browser, policy, sections)


async def test_parameters_with_blanks_and_capitals_are_answered():
    def change(offer):
        assert "packetization-mode=1;" in offer
        return offer.replace("packetization-mode=1;", "Packetization-Mode=1; ")

    async with device() as cam, chromium() as browser:
        await plays(cam, browser, "max-bundle", ("video", "data"), change)


async def test_without_rtx_the_picture_plays_on_through_padding_alone(monkeypatch):
    pads, pad_alone = [], RtpSender._pad_alone

    def count(sender, send, now_ns):
        pads.append(pad_alone(sender, send, now_ns))
        return pads[-1]

    monkeypatch.setattr(RtpSender, "_pad_alone", count)
    monkeypatch.setattr(RtpSender, "has_rtx", True)  # so that probes are filled, too: no path is out here
    async with device() as cam, chromium() as browser:
        page = await browser.new_page()
        await page.goto("about:blank")
        async with asyncio.timeout(TIMEOUT_S), offering(cam, calling(page)) as viewer:
            await viewer.connect("video", "data", change=without_rtx)
            found = await viewer.received(pictures=100)
            assert len(pads) >= 10
            assert found["lost"] == found["plis"] == 0, "nothing had to begin anew"


def without_rtx(offer):
    numbers = re.findall(r"^a=rtpmap:(\d+) rtx/", offer, re.MULTILINE)
    assert numbers
    for number in numbers:
        offer = re.sub(rf"^a=(?:rtpmap|fmtp|rtcp-fb):{number} .*\r\n", "", offer, flags=re.MULTILINE)
        offer = re.sub(rf"^(m=video .*) {number}\b", r"\1", offer, flags=re.MULTILINE)
    return offer


async def test_chromium_hears_the_camera_and_is_heard_beside_the_picture():
    room = Room(600)
    async with device(sound=room.sound) as cam, chromium() as browser:
        recording = asyncio.create_task(room.record())
        page = await browser.new_page()
        await page.goto("about:blank")
        call = calling(page)
        async with asyncio.timeout(TIMEOUT_S), offering(cam, call) as viewer:
            await viewer.connect("voice", "video", "data")
            await call("() => { video.muted = false; }")
            _, said = await room.heard()
            assert pitch_hz(said[-1]) == 1000
            found = await viewer.received(pictures=25, sounds=50, energy=1e-3)
            assert found["lost"] == 0
            stats = await viewer.ask({"type": "stats"})
            assert stats["loss"] == 0
        recording.cancel()


async def plays(cam, browser, policy, sections, change=lambda offer: offer):
    page = await browser.new_page()
    await page.goto("about:blank")

    async with asyncio.timeout(TIMEOUT_S), offering(cam, calling(page)) as viewer:
        await viewer.connect(*sections, policy=policy, change=change)
        await viewer.received(pictures=5)
        if "data" in sections:
            assert (await viewer.ask({"type": "ping", "id": 3}))["type"] == "pong"
    await page.close()


def calling(page):
    """Runs a function in a page, with arguments."""

    async def call(function, *arguments):
        return await page.evaluate(f"(given) => ({function})(...given)", arguments)

    return call
