"""The whole of it: the real agent, portal and broker, and the picture in Chromium."""

import re

from parts.chromium import NO_PREVIEWS, chromium, screenshot
from parts.dashboard import DESKTOP, enter_password, until_phase
from parts.mosquitto import mosquitto
from parts.stack import running_stack
from playwright.async_api import expect

STAMPS = 200
"""That are read off the picture."""
PATIENCE_MS = 90_000


async def test_the_test_picture_plays_with_its_stamp_readable():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        async with chromium() as browser:
            page = await browser.new_page(viewport=DESKTOP)
            await page.add_init_script(NO_PREVIEWS)
            await page.goto(stack.url)
            await enter_password(page)
            await page.get_by_role("link", name="Test camera").click()
            await until_phase(page, "playing")
            await page.keyboard.press("i")
            overlay = page.get_by_role("region", name="Statistics")
            await expect(overlay.locator('[data-stat="path"]')).to_contain_text("host")
            await expect(overlay.locator('[data-stat="size"]')).to_contain_text(re.compile("1280 . 720"))
            await expect(overlay.locator('[data-stat="latency"] .value')).to_have_text(
                re.compile(r"^\d+ ms$")
            )
            await page.wait_for_function(f"() => pinhole.latencies.length >= {STAMPS}", timeout=PATIENCE_MS)
            await screenshot(page, "live-1440")
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("link", name="Test camera").locator("img")).to_be_visible()


async def test_the_grid_watches_previews_and_the_camera_page_shows_what_the_link_does():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        async with chromium() as browser:
            page = await browser.new_page(viewport=DESKTOP)
            await page.goto(stack.url)
            await enter_password(page)
            card = page.get_by_role("link", name="Test camera")
            preview = card.locator("video")
            await expect(preview).to_be_visible(timeout=30_000)
            assert await preview.evaluate("(video) => [video.videoWidth, video.videoHeight]") == [640, 360]
            await expect(card).to_contain_text("Live")
            await expect(card).not_to_contain_text("viewer")  # it is this page itself
            await expect(card.locator(".placeholder")).to_be_hidden()
            await screenshot(page, "grid-live-1440")
            await page.get_by_role("button", name="Live previews").click()
            await expect(preview).to_be_hidden()

            await card.click()
            await until_phase(page, "playing")
            await page.keyboard.press("i")
            overlay = page.get_by_role("region", name="Statistics")
            await expect(overlay.locator('[data-stat="stream"] .value')).to_have_text("Main")
            for stat in ("link", "sent", "bitrate"):
                await expect(overlay.locator(f'[data-stat="{stat}"] .value')).to_have_text(
                    re.compile(r"^[\d.]+ [Mk]b/s$")
                )
            await expect(overlay.locator('[data-stat="queue"] .value')).to_have_text(re.compile(r"^\d+ ms$"))
            await expect(overlay.get_by_role("img")).to_have_attribute(
                "aria-label", re.compile(r"^Target [\d.]+ [Mk]b/s, received [\d.]+ [Mk]b/s$")
            )
            await page.get_by_role("button", name="Small picture").click()
            await expect(overlay.locator('[data-stat="stream"] .value')).to_have_text("Preview")
            await expect(overlay.locator('[data-stat="size"] .value')).to_have_text(re.compile("640 . 360"))
            await page.wait_for_timeout(6_000)  # for the graph to have something to show
            await screenshot(page, "statistics-1440")
            await page.emulate_media(color_scheme="light")
            await screenshot(page, "statistics-light-1440")
            await page.get_by_role("button", name="Small picture").click()
            await expect(overlay.locator('[data-stat="size"] .value')).to_have_text(re.compile("1280 . 720"))
            assert (await page.evaluate("pinhole.state"))["phase"] == "playing", "it is the same session"
