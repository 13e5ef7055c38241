"""The page of a camera whose head is on a pseudo terminal: a real agent, portal and broker, and Chromium."""

from contextlib import asynccontextmanager

from parts.chromium import NO_PREVIEWS, chromium
from parts.dashboard import DESKTOP, PATIENCE_MS, enter_password, until_phase
from parts.mosquitto import mosquitto
from parts.stack import running_stack
from parts.wired_head import WiredHead


@asynccontextmanager
async def head_page(tmp_path, head, more="", protocol="pelco-d"):
    """The stack, and how to open its page as somebody; `more` settings of the head."""
    link = tmp_path / "head"
    settings = f'[ptz]\nport = "{link}"\nprotocol = "{protocol}"\n{more}'
    with (
        WiredHead(head, link),
        mosquitto() as broker,
        running_stack(f'url = "{broker.settings().url}"', portal=settings) as stack,
    ):
        async with chromium() as browser:

            async def open_as(user="ann", **context):
                page = await browser.new_page(viewport=context.pop("viewport", DESKTOP), **context)
                page.set_default_timeout(PATIENCE_MS)
                await page.add_init_script(NO_PREVIEWS)
                await page.goto(f"{stack.url}/#/camera/cam")
                await enter_password(page, user)
                await until_phase(page, "playing")
                return page

            yield stack, open_as
