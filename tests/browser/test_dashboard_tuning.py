"""Settings of cameras on the dashboard: what differs, for one and for a group, and what became of it."""

from fakes.bus import state
from parts.chromium import screenshots
from parts.dashboard import enter_password, open_page, sign_in
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.model.sections import SectionsMessage
from agent.model.signal import Command, Result

WENT_BACK = "the device went back to what it had: the portal did not confirm it within 60 s"


class Camera:
    """It has four settings; a rotation cuts it off."""

    def __init__(self, part, name, fps):
        self.part, self.name, self.fps, self.asked = part, name, fps, []
        part.bus.devices[name] = self._do
        part.gateway.on_state(name, state(name=name.title(), understands=("lease", "command")))

    def _do(self, session, message):
        assert isinstance(message, Command)
        value, words = self._shown(), ""
        if message.name == "set":
            self.asked.append(message.arguments)
            words = WENT_BACK if "camera.rotate" in message.arguments else ""
            self.fps = self.fps if words else message.arguments["camera.fps"]
            value = {} if words else {"version": 3, "changed": []}
        ok, code = (False, "went-back") if words else (True, "done")
        self.part.gateway.on_signal(
            self.name, session, Result(0, session, message.name, ok, code, words, value)
        )

    def _shown(self):
        fps = {"key": "camera.fps", "value": self.fps, "standing": None}
        name = {"key": "device.name", "value": self.name, "standing": self.name}
        wait = {"key": "broker.keepalive_s", "value": 30, "standing": 30}
        rotate = {"key": "camera.rotate", "value": 0, "standing": 0}
        version = {"number": 2, "at": 1.8e9, "by": "ann", "changes": {"camera.fps": self.fps}}
        return {"settings": [name, wait, fps, rotate], "versions": [version], "went_back": None}

    def say_it_went_back(self):
        section = {
            "version": 2, "on_trial": False, "problem": "", "went_back": 3,
            "reason": "the portal did not confirm it within 60 s", "went_back_at": 1.8e9,
        }  # fmt: skip
        self.part.gateway.on_sections(self.name, SectionsMessage("boot-1", 1, {"settings": section}))


async def test_what_differs_is_seen_before_it_is_tried_and_what_became_of_it_after():
    async with open_page() as (part, page):
        door, yard = Camera(part, "door", 20), Camera(part, "yard", 10)
        part.desk.put_group("outside", ["door", "yard"])
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/tune/door")
        await expect(page.get_by_role("cell", name="20", exact=True)).to_be_visible()
        keys = page.get_by_role("rowheader")
        await expect(keys).to_contain_text(
            ["camera.fps", "camera.rotate", "device.name", "broker.keepalive_s"]
        )
        await expect(page.get_by_role("list", name="Versions")).to_contain_text("ann")
        await page.get_by_label("New: camera.fps").fill("15")
        changes = page.get_by_role("list", name="What changes")
        await expect(changes).to_have_text("Door: camera.fps 20 15")
        await page.get_by_label("For", exact=True).select_option("group outside")
        await page.get_by_label("New: camera.fps").fill("15")
        await expect(changes.get_by_role("listitem")).to_have_text(
            ["Door: camera.fps 20 15", "Yard: camera.fps 10 15"]
        )
        await page.get_by_role("button", name="Try it").click()
        outcome = page.get_by_role("list", name="What became of it")
        await expect(outcome.get_by_role("listitem")).to_have_text(["Door: stays", "Yard: stays"])
        assert door.asked == yard.asked == [{"camera.fps": 15}]
        await expect(page.get_by_role("button", name="Try it")).to_be_enabled()
        await page.get_by_label("New: camera.rotate").fill("180")
        door.say_it_went_back()
        await page.get_by_role("button", name="Try it").click()
        await expect(outcome).to_contain_text(f"Door: {WENT_BACK}")
        await expect(page.get_by_text("Door went back to what it had")).to_be_visible()
        await expect(page.get_by_role("button", name="Try it")).to_be_enabled()
        await expect(page.get_by_label("New: camera.rotate")).to_have_value("180")
        await screenshots(page, "tuning")


async def test_who_manages_no_camera_gets_no_page_for_it():
    async with open_page() as (part, page):
        Camera(part, "door", 20)
        part.desk.add_user("olga", "operator", password=PASSWORD)
        await page.goto(f"{part.url}/#/links")
        await enter_password(page, "olga")
        tabs = page.get_by_role("navigation", name="Settings")
        await expect(tabs.get_by_role("link", name="Releases")).to_be_visible()
        await expect(tabs.get_by_role("link", name="Camera settings")).to_have_count(0)
        part.desk.grant("olga", "admin", camera="door", group=None)
        await page.reload()
        await expect(tabs.get_by_role("link", name="Camera settings")).to_be_visible()
