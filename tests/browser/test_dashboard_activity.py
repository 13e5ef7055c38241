"""What happened, and who watches."""

import time

from fakes.bus import state
from fakes.device import FakeDevice
from parts.chromium import screenshots
from parts.dashboard import enter_password, open_page, sign_in
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.portal.messages import DeviceEvent


async def test_what_happened_stays_after_its_toast():
    async with open_page() as (part, page):
        part.gateway.on_state("front", state())
        part.gateway.on_state("yard", state(name="Yard", boot_id="a"))
        part.gateway.on_event(
            DeviceEvent("front", "camera-failed", "before anybody came", time.time() - 60, "error")
        )
        await sign_in(page, part.url)
        button = page.get_by_role("button", name="Activity")
        await expect(button).to_contain_text("1")
        part.gateway.on_event(
            DeviceEvent("front", "camera-recovered", "The camera works again.", time.time(), "info")
        )
        part.gateway.on_state("front", state(online=False, since=time.time()))
        await expect(button).to_contain_text("3")
        await page.get_by_text("The camera works again.").first.wait_for()
        await button.click()
        rows = page.locator("#activity").get_by_role("listitem")
        await expect(rows).to_have_count(3)
        await expect(rows.nth(0)).to_contain_text("Went offline")
        await expect(rows.nth(1)).to_contain_text("The camera works again.")
        await expect(rows.nth(2)).to_contain_text("before anybody came")
        part.gateway.on_state("yard", state(name="Yard", boot_id="a", online=False, since=time.time()))
        await expect(rows.nth(0)).to_contain_text("Yard")
        part.gateway.on_state("yard", state(name="Yard", boot_id="b"))
        await expect(rows.filter(has_text="Yard")).to_have_count(0)  # it was back at once
        await screenshots(page, "activity")
        await page.reload()
        await expect(page.get_by_role("button", name="Activity", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Activity").click()
        await expect(rows).to_have_count(3)
        await rows.nth(1).get_by_role("link").click()
        await expect(page.locator(".stage")).to_be_visible()


async def test_who_watches_is_told_to_who_may_know_and_nobody_counts_themselves():
    async with open_page() as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(camera="live"))
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        await page.goto(part.url)
        await enter_password(page, "bob")
        await page.get_by_role("link", name="Front door").click()
        await expect(page.locator('.stage[data-phase="playing"]')).to_be_visible()
        part.gateway.on_state("front", state(camera="live", viewers=1))
        await expect(page.locator(".detail")).not_to_contain_text("viewer")
        other = await (await page.context.browser.new_context()).new_page()
        await other.add_init_script("localStorage.setItem('pinhole-previews', 'off')")
        await sign_in(other, part.url)
        await expect(other.get_by_role("link", name="Front door")).to_contain_text("bob watching")
        part.gateway.on_state("front", state(camera="live", viewers=2))
        await expect(other.get_by_role("link", name="Front door")).to_contain_text("bob, 1 other watching")
        await expect(page.locator(".detail")).to_contain_text("1 other viewer")
        await device.close()
