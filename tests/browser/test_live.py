"""The whole of it: the real agent, portal and broker, and the picture in Chromium."""

import re

from parts.chromium import chromium, screenshot
from parts.dashboard import DESKTOP, enter_password, until_phase
from parts.mosquitto import mosquitto
from parts.stack import running_stack
from playwright.async_api import expect

SECONDS = 10

# Counts decoded frames between two calls a known time apart, by the page's own clock.
DECODED_A_SECOND = """async (seconds) => {
  const begin = [performance.now(), pinhole.stats().framesDecoded];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return (pinhole.stats().framesDecoded - begin[1]) / ((performance.now() - begin[0]) / 1000);
}"""


async def test_the_test_picture_plays_with_its_stamp_readable():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        async with chromium() as browser:
            page = await browser.new_page(viewport=DESKTOP)
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
            # The page looks at its statistics once a second, so ten seconds may hold a second more or less.
            assert await page.evaluate(DECODED_A_SECOND, SECONDS) > 30 * (SECONDS - 1.3) / SECONDS
            latencies = await page.evaluate("() => pinhole.latencies")
            assert len(latencies) > 25 * SECONDS, "nearly every stamp was readable"
            await screenshot(page, "live-1440")
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("link", name="Test camera").locator("img")).to_be_visible()
