"""Settings of cameras on the dashboard: what differs, for one and for a group, and what became of it."""

from fakes.bus import state
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import enter_password, open_page, sign_in
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.config.changes import settable, value_of
from agent.config.settings import Settings
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
        await expect(page.get_by_role("cell", name="20 frames a second")).to_be_visible()
        keys = page.get_by_role("rowheader")
        await expect(keys).to_contain_text(
            ["camera.fps", "camera.rotate", "device.name", "broker.keepalive_s"]
        )
        await expect(page.get_by_role("list", name="Versions")).to_contain_text("ann")
        await page.get_by_label("New: camera.fps").fill("15")
        changes = page.get_by_role("list", name="What changes")
        await expect(changes).to_have_text("Door: camera.fps 20 15")
        await page.get_by_label("For", exact=True).select_option("group outside")  # what was typed is kept
        await expect(changes.get_by_role("listitem")).to_have_text(
            ["Door: camera.fps 20 15", "Yard: camera.fps 10 15"]
        )
        await page.get_by_role("button", name="Try it").click()
        outcome = page.get_by_role("list", name="What became of it")
        await expect(outcome.get_by_role("listitem")).to_have_text(["Door: stays", "Yard: stays"])
        assert door.asked == yard.asked == [{"camera.fps": 15}]
        await expect(page.get_by_role("button", name="Try it")).to_be_enabled()
        await page.get_by_label("New: camera.rotate").select_option("180")
        door.say_it_went_back()
        await page.get_by_role("button", name="Try it").click()
        await expect(outcome).to_contain_text(f"Door: {WENT_BACK}")
        await expect(page.get_by_text("Door went back to what it had")).to_be_visible()
        await expect(page.get_by_role("button", name="Try it")).to_be_enabled()
        await expect(page.get_by_label("New: camera.rotate")).to_have_value("180")
        await screenshots(page, "tuning")


async def test_each_setting_is_explained_and_what_a_camera_refuses_is_said_beside_it():
    async with open_page() as (part, page):
        door = WholeCamera(part)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/tune/door")
        fps = page.get_by_role("row").filter(has=page.get_by_text("camera.fps", exact=True))
        await expect(fps).to_contain_text("Frame rate")
        await expect(fps).to_contain_text("A number, 1 to 60 frames a second.")
        await expect(fps.get_by_role("cell").nth(0)).to_have_text("15 frames a second")
        await expect(fps.get_by_role("cell").nth(1)).to_have_text("by default")
        await expect(page.get_by_role("columnheader", name="Which camera, and what it")).to_be_visible()
        strange = page.get_by_role("row").filter(has=page.get_by_text("camera.of_tomorrow", exact=True))
        await expect(strange).to_contain_text("7")
        await page.get_by_label("New: camera.fps").fill("61")
        warning = "A number, 1 to 60 frames a second. Only a newer camera may take it."
        await expect(fps.get_by_role("alert")).to_have_text(warning)
        assert await faults(page) == []
        await screenshots(page, "tuning-warning")
        await page.get_by_label("New: camera.fps").fill("30")
        await expect(fps.get_by_role("alert")).to_have_count(0)
        await page.get_by_label("New: camera.rotate").select_option("180")
        await page.get_by_label("New: motion.enabled").select_option("on")
        await page.get_by_label("New: device.name").fill("12")
        await page.get_by_label("New: camera.of_tomorrow").fill("8")
        await page.get_by_label("New: camera.image.lens_position").fill("2")
        await page.get_by_role("button", name="Try it").click()
        lens = page.get_by_role("row").filter(has=page.get_by_text("camera.image.lens_position", exact=True))
        await expect(lens.get_by_role("alert")).to_have_text("is fixed: not with af_mode = auto")
        await expect(page.get_by_label("New: camera.image.lens_position")).to_have_attribute(
            "aria-invalid", "true"
        )
        assert door.asked == [
            {
                "camera.fps": 30, "camera.rotate": 180, "motion.enabled": True, "device.name": "12",
                "camera.of_tomorrow": 8, "camera.image.lens_position": 2,
            }
        ]  # fmt: skip
        await page.get_by_label("New: camera.fps").scroll_into_view_if_needed()
        await expect(page.get_by_role("button", name="Try it")).to_be_enabled()
        for width in (390, 1440):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await faults(page) == []


class WholeCamera(Camera):
    """It has every setting there is, and one of tomorrow; it refuses a lens that is fixed."""

    def __init__(self, part):
        super().__init__(part, "door", 15)

    def _do(self, session, message):
        if message.name != "set":
            return super()._do(session, message)
        self.asked.append(message.arguments)
        words = "camera.image.lens_position = 2: is fixed: not with af_mode = auto"
        result = Result(0, session, "set", False, "invalid", words, None)
        return self.part.gateway.on_signal(self.name, session, result)

    def _shown(self):
        settings = Settings()
        rows = [
            {"key": key, "value": value_of(settings, key), "standing": value_of(settings, key)}
            for key in settable()
        ]
        next(row for row in rows if row["key"] == "camera.fps")["value"] = self.fps
        rows.append({"key": "camera.of_tomorrow", "value": 7, "standing": 7})
        return {"settings": rows, "versions": [], "went_back": None}


class NewerCamera(Camera):
    """Of a later release than the portal: it takes more, and has a choice that is not known here."""

    def _do(self, session, message):
        if message.name != "set":
            return super()._do(session, message)
        self.asked.append(message.arguments)
        value = {"version": 3, "changed": []}
        result = Result(0, session, "set", True, "done", "", value)
        return self.part.gateway.on_signal(self.name, session, result)

    def _shown(self):
        rows = {
            "camera.fps": 20, "camera.image.af_mode": "tracking", "camera.overlay.text": "Gate",
            "camera.bitrate_bps": 2_000_000, "camera.image.lens_position": 1.25,
        }  # fmt: skip
        settings = [{"key": key, "value": value, "standing": value} for key, value in rows.items()]
        return {"settings": settings, "versions": [], "went_back": None}


async def test_an_older_portal_sets_what_a_newer_camera_takes():
    async with open_page() as (part, page):
        door = NewerCamera(part, "door", 20)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/tune/door")
        await page.get_by_label("New: camera.fps").fill("90")
        await expect(page.get_by_role("alert").filter(has_text="newer camera")).to_have_count(1)
        await page.get_by_label("New: camera.image.af_mode").select_option("tracking")
        await page.get_by_role("button", name="Try it").click()
        await expect(page.get_by_role("list", name="What became of it")).to_have_text("Door: stays")
        assert door.asked == [{"camera.fps": 90, "camera.image.af_mode": "tracking"}]


async def test_a_text_is_emptied_and_the_page_says_how():
    async with open_page() as (part, page):
        door = NewerCamera(part, "door", 20)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/tune/door")
        text = page.get_by_role("row").filter(has=page.get_by_text("camera.overlay.text", exact=True))
        await expect(text).to_contain_text('"" makes it empty.')
        await page.get_by_label("New: camera.overlay.text").fill('""')
        changes = page.get_by_role("list", name="What changes")
        await expect(changes).to_have_text("Door: camera.overlay.text Gate nothing")
        await page.get_by_role("button", name="Try it").click()
        await expect(page.get_by_role("list", name="What became of it")).to_have_text("Door: stays")
        assert door.asked == [{"camera.overlay.text": ""}]


async def test_numbers_are_shown_as_they_are_typed_in_every_language():
    async with open_page(locale="de-DE") as (part, page):
        NewerCamera(part, "door", 20)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/tune/door")
        assert await page.evaluate("(1200.5).toLocaleString([])") == "1.200,5"
        for key, now in (("camera.bitrate_bps", "2000000"), ("camera.image.lens_position", "1.25")):
            row = page.get_by_role("row").filter(has=page.get_by_text(key, exact=True))
            await expect(row.get_by_role("cell").nth(0)).to_contain_text(now)
            await expect(page.get_by_label(f"New: {key}")).to_have_attribute("placeholder", now)
        row = page.get_by_role("row").filter(has=page.get_by_text("camera.bitrate_bps", exact=True))
        await expect(row).to_contain_text("100000 to 25000000")


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
