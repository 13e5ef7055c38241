"""Looking back on the dashboard: a real agent that records, and Chromium."""

import asyncio
import re
import time
from contextlib import asynccontextmanager

from parts.axe import faults
from parts.chromium import NO_PREVIEWS, chromium, screenshot
from parts.dashboard import DESKTOP, PATIENCE_MS, PHONE, enter_password, until_phase
from parts.mosquitto import mosquitto
from parts.stack import running_stack
from playwright.async_api import expect

from agent.config import load
from agent.portal.accounts.desk import Desk

RECORDING = '[record]\nmode = "continuous"\nkeyframe_s = 1.0\nmin_free_mb = 0\nmax_mb = 200\n'
CAMERA = 'source = "synthetic"\nwidth_px = 640\nheight_px = 360\nfps = 15'
SHOWN = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
PASSWORD_OF_BOB = "another-good-password"


@asynccontextmanager
async def recorded(seconds=8):
    """A camera that has recorded so much, and how to open its page as somebody."""
    with (
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', camera=CAMERA, portal=RECORDING) as stack,
    ):
        folder = stack.folder / "camera" / "recordings"
        ends_s = time.monotonic() + PATIENCE_MS / 1000
        while not any(file.stat().st_size > 20_000 for file in folder.glob("*/*-main.mp4")):
            assert time.monotonic() < ends_s, stack.log("agent")
            await asyncio.sleep(0.1)
        await asyncio.sleep(seconds)
        async with chromium() as browser:

            async def open_as(user="ann", password=None, viewport=DESKTOP):
                page = await browser.new_page(viewport=viewport)
                page.set_default_timeout(PATIENCE_MS)
                await page.add_init_script(NO_PREVIEWS)
                await page.goto(f"{stack.url}/#/camera/cam")
                await enter_password(page, user, *([password] if password else []))
                await until_phase(page, "playing")
                return page

            yield stack, open_as


async def look_back(page, seconds):
    """By keyboard alone, so many seconds from the live picture."""
    await expect(page.get_by_role("button", name="Look back")).to_be_visible()
    await page.keyboard.press("r")
    slider = page.get_by_role("slider", name="Recorded time")
    await expect(slider).to_be_focused()
    for _ in range(seconds // 5):
        await page.keyboard.press("ArrowLeft")
    await expect(page.locator(".bar .badge")).to_have_text("Recorded")
    return slider


async def place_of(slider, at):
    """Where on the page that time is."""
    box = await slider.bounding_box()
    least, most = [float(await slider.get_attribute(f"aria-value{end}")) for end in ("min", "max")]
    return box["x"] + box["width"] * (at - least) / (most - least), box["y"] + 20


async def until_it_moves(page, before):
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while await page.evaluate(SHOWN) <= before:
            await asyncio.sleep(0.1)


async def noted(page):
    """What the audit log says of each act."""
    audit = await page.evaluate("fetch('api/audit').then((answer) => answer.json())")
    return {entry["detail"] for entry in audit["entries"]}


async def test_somebody_looks_back_stops_goes_on_and_returns():
    async with recorded() as (_, open_as):
        page = await open_as()
        slider = await look_back(page, 5)
        await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
        await until_it_moves(page, await page.evaluate(SHOWN))
        before = float(await slider.get_attribute("aria-valuenow"))
        assert time.time() - 30 < before < time.time() - 2

        await page.keyboard.press(" ")
        play = page.get_by_role("button", name="Play", exact=True)
        await expect(play).to_be_visible()
        await asyncio.sleep(3)  # longer than a live picture may stand still
        await expect(page.locator('.stage[data-phase="playing"]')).to_be_visible()
        stood = await page.evaluate(SHOWN)
        await page.keyboard.press(".")
        await until_it_moves(page, stood)
        await play.click()
        await until_it_moves(page, await page.evaluate(SHOWN) + 5)

        bars = page.locator(".timeline-span")
        assert await bars.count() >= 1
        await page.get_by_label("Shown", exact=True).select_option("600")
        await page.mouse.move(*await place_of(slider, time.time() - 3))
        await page.mouse.down()
        await page.mouse.move(*await place_of(slider, time.time() - 8), steps=4)
        await page.mouse.up()
        await until_it_moves(page, await page.evaluate(SHOWN))
        x, y = await place_of(slider, time.time() - 8)
        await expect(page.locator(".lookback-tile")).to_be_visible()
        await page.mouse.move(x - 3, y)
        await expect(page.locator(".lookback-tile")).to_have_css(
            "background-image", re.compile("data:image/jpeg")
        )
        await screenshot(page, "lookback-1440")
        assert await faults(page) == []

        await page.get_by_role("button", name="Live", exact=True).click()
        await expect(page.locator(".bar .badge")).to_have_text("Live")
        await until_it_moves(page, await page.evaluate(SHOWN) + 5)
        async with asyncio.timeout(PATIENCE_MS / 1000):  # it is noted in the background
            while "play" not in await noted(page):
                await asyncio.sleep(0.1)


async def test_by_thumb_on_a_phone():
    async with recorded() as (_, open_as):
        page = await open_as(viewport=PHONE)
        await page.get_by_role("button", name="Look back").click()
        # It has recorded for some seconds, and six hours would show them as one line.
        await expect(page.get_by_label("Shown", exact=True)).to_have_value("600")
        slider = page.get_by_role("slider", name="Recorded time")
        await page.mouse.click(*await place_of(slider, time.time() - 5))
        await expect(page.locator(".bar .badge")).to_have_text("Recorded")
        await until_it_moves(page, await page.evaluate(SHOWN))
        await screenshot(page, "lookback-390")
        assert await faults(page) == []
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"]
        await page.get_by_role("button", name="Look back").click()  # nothing lies over it
        await expect(slider).to_be_hidden()


async def test_what_the_network_saw_is_told_at_the_timeline():
    seen = "Person 0.91, vehicle 0.82 in <b>Drive</b> " + "Donaudampfschifffahrt" * 8
    async with recorded() as (_, open_as):
        page = await open_as()

        async def add_event(route):
            answer = await route.fetch()
            said = await answer.json()
            event = {"event": "b-1", "cause": "motion", "start": time.time() - 60, "end": time.time() + 60}
            await route.fulfill(json={**said, "value": {**said["value"], "events": [event]}})

        async def tell_words(route):
            await route.fulfill(json={"events": [{"event_id": "b-1", "message": seen}], "kinds": {}})

        await page.route("**/commands/recordings", add_event)
        await page.route("**/api/events?*kind=motion*", tell_words)
        slider = await look_back(page, 5)
        await expect(page.locator(".lookback-what")).to_have_text(seen)
        await page.get_by_label("Shown", exact=True).select_option("600")
        for width, height in ((390, 844), (1440, 900)):
            await page.set_viewport_size({"width": width, "height": height})
            await page.mouse.move(*await place_of(slider, time.time() - 8))
            await expect(page.locator(".lookback-tile")).to_contain_text(seen)
            await screenshot(page, f"lookback-labels-{width}")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            for one in (".lookback-what", ".lookback-tile"):
                box = await page.locator(one).bounding_box()
                assert box["x"] >= 0, one
                assert box["x"] + box["width"] <= width, one
                assert box["height"] < 200, "a long one is cut"
            assert await faults(page) == []
            await page.mouse.move(0, 0)


async def test_who_may_only_watch_has_no_way_back():
    async with recorded(0) as (stack, open_as):
        with Desk.open(load(stack.folder / "pinhole.toml").portal) as desk:
            desk.add_user("bob", "viewer", password=PASSWORD_OF_BOB)
        page = await open_as("bob", PASSWORD_OF_BOB)
        await until_it_moves(page, await page.evaluate(SHOWN) + 5)
        await expect(page.get_by_role("button", name="Look back")).to_be_hidden()
        await page.keyboard.press("r")
        await expect(page.get_by_role("slider", name="Recorded time")).to_be_hidden()


async def test_a_day_that_could_not_be_asked_for_is_asked_for_again():
    async with recorded(0) as (_, open_as):
        page = await open_as()
        await expect(page.get_by_role("button", name="Look back")).to_be_visible(timeout=PATIENCE_MS)
        await page.keyboard.press("r")
        await page.route("**/commands/recordings", lambda route: route.abort())
        day = page.get_by_label("Day", exact=True)
        await day.fill("2020-01-02")
        await expect(page.get_by_text("The portal cannot be reached.")).to_be_visible(timeout=PATIENCE_MS)
        await page.unroute("**/commands/recordings")
        await day.fill("2020-01-02")
        said = page.get_by_text("Nothing is recorded of this time.")
        await expect(said).to_be_visible(timeout=PATIENCE_MS)


async def test_a_link_leads_to_what_was_recorded_then():
    async with recorded() as (stack, open_as):
        page = await open_as()
        at = int(time.time()) - 5
        await page.goto(f"{stack.url}/?a#/camera/cam/{at}")
        await expect(page.locator(".bar .badge")).to_have_text("Recorded")
        slider = page.get_by_role("slider", name="Recorded time")
        await until_it_moves(page, await page.evaluate(SHOWN))
        assert at - 5 <= float(await slider.get_attribute("aria-valuenow")) <= at + 30
