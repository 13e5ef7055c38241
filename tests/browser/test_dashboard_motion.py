"""The tuner of motion: what moves over the picture, zones by mouse, finger and keyboard; all at once."""

import time

import pytest
from fakes.bus import state
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import PHONE, open_page, sign_in, until
from playwright.async_api import expect

from agent.model.command import COMMANDS, parse_arguments
from agent.model.sections import SectionsMessage
from agent.model.signal import Command, Result

COLUMNS, ROWS = 32, 18
DIFFERING, MOVING = {(5, 9), (6, 9), (20, 4)}, {(5, 9), (6, 9)}


def mask(cells):
    bits = ["1" if (at % COLUMNS, at // COLUMNS) in cells else "0" for at in range(COLUMNS * ROWS)]
    return f"{int(''.join(bits), 2):0{COLUMNS * ROWS // 4}x}"


class Camera:
    """It keeps how it looks for motion, and sees something move."""

    def __init__(self, part, name="front", title="Front door", sensitivity=50):
        self.part, self.name, self.saved, self.refusal = part, name, [], None
        self.tuning = {"sensitivity": sensitivity, "min_size_percent": 0.3, "zones": []}
        self.state, self.asked = "moving", 0
        part.bus.devices[name] = self._do
        part.gateway.on_state(name, state(name=title, understands=("lease", "command")))
        said = {"motion": {"state": "idle", "since": 0.0, "zones": []}}
        part.gateway.on_sections(name, SectionsMessage("boot-1", 1, said))

    def _do(self, session, message):
        if not isinstance(message, Command):
            return  # it gives no live picture here
        value, code, words = self.tuning, "done", ""
        if message.name == "motion-now":
            self.asked += 1
            value = {
                "at": time.time(), "columns": COLUMNS, "rows": ROWS, "state": self.state, "score": 0.8,
                "differing": mask(DIFFERING), "moving": mask(MOVING), "zones": ["Zone 1"],
                "is_raining": False,
            }  # fmt: skip
        elif message.name == "set-motion":
            parse_arguments(COMMANDS["set-motion"], message.arguments)
            self.saved.append(message.arguments)
            self.tuning = value = message.arguments
            if self.refusal:
                code, words = self.refusal
        result = Result(0, session, message.name, code == "done", code, words, value)
        self.part.gateway.on_signal(self.name, session, result)


@pytest.fixture
async def opened(request):
    viewport = getattr(request, "param", None)
    async with open_page(viewport=viewport, has_touch=viewport is not None) as (part, page):
        camera = Camera(part)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/motion/front")
        sensitivity = page.get_by_label("Sensitivity", exact=True)
        await expect(sensitivity).to_be_visible()  # 50 also stands there before the camera answered
        await expect(sensitivity).to_have_value("50")
        yield camera, page


def corner(page, zone, number):
    return page.get_by_role("button", name=f"{zone}, corner {number}:")


async def in_force(page):
    await expect(page.get_by_text("In force.", exact=True)).to_be_visible()


async def test_what_moves_is_drawn_over_the_picture(opened):
    camera, page = opened
    await expect(page.get_by_text("Something moves in Zone 1. As clear as 80 %.")).to_be_visible()
    colours = await page.locator(".motion-cells").evaluate(
        """(canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const found = {};
            for (let at = 0; at < data.length; at += 4)
                if (data[at + 3])
                    found[`${(at / 4) % canvas.width},${Math.floor(at / 4 / canvas.width)}`] =
                        data[at + 1] > 128;
            return found;
        }"""
    )
    assert colours == {"5,9": False, "6,9": False, "20,4": True}, "red moves, yellow differs"
    camera.state = "light"
    await expect(page.get_by_text("The light has changed")).to_be_visible()
    await page.goto(page.url.partition("#")[0] + "#/account")
    await expect(page.get_by_role("heading", name="Account")).to_be_visible()
    asked = camera.asked
    await page.wait_for_timeout(1500)
    assert camera.asked <= asked + 1, "nobody looks any more"


async def test_by_mouse(opened):
    camera, page = opened
    await page.get_by_role("button", name="Add a zone").click()
    await in_force(page)
    board = await page.get_by_role("group", name="Zones over the picture").bounding_box()

    async def drag(start, end):
        (x0, y0), (x1, y1) = start, end
        await page.mouse.move(board["x"] + board["width"] * x0, board["y"] + board["height"] * y0)
        await page.mouse.down()
        await page.mouse.move(board["x"] + board["width"] * x1, board["y"] + board["height"] * y1, steps=4)
        await page.mouse.up()

    await drag((0.35, 0.35), (0.1, 0.2))
    await drag((0.5, 0.5), (0.6, 0.4))
    await page.get_by_label("Name", exact=True).fill("Door")
    await page.get_by_label("Sensitivity, 0 to 100").fill("80")
    await in_force(page)
    (zone,) = camera.saved[-1]["zones"]
    assert (zone["name"], zone["sensitivity"]) == ("Door", 80)
    assert (zone["min_size_percent"], zone["is_ignored"]) == (None, False)
    wanted = [(0.2, 0.1), (0.75, 0.25), (0.75, 0.55), (0.45, 0.55)]
    for (x, y), (wanted_x, wanted_y) in zip(zone["points"], wanted, strict=True):
        assert abs(x - wanted_x) < 0.01
        assert abs(y - wanted_y) < 0.01
    await screenshots(page, "motion")
    assert await faults(page) == []


async def test_by_keyboard_alone(opened):
    camera, page = opened
    sensitivity = page.get_by_label("Sensitivity", exact=True)
    await sensitivity.focus()
    await page.keyboard.press("ArrowRight")
    await in_force(page)
    assert camera.saved[-1]["sensitivity"] == 55
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Add a zone")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(corner(page, "Zone 1", 1)).to_be_focused()
    for key in ("ArrowLeft", "Shift+ArrowUp", "Tab", "+", "ArrowDown", "Tab", "Delete"):
        await page.keyboard.press(key)
    await expect(corner(page, "Zone 1", 3)).to_have_accessible_name(
        "Zone 1, corner 3: 65 % from the left, 51 % from the top"
    )
    await in_force(page)
    assert camera.saved[-1]["zones"][0]["points"] == [[0.34, 0.3], [0.65, 0.35], [0.65, 0.51], [0.35, 0.65]]
    await page.get_by_label("Motion in it").select_option("is none")
    await in_force(page)
    assert camera.saved[-1]["zones"][0]["is_ignored"] is True
    await page.get_by_role("button", name="Remove: Zone 1").press("Enter")
    await expect(page.get_by_role("button", name="Add a zone")).to_be_focused()
    await in_force(page)
    assert camera.saved[-1]["zones"] == []


@pytest.mark.parametrize("opened", [PHONE], indirect=True)
async def test_by_finger(opened):
    camera, page = opened
    await page.get_by_role("button", name="Add a zone").tap()
    await page.get_by_role("button", name="Add a corner: Zone 1").tap()
    await in_force(page)
    assert len(camera.saved[-1]["zones"][0]["points"]) == 5
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_what_cannot_be_is_not_sent_and_what_is_refused_is_said(opened):
    camera, page = opened
    await page.get_by_role("button", name="Add a zone").click()
    await in_force(page)
    saved = len(camera.saved)
    await page.get_by_label("Name", exact=True).fill("")
    await expect(page.get_by_text("Not in force: Name:")).to_be_visible()
    assert len(camera.saved) == saved
    camera.refusal = "not-kept", "no space left on device"
    await page.get_by_label("Name", exact=True).fill("Gate")
    await expect(page.get_by_text("Not in force: no space left on device")).to_be_visible()


MEANWHILE = """(act) => {
    const field = document.querySelector("[name=motion-sensitivity]");
    field.value = 85;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    const whom = document.querySelector("[name=motion-camera]");
    if (!act) return (location.hash = "#/account");
    whom.value = act;
    whom.dispatchEvent(new Event("change", { bubbles: true }));
}"""
"""A change, and at once another camera or none."""


async def test_what_was_changed_is_told_the_camera_of_which_it_was(opened):
    front, page = opened
    await page.get_by_role("button", name="Add a zone").click()
    await in_force(page)
    yard = Camera(front.part, "yard", "Yard", 30)
    await page.reload()
    sensitivity = page.get_by_label("Sensitivity", exact=True)
    await expect(sensitivity).to_have_value("50")
    box = await corner(page, "Zone 1", 1).bounding_box()
    await page.mouse.move(box["x"] + 5, box["y"] + 5)
    await page.mouse.down()
    await page.evaluate(MEANWHILE, "yard")
    await expect(sensitivity).to_have_value("30")
    await until(lambda: front.saved[-1]["sensitivity"] == 85)
    await page.mouse.move(box["x"] + 50, box["y"] + 50, steps=3)
    await page.mouse.up()
    await expect(page.locator(".mask-handle")).to_have_count(0)
    await page.evaluate(MEANWHILE, None)
    await until(lambda: yard.saved)
    assert [one["sensitivity"] for one in yard.saved] == [85], "what was changed last is told by who leaves"
    assert yard.saved[0]["zones"] == []
    assert len(front.saved) == 2


async def test_without_a_camera_that_looks_it_says_how_to_have_one():
    async with open_page() as (part, page):
        part.gateway.on_state("front", state(name="Front door"))
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/motion")
        await expect(page.get_by_text("set motion.enabled in its settings")).to_be_visible()
