"""axe-core finds nothing on any page, in any state, as wide as a phone and a desk, dark and light."""

import time

from fakes.bus import state
from fakes.device import FakeDevice
from parts.axe import faults
from parts.dashboard import DESKTOP, PHONE, enter_password, open_page, until_phase
from parts.portal import PASSWORD, USER
from playwright.async_api import expect

from agent.model.health import Health, HealthFault
from agent.model.signal import Release, StreamInfo
from agent.portal.accounts import shares
from agent.portal.messages import DeviceEvent

HD = (StreamInfo("main", 1280, 720, 30, 2_000_000), StreamInfo("preview", 640, 360, 10, 500_000))
FAULT = HealthFault("clock", "9 s behind the portal: offers look expired", "sudo timedatectl set-ntp true")
PAGES = (
    "account",
    "events",
    "notifications",
    "lapse",
    "links",
    "releases",
    "tune",
    "masks",
    "motion",
    "cameras",
    "users",
    "groups",
    "audit",
)
LOOKS = [(DESKTOP, "dark", "light"), (PHONE, "light", "dark")]
COLOURS = ["color-contrast", "link-in-text-block"]


class Looker:
    """Collects what axe-core finds, so that one run tells it all."""

    def __init__(self, page):
        self._page = page
        self.found = []

    async def look(self, name):
        """With every rule, as wide as a phone and a desk; in the other theme with those about colours."""
        for viewport, theme, other in LOOKS:
            await self._page.set_viewport_size(viewport)
            await self._page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # nothing half faded
            lines = await faults(self._page)
            await self._page.emulate_media(color_scheme=other)
            lines += await faults(self._page, COLOURS)
            self.found += [f"{name}, {viewport['width']}: {line}" for line in lines]


def fleet(part):
    """A camera in each state, and a roll-out with its mishaps."""
    now = time.time()
    release = Release(since=now - 1800)
    for device, fields in {
        "front": {"name": "Front door", "camera": "live", "viewers": 2, "release": release},
        "yard": {"name": "Back yard", "release": Release(on_trial=True, since=now)},
        "garage": {"name": "Garage", "camera": "starting", "version": "1.2.2"},
        "barn": {
            "name": "Barn",
            "camera": "failed",
            "problem": "The sensor does not answer. Check its cable.",
        },
        "gate": {"name": "Gate", "release": Release(since=now, given_back="1.2.3", reason="no picture")},
    }.items():
        part.gateway.on_state(device, state(streams=HD, **fields))
    part.gateway.on_state("gate", state(name="Gate", streams=HD, online=False, since=now - 600))
    part.gateway.on_health("front", Health(1000.0, "symmetric", is_carrier=True, faults=(FAULT,)))
    part.gateway.on_event(DeviceEvent("barn", "camera-failed", "The sensor does not answer.", now, "error"))


async def test_the_way_in_hinders_nobody():
    async with open_page() as (part, page):
        looker = Looker(page)
        await page.goto(part.url)
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()
        await looker.look("sign in")
        await enter_password(page, password="wrong")
        await expect(page.get_by_role("alert")).to_contain_text("not the right user name")
        await looker.look("wrong password")
        link = part.desk.add_user("bob", "viewer")
        await page.goto(f"{part.url}/?a#/welcome/{link}")
        await expect(page.get_by_label("New password")).to_be_visible()
        await looker.look("welcome")
        await page.goto(f"{part.url}/?b#/share/nothing")
        await expect(page.get_by_role("heading", name="This link is no longer good")).to_be_visible()
        await looker.look("link is over")
        part.gateway.on_state("front", state(streams=HD))
        token, _ = await part.accounts.store.run(
            lambda db: shares.make(db, "front", "plumber", USER, 3600, time.time())
        )
        await page.goto(f"{part.url}/?c#/share/{token}")
        await until_phase(page, "asking")
        await looker.look("shared")
        assert looker.found == []


async def test_the_cameras_hinder_nobody():
    async with open_page() as (part, page):
        looker = Looker(page)
        await page.goto(part.url)
        await enter_password(page)
        await expect(page.get_by_role("heading", name="No cameras yet")).to_be_visible()
        await looker.look("no cameras")
        fleet(part)
        await expect(page.get_by_role("link")).to_have_count(5)
        await looker.look("grid")
        for number in range(12):
            part.gateway.on_state(f"cam-{number}", state(name=f"Camera {number}", streams=HD))
        await expect(page.get_by_role("link")).to_have_count(17)
        await looker.look("many")
        for name in ("Activity", "Menu"):
            await page.get_by_role("button", name=name).click()
            await looker.look(name)
            await page.keyboard.press("Escape")
        await page.get_by_label("Search cameras").fill("nothing of this name")
        part.gateway.on_broker(connected=False)
        await expect(page.get_by_role("alert")).to_be_visible()
        await looker.look("nothing found, broker away")
        part.gateway.on_broker(connected=True)
        await expect(page.get_by_role("alert")).to_be_hidden()

        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        for camera, title in (
            ("gate", "The camera is offline"),
            ("barn", "The camera has failed"),
            ("nowhere", "There is no such camera here"),
        ):
            await page.goto(f"{part.url}/#/camera/{camera}")
            await expect(page.get_by_role("heading", name=title)).to_be_visible()
            await looker.look(title)
        await page.goto(f"{part.url}/#/camera/front")
        await until_phase(page, "playing")
        await looker.look("playing")
        await page.keyboard.press("i")
        await looker.look("statistics")
        await page.keyboard.press("i")
        await page.keyboard.press("?")
        await looker.look("help")
        await page.keyboard.press("Escape")
        device.mode = "silent"  # else it soon plays again
        await device.hang_up()
        await expect(page.locator(".has-picture .panel")).to_be_visible(timeout=30_000)
        await looker.look("lost")
        await device.close()
        assert looker.found == []


async def test_the_settings_hinder_nobody():
    async with open_page() as (part, page):
        looker = Looker(page)
        fleet(part)
        part.desk.put_group("Yard and gate", ["yard", "gate"])
        part.desk.add_user("bob", None, cameras=["front"], groups=["Yard and gate"], password=PASSWORD)
        await page.goto(part.url)
        await enter_password(page)
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        for name in PAGES:
            await page.evaluate("(name) => { location.hash = `#/${name}` }", name)
            current = page.get_by_role("navigation").locator("[aria-current]")
            await expect(current).to_have_attribute("href", f"#/{name}")
            await expect(page.locator("main > h1 + *").locator("*").first).to_be_attached()
            for summary in await page.locator("summary").all():
                await summary.click()
            if name == "links":
                await page.get_by_label("For whom").fill("the plumber")
                await page.get_by_role("button", name="Make a link").click()
                await expect(page.get_by_role("textbox", name="Link")).to_be_visible()
            if name == "account":
                await page.get_by_role("button", name="Set up").click()
                await expect(page.get_by_role("img", name="QR code")).to_be_visible()
            await looker.look(name)
        assert looker.found == []
