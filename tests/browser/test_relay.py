"""Through a real coturn in Chromium, and what the dashboard says when the relay refuses."""

from parts.chromium import NO_PREVIEWS, chromium, screenshot
from parts.coturn import coturn
from parts.dashboard import DESKTOP, enter_password
from parts.mosquitto import mosquitto
from parts.stack import running_stack
from playwright.async_api import expect


async def test_a_refusing_turn_server_is_named_to_the_viewer(tmp_path):
    credential = tmp_path / "credential"
    credential.touch(mode=0o600)
    credential.write_text("wrong")
    with coturn() as turn, mosquitto() as broker:
        portal = (
            f'[[portal.ice_servers]]\nurls = ["{turn.url("udp")}"]\nusername = "viewer"\n'
            f'credential_file = "{credential}"\n'
        )
        # The device offers no address of its own, so that only the relay could serve.
        webrtc = 'exclude_interfaces = ["*"]\nconnect_timeout_s = 5'
        settings = f'url = "{broker.settings().url}"'
        with running_stack(settings, portal=portal, webrtc=webrtc) as stack:
            async with chromium() as browser:
                page = await browser.new_page(viewport=DESKTOP)
                await page.add_init_script(NO_PREVIEWS)
                await page.goto(stack.url)
                await enter_password(page)
                await page.get_by_role("link", name="Test camera").click()
                await expect(page.get_by_text("401")).to_be_visible(timeout=30_000)
                await screenshot(page, "turn-refused-1440")


async def test_a_turn_server_that_does_not_answer_is_named_to_the_viewer(tmp_path):
    silent = "turn:192.0.2.254:3478?transport=udp"  # TEST-NET-1: nobody answers
    credential = tmp_path / "credential"
    credential.touch(mode=0o600)
    credential.write_text("any")
    with mosquitto() as broker:
        portal = (
            f'[[portal.ice_servers]]\nurls = ["{silent}"]\nusername = "viewer"\n'
            f'credential_file = "{credential}"\n'
        )
        webrtc = (
            'exclude_interfaces = ["*"]\nconnect_timeout_s = 12'  # a server is given up after ten seconds
        )
        with running_stack(f'url = "{broker.settings().url}"', portal=portal, webrtc=webrtc) as stack:
            async with chromium() as browser:
                page = await browser.new_page(viewport=DESKTOP)
                await page.add_init_script(NO_PREVIEWS)
                await page.goto(stack.url)
                await enter_password(page)
                await page.get_by_role("link", name="Test camera").click()
                named = page.get_by_text(f"{silent}: no answer within 10 s")
                await expect(named).to_be_visible(timeout=60_000)
                assert "UDP" not in await page.locator(".stage").inner_text()
