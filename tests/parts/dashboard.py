"""A page of the dashboard in Chromium, signed in to a portal of its own."""

import asyncio
import time
from contextlib import asynccontextmanager

from parts.chromium import NO_PREVIEWS, SHELL, chromium
from parts.portal import PASSWORD, USER, portal
from playwright.async_api import expect

PATIENCE_MS = 30_000
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
AGAIN = "Press again to confirm"


@asynccontextmanager
async def open_page(*, viewport=None, previews=False, settings=None, program=SHELL, **context):
    """Yield a portal without devices and a page that has not loaded anything; fails on any uncaught error."""
    async with portal(**(settings or {})) as part, chromium(program=program) as browser:
        page = await browser.new_page(viewport=viewport or DESKTOP, **context)
        page.set_default_timeout(PATIENCE_MS)
        if not previews:
            await page.add_init_script(NO_PREVIEWS)
        faults = []
        page.on("pageerror", lambda error: faults.append(error))  # noqa: PLW0108 - Playwright marks the function
        yield part, page
        assert faults == []


async def sign_in(page, url):
    """Load the dashboard and sign in."""
    await page.goto(url)
    await enter_password(page)
    await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()


async def enter_password(page, user=USER, password=PASSWORD):
    """Fill in the sign-in page and send it."""
    await page.get_by_label("User name", exact=True).fill(user)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def choose(page, name):
    """What the grid's menu offers."""
    await page.get_by_role("button", name="Menu", exact=True).click()
    await page.get_by_role("button", name=name).click()


async def confirm(row, name):
    """Press a button that asks to be pressed again, both at once: after some seconds it asks anew."""
    button = row.get_by_role("button", name=name).or_(row.get_by_role("button", name=AGAIN))
    words = await button.evaluate(
        """(button, again) => {
          if (button.textContent !== again) button.click();
          const words = button.textContent;
          button.click();
          return words;
        }""",
        AGAIN,
    )
    assert words == AGAIN


async def confirm_by_keyboard(page, row, name):
    """The same with Enter: the button keeps the focus."""
    await row.get_by_role("button", name=name).press("Enter")
    await expect(row.get_by_role("button", name=AGAIN)).to_be_focused()
    await page.keyboard.press("Enter")


@asynccontextmanager
async def passing(page, condition):
    """After what the block does this JavaScript is true at some time, maybe too shortly for who asks."""
    seen = await page.evaluate_handle(
        f"""() => {{
          const seen = {{ once: false }};
          const look = () => {{ seen.once ||= Boolean({condition}); }};
          const all = {{ attributes: true, characterData: true, childList: true, subtree: true }};
          new MutationObserver(look).observe(document.body, all);
          return seen;
        }}"""
    )
    yield
    await page.wait_for_function("(seen) => seen.once", arg=seen)


async def until(condition, why="what is waited for does not come"):
    """Wait for something that the page has others do."""
    ends_s = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        assert time.monotonic() < ends_s, why
        await asyncio.sleep(0.02)


async def until_phase(page, phase):
    """Wait until the camera view is in a phase, such as asking or playing."""
    await expect(page.locator(f'.stage[data-phase="{phase}"]')).to_be_visible(timeout=PATIENCE_MS)
