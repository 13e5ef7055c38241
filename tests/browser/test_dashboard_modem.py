"""A camera's modem on the dashboard: on its card, and in its view with a day of the signal."""

import math

from fakes.bus import state
from fakes.device import FakeDevice
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import enter_password, open_page, sign_in, until_phase
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.model.sections import SectionsMessage
from agent.model.signal import Command, Result

MODEM = {
    "source": "modemmanager", "state": "connected", "model": "EG25-G", "operator": "Net", "technology": "LTE",
    "band": "B20", "cell": "262-02-2B6C-01A2D003", "rsrp_dbm": -97.0, "rsrq_db": -11.0, "sinr_db": 8.4,
    "signal": "fair", "signal_bars": 3, "sim": "ready", "resets": 2, "last_step": "reset-modem",
    "sms_done": 3, "sms_refused": 12, "interfaces": [
        {"name": "wwan0", "received_bytes": 31_000_000_000, "sent_bytes": 120_000_000_000},
        {"name": "wlan0", "received_bytes": 1_000_000, "sent_bytes": 2_000_000},
    ],
}  # fmt: skip
PLAN = {"since": "2027-01-01", "used_bytes": 3_100_000_000, "cap_bytes": 10_000_000_000, "is_exceeded": False}
DAY = range(288)
HISTORY = {
    "until": 1.8e9,
    "interval_s": 300.0,
    "rsrp_dbm": [None if 100 <= n < 112 else round(-97 + 8 * math.sin(n / 30), 1) for n in DAY],
    "sinr_db": [round(8 + 6 * math.sin(n / 17), 1) for n in DAY],
    "sent_bps": [int(900_000 * max(0, math.sin(n / 45))) for n in DAY],
}


def plug_in(part, name="front", seq=1, **modem):
    """A camera with a modem."""
    device = FakeDevice(part.gateway, name)

    def answer(session, message):
        if isinstance(message, Command):
            result = Result(0, session, message.name, ok=True, code="done", value=HISTORY)
            part.gateway.on_signal(name, session, result)
        else:
            device.on_message(session, message)

    part.bus.devices[name] = answer
    part.gateway.on_state(name, state(name=f"{name.title()} door", understands=("lease", "command")))
    sections = {"modem": MODEM | modem, "plan": PLAN}
    part.gateway.on_sections(name, SectionsMessage("boot-1", seq, sections))


async def test_a_camera_shows_its_modem_and_a_day_of_its_signal():
    async with open_page() as (part, page):
        plug_in(part)
        plug_in(
            part, "yard", state="sim-missing", reason="there is no SIM card in it", signal="", signal_bars=0
        )
        part.gateway.on_state("hall", state(name="Hall"))
        await sign_in(page, part.url)
        card = page.locator('[data-device="front"]')
        await expect(card).to_contain_text("Fair signal · Net LTE B20")
        await expect(card.locator(".bars .on")).to_have_count(3)
        await expect(page.locator('[data-device="yard"]')).to_contain_text("No SIM card")
        await expect(page.locator('[data-device="hall"] .signal')).to_be_hidden()
        await screenshots(page, "modem-cards")
        await card.click()
        await until_phase(page, "playing")
        await page.get_by_role("button", name="Modem: Fair signal · Net LTE B20").click()
        panel = page.locator("#modem")
        await expect(panel).to_contain_text("used 3.1 GB of 10.0 GB")
        await expect(panel).to_contain_text("-97 dBm · 8.4 dB above noise · RSRQ -11 dB")
        await expect(panel).to_contain_text("262-02-2B6C-01A2D003")
        await expect(panel).to_contain_text("2 steps, the last: reset-modem")
        await expect(panel).to_contain_text("3 done, 12 refused")
        lines = panel.locator("dd > span")
        await expect(lines).to_have_text(["wwan0: 31.0 GB in, 120.0 GB out", "wlan0: 1 MB in, 2 MB out"])
        await expect(panel.get_by_role("group", name="Power (RSRP): -105 to -89 dBm")).to_be_visible()
        await expect(panel.get_by_role("group", name="Sent: 0 kb/s to 900 kb/s")).to_be_visible()
        assert await panel.locator("svg").first.locator("polyline").count() == 2, "a gap is a gap"
        await screenshots(page, "modem")
        assert await faults(page) == []
        plug_in(part, seq=2, state="searching", reason="it looks for a network", signal="poor", signal_bars=0)
        await expect(panel).to_contain_text("it looks for a network")


async def test_who_only_watches_sees_no_cell_and_no_graph():
    async with open_page() as (part, page):
        plug_in(part)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        part.desk.add_user("bob", None, cameras=["front"], password=PASSWORD)
        await page.goto(part.url)
        await enter_password(page, "bob")
        await page.get_by_role("link", name="Front door").click()
        await until_phase(page, "playing")
        async with page.expect_response("**/commands"):
            await page.get_by_role("button", name="Modem: Fair signal").click()
        panel = page.locator("#modem")
        await expect(panel).to_contain_text("used 3.1 GB")
        await expect(panel).not_to_contain_text("262-02")
        await expect(panel.get_by_role("group")).to_have_count(0)
        assert not [url for url in asked if "modem-history" in url], "a refusal would be in the audit log"
