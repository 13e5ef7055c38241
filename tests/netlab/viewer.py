"""The viewer: Debian's Chromium in the viewer's namespace, on the real dashboard."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from netlab.internet import Internet
from netlab.namespaces import LabError
from netlab.servers import PORTAL_PORT, Service
from parts.chromium import ARGS, NO_PREVIEWS, find_chromium
from parts.portal import PASSWORD, USER
from playwright.async_api import Page, async_playwright

PATIENCE_S = 30.0
POLL_S = 0.05
# The lab's CA is in no trust store, and TURN over TLS is checked like a web site.
# The portal's address is plain HTTP, and what a bench reads of a picture takes a secure context.
_ARGS = [
    *ARGS,
    "--ignore-certificate-errors",
    f"--unsafely-treat-insecure-origin-as-secure=http://portal.test:{PORTAL_PORT}",
]
_SIGN_IN = """async ([user, password]) => (await fetch("api/login", {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({user, password})
})).status"""


@dataclass(frozen=True, slots=True)
class Playback:
    """One click on the camera. `first_frame_ms` counts from the attempt that worked."""

    first_frame_ms: float
    failed_attempts: tuple[str, ...]
    """The dashboard's word for each attempt before."""


@asynccontextmanager
async def viewing(
    lab: Internet, service: Service, host: str = "viewer", flags: Sequence[str] = ()
) -> AsyncIterator[Page]:
    """Yield a page of the dashboard in a browser on `host`, signed in, that shows the grid.

    The browser is started with `flags` besides the usual ones.
    """
    file = lab.spaces.folder / f"chromium-{host}"
    program = lab.spaces.script(host, file, find_chromium())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*_ARGS, *flags])
        try:
            page = await browser.new_page()
            await page.add_init_script(NO_PREVIEWS)
            await page.goto(service.url)
            status = await page.evaluate(_SIGN_IN, [USER, PASSWORD])
            if status >= 300:
                raise LabError(f"the portal refuses to sign us in: {status}")
            await page.goto(f"{service.url}/?in")
            await page.wait_for_function("() => pinhole.state.devices > 0", timeout=PATIENCE_S * 1000)
            yield page
        finally:
            await browser.close()


async def play(page: Page) -> Playback:
    """Click on the camera and wait for its picture. Raises LabError."""
    await page.evaluate("() => { location.hash = '#/'; }")
    await asyncio.sleep(0.3)
    await page.evaluate("() => { location.hash = '#/camera/cam'; }")
    failures: list[str] = []
    deadline_s = time.monotonic() + PATIENCE_S
    was_retrying = False
    while True:
        phase = await page.evaluate("() => pinhole.state.phase")
        if phase == "playing":
            first_ms = await page.evaluate("() => pinhole.stats().firstPictureMs")
            return Playback(first_ms, tuple(failures))
        is_retrying = phase in ("retrying", "unsupported")
        if is_retrying and not was_retrying:
            failures.append(" ".join((await page.locator(".message").inner_text()).split()))
        if time.monotonic() > deadline_s:
            raise LabError(f"no picture within {PATIENCE_S:.0f} s, but {phase}: {'; '.join(failures)}")
        was_retrying = is_retrying
        await asyncio.sleep(POLL_S)


async def statistics(page: Page) -> dict[str, Any]:
    """Return what the dashboard's overlay knows, the device's view of the path included."""
    await page.wait_for_function(
        "() => pinhole.stats().device && pinhole.stats().path", timeout=PATIENCE_S * 1000
    )
    said: dict[str, Any] = await page.evaluate("() => pinhole.stats()")
    return said
