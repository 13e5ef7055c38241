"""A day of stills by the clock: seen on the dashboard as one film, and taken away."""

import re
import time
from datetime import UTC, datetime

import av
from parts.axe import faults
from parts.chromium import NO_PREVIEWS, chromium, screenshots
from parts.dashboard import PATIENCE_MS, enter_password
from parts.mosquitto import mosquitto
from parts.recordings import decoded
from parts.stack import running_stack
from playwright.async_api import expect

from agent.record.jpeg import make_jpeg

CAMERA = 'source = "synthetic"\nwidth_px = 640\nheight_px = 360\nfps = 15'
STILLS = "[stills]\nevery_s = 3600\n[record]\nmin_free_mb = 0\n"
COUNT = 30


def keep_stills(folder):
    """From noon of yesterday on, one a minute, whatever the hour is now; returns when the first was taken."""
    year, month, day, *_ = time.localtime()
    begun = int(time.mktime((year, month, day - 1, 12, 0, 0, 0, 0, -1)))
    for number in range(COUNT):
        at = datetime.fromtimestamp(begun + 60 * number, UTC)
        frame = av.VideoFrame(640, 360, "gray")
        frame.planes[0].update(bytes([8 * number]) * frame.planes[0].buffer_size)
        file = folder / f"{at:%Y-%m-%d}" / f"{at:%H%M%S}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(make_jpeg(frame)[0])
    return begun


async def test_a_days_film_is_made_by_keyboard_seen_and_saved(tmp_path):
    with (
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', camera=CAMERA, portal=STILLS) as stack,
    ):
        begun = keep_stills(stack.folder / "camera" / "recordings" / "lapse")
        stack.restart_agent()
        async with chromium() as browser:
            page = await browser.new_page(accept_downloads=True)
            page.set_default_timeout(PATIENCE_MS)
            await page.add_init_script(NO_PREVIEWS)
            opened = datetime.now().strftime("%Y-%m-%d")  # noqa: DTZ005  # the browser's
            await page.goto(f"{stack.url}/#/lapse/cam")
            await enter_password(page)
            day = page.get_by_label("Day")
            await expect(day).to_be_visible()
            today = datetime.now().strftime("%Y-%m-%d")  # noqa: DTZ005
            await expect(day).to_have_value(re.compile(f"{opened}|{today}"))
            await day.fill(datetime.fromtimestamp(begun).strftime("%Y-%m-%d"))  # noqa: DTZ006  # the browser's
            await day.press("Enter")
            await expect(page.get_by_label("Time-lapse", exact=True)).to_be_visible(timeout=PATIENCE_MS)
            await expect(page.locator(".lapse-time")).to_have_text(
                datetime.fromtimestamp(begun).strftime("%-I:%M:%S %p")  # noqa: DTZ006
            )
            video = page.locator("video.lapse-film")
            await video.evaluate("(video) => { video.currentTime = 10.5 / 12; }")
            await expect(page.locator(".lapse-time")).to_have_text(
                datetime.fromtimestamp(begun + 600).strftime("%-I:%M:%S %p")  # noqa: DTZ006
            )
            await screenshots(page, "lapse")
            assert await faults(page) == []
            async with page.expect_download() as download:
                await page.get_by_role("button", name="Save the film").press("Enter")
            saved = await download.value
            assert saved.suggested_filename.endswith("-lapse.mp4")
            await saved.save_as(tmp_path / "day.mp4")
        assert decoded(tmp_path / "day.mp4") == COUNT
