"""What was recorded becomes a file on a viewer's machine: whole, playable, and signed by the camera."""

import asyncio
import time
from functools import partial

from parts.axe import faults
from parts.chromium import NO_PREVIEWS, chromium, screenshots
from parts.dashboard import PATIENCE_MS, enter_password, until_phase
from parts.mosquitto import mosquitto
from parts.recordings import decoded
from parts.stack import running_stack
from playwright.async_api import expect

from agent.model.evidence import verify
from agent.signaling.identity import load_key
from agent.signaling.trust import KeyRing, open_sealed

RECORD = '[record]\nmode = "continuous"\nkeyframe_s = 1.0\nmin_free_mb = 0\nmax_mb = 200\n'
CAMERA = 'source = "synthetic"\nwidth_px = 640\nheight_px = 360\nfps = 15'


async def test_a_clip_is_saved_by_keyboard_and_is_what_the_camera_signed(tmp_path):
    with (
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', camera=CAMERA, portal=RECORD) as stack,
    ):
        folder = stack.folder / "camera" / "recordings"
        ends_s = time.monotonic() + PATIENCE_MS / 1000
        while not any(file.stat().st_size > 60_000 for file in folder.glob("*/*-main.mp4")):
            assert time.monotonic() < ends_s
            await asyncio.sleep(0.1)
        async with chromium() as browser:
            page = await browser.new_page(accept_downloads=True)
            page.set_default_timeout(PATIENCE_MS)
            await page.add_init_script(NO_PREVIEWS)
            await page.goto(f"{stack.url}/#/camera/cam")
            await enter_password(page)
            await until_phase(page, "playing")
            await expect(page.get_by_role("button", name="Look back")).to_be_visible()
            await page.keyboard.press("r")
            save = page.get_by_role("button", name="Save", exact=True)
            await save.focus()
            async with page.expect_download() as download:
                await page.keyboard.press("Enter")
            saved = await download.value
            assert saved.suggested_filename.startswith("cam-20")
            await saved.save_as(tmp_path / "clip.mp4")
            await expect(page.get_by_text("Saved: ")).to_be_visible()
            await screenshots(page, "export")
            assert await faults(page) == []
        key = load_key(stack.folder / "camera").verify_key
        ring = KeyRing.of([key.public])
        manifest = verify(tmp_path / "clip.mp4", partial(open_sealed, find_key=ring.find))
        assert manifest.device == "cam"
        assert decoded(tmp_path / "clip.mp4") == sum(part.pictures for part in manifest.parts) > 0
