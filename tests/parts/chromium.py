"""Debian's Chromium, driven by Playwright.

Without a window it is the headless shell, which is what Playwright's own Chromium is: in the whole browser a
page waits for the frames of a window that nobody sees, now and then for ever, and starts a second later. What
the shell lacks are notifications.
"""

import shutil
from contextlib import asynccontextmanager
from pathlib import Path

from parts.need import need

SHELL, WHOLE = "chromium-headless-shell", "chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
NO_PREVIEWS = "localStorage.getItem('pinhole-previews') ?? localStorage.setItem('pinhole-previews', 'off')"
"""An init script for tests that count a camera's viewers: the grid then starts no streams of its own."""
SCREENSHOTS = Path(__file__).parents[2] / ".artifacts" / "screenshots"


REPORTS_BY_SOURCE = "--force-fieldtrials=WebRTC-RFC8888CongestionControlFeedback/Enabled,offer:true/"
"""Offers the feedback of RFC 8888, and reads the ECN field of what arrives."""


def find_chromium(program=SHELL):
    """Its path; skips where it is not installed, and fails in CI."""
    path = shutil.which(program)
    need(path, f"needs {program}: sudo apt-get install {program}")
    return path


@asynccontextmanager
async def chromium(*flags, program=SHELL):
    """Yield a Playwright `Browser`, started with these flags besides the usual ones."""
    path = find_chromium(program)
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*ARGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


async def screenshots(page, name):
    """The same for a phone and a desk, light and dark; the page is a desk's in the end."""
    for width, height, theme in (
        (390, 844, "dark"),
        (390, 844, "light"),
        (1440, 900, "dark"),
        (1440, 900, "light"),
    ):
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=theme)
        await screenshot(page, f"{name}-{width}-{theme}")


async def screenshot(page, name):
    """Keep what the page shows in `.artifacts/screenshots`."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")
