"""Whatever a page has Chromium offer, it takes our answer, and the picture plays."""

import asyncio

from parts.chromium import chromium
from parts.page_viewer import offering
from parts.stock_viewer import device

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


async def plays(cam, browser, policy, sections, change=lambda offer: offer):
    page = await browser.new_page()
    await page.goto("about:blank")

    async def call(function, *arguments):
        return await page.evaluate(f"(given) => ({function})(...given)", arguments)

    async with asyncio.timeout(TIMEOUT_S), offering(cam, call) as viewer:
        await viewer.connect(*sections, policy=policy, change=change)
        await viewer.received(pictures=5)
        if "data" in sections:
            assert (await viewer.ask({"type": "ping", "id": 3}))["type"] == "pong"
    await page.close()
