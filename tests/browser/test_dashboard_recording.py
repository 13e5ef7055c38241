"""What a camera records, among its statistics."""

from fakes.bus import state
from fakes.device import FakeDevice
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import open_page, sign_in, until_phase
from playwright.async_api import expect

from agent.model.sections import SectionsMessage

RECORD = {
    "mode": "event", "state": "recording", "cause": "motion", "problem": "", "streams": "main,preview",
    "used_bytes": 21_400_000_000, "cap_bytes": 59_000_000_000, "oldest_at": 1.7e9,
}  # fmt: skip


async def test_a_camera_says_what_it_records():
    async with open_page() as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(name="Front door", understands=("lease", "command")))

        def say(seq, **changes):
            part.gateway.on_sections("front", SectionsMessage("boot-1", seq, {"record": RECORD | changes}))

        say(1)
        await sign_in(page, part.url)
        await page.locator('[data-device="front"]').click()
        await until_phase(page, "playing")
        await page.get_by_role("button", name="Statistics").click()
        row = page.locator('[data-stat="record"]')
        await expect(row).to_contain_text("Runs")
        await expect(row).to_contain_text("motion · 21.4 GB of 59.0 GB · since ")
        await screenshots(page, "recording")
        assert await faults(page) == []
        say(2, state="failed", problem="/srv/pinhole: no file system is mounted there")
        await expect(row).to_contain_text("Failed")
        await expect(row).to_contain_text("no file system is mounted there")
        say(3, state="off")
        await expect(row).to_be_hidden()
