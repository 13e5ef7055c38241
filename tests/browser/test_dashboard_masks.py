"""The editor of privacy masks: by mouse, by finger and by keyboard alone; what it saves is what was drawn."""

import base64
import time

import pytest
from fakes.bus import state
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import PHONE, enter_password, open_page, sign_in
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.camera.picture import TestPicture
from agent.model.command import COMMANDS, parse_arguments
from agent.model.sections import SectionsMessage
from agent.model.signal import Command, Result
from agent.model.still import MAX_SMALL_BYTES
from agent.record.jpeg import make_jpeg

SQUARE = "0.35,0.35 0.65,0.35 0.65,0.65 0.35,0.65"


class Camera:
    """It keeps its masks."""

    def __init__(self, part, name="front", title="Front door", **sections):
        self.part, self.name, self.saved, self.refusal = part, name, [], None
        self.is_dark = self.is_slow = False
        self.masks = {
            "state": "none", "problem": "", "polygons": [],
            "preset": 0, "version": 0, "set_at": 0, "set_by": "",
        }  # fmt: skip
        picture = TestPicture(640, 360, 30).draw(0, 1_800_000_000_000)
        self.jpeg, *_ = make_jpeg(picture, 640, MAX_SMALL_BYTES)
        part.bus.devices[name] = self._do
        part.gateway.on_state(name, state(name=title, understands=("lease", "command")))
        said = {"masks": {"state": "none", "problem": "", "version": 0}} | sections
        part.gateway.on_sections(name, SectionsMessage("boot-1", 1, said))

    def _do(self, session, message):
        assert isinstance(message, Command)
        if message.name == "snapshot" and self.is_slow:
            return
        value, code, words = {}, "done", ""
        if message.name == "snapshot" and self.is_dark:
            code, words = "no-picture", "the camera gives no picture"
        elif message.name == "snapshot":
            jpeg = base64.b64encode(self.jpeg).decode()
            value = {"jpeg": jpeg, "taken_at": time.time(), "width_px": 640, "height_px": 360}
        elif message.name == "set-masks" and self.refusal:
            code, words = self.refusal
        else:
            if message.name == "set-masks":
                parse_arguments(COMMANDS["set-masks"], message.arguments)
                self.saved.append(message.arguments)
                self.masks |= message.arguments | {
                    "state": "in-force" if message.arguments["polygons"] else "none",
                    "problem": "", "version": len(self.saved), "set_at": time.time(), "set_by": message.user,
                }  # fmt: skip
            value = self.masks
        result = Result(0, session, message.name, code == "done", code, words, value)
        self.part.gateway.on_signal(self.name, session, result)


@pytest.fixture
async def opened(request):
    viewport = getattr(request, "param", None)
    async with open_page(viewport=viewport, has_touch=viewport is not None) as (part, page):
        camera = Camera(part)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/masks/front")
        await expect(page.get_by_text("No masks.", exact=True)).to_be_visible()
        await expect(page.get_by_text("The camera's picture of")).to_be_visible()
        yield camera, page


def corner(page, mask, number):
    return page.get_by_role("button", name=f"Mask {mask}, corner {number}:")


async def save(page):
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("In force: ")).to_be_visible()


async def test_by_mouse(opened):
    camera, page = opened
    await page.get_by_role("button", name="Add a mask").click()
    await expect(page.get_by_text("Not saved yet")).to_be_visible()
    board = await page.get_by_role("group", name="Masks over the picture").bounding_box()

    async def drag(start, end):
        (x0, y0), (x1, y1) = start, end
        await page.mouse.move(board["x"] + board["width"] * x0, board["y"] + board["height"] * y0)
        await page.mouse.down()
        await page.mouse.move(board["x"] + board["width"] * x1, board["y"] + board["height"] * y1, steps=4)
        await page.mouse.up()

    await drag((0.35, 0.35), (0.1, 0.2))
    await drag((0.5, 0.5), (0.6, 0.4))  # the whole mask
    await drag((0.75, 0.55), (1.3, 0.9))  # no further than the picture
    await save(page)
    (saved,) = camera.saved
    corners = [[float(each) for each in text.split(",")] for text in saved["polygons"][0].split(" ")]
    wanted = [(0.2, 0.1), (0.75, 0.25), (1.0, 0.9), (0.45, 0.55)]
    for (x, y), (wanted_x, wanted_y) in zip(corners, wanted, strict=True):
        assert abs(x - wanted_x) < 0.01
        assert abs(y - wanted_y) < 0.01
    await expect(page.get_by_text("In force: 1 mask, set by")).to_be_visible()
    await screenshots(page, "masks")
    assert await faults(page) == []


async def test_by_keyboard_alone(opened):
    camera, page = opened
    await page.get_by_label("Camera", exact=True).focus()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Add a mask")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(corner(page, 1, 1)).to_be_focused()
    for key in ("ArrowLeft", "Shift+ArrowUp", "Tab", "+", "ArrowDown", "Tab", "Delete"):
        await page.keyboard.press(key)
    await expect(corner(page, 1, 4)).to_be_focused()
    await expect(corner(page, 1, 3)).to_have_accessible_name(
        "Mask 1, corner 3: 65 % from the left, 51 % from the top"
    )
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.get_by_role("button", name="Save").evaluate("(one) => one === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("In force: 1 mask")).to_be_visible()
    assert camera.saved == [
        {"polygons": ["0.34,0.3 0.65,0.35 0.65,0.51 0.35,0.65"], "preset": 0},
    ]
    await page.get_by_role("button", name="Remove mask 1").press("Enter")
    await expect(page.get_by_role("button", name="Add a mask")).to_be_focused()
    await page.get_by_role("button", name="Save").press("Enter")
    await expect(page.get_by_text("No masks: ")).to_be_visible()
    assert camera.saved[-1] == {"polygons": [], "preset": 0}


async def test_masks_are_saved_again_while_the_picture_under_them_is_on_its_way(opened):
    camera, page = opened
    camera.is_slow = True
    await page.get_by_role("button", name="Add a mask").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("In force: 1 mask")).to_be_visible()
    await expect(page.get_by_text("Taking a picture …")).to_be_visible()
    await page.get_by_role("button", name="Remove mask 1").click()
    await page.get_by_role("button", name="Save").press("Enter")
    await expect(page.get_by_text("No masks: ")).to_be_visible()
    assert [len(saved["polygons"]) for saved in camera.saved] == [1, 0]


@pytest.mark.parametrize("opened", [PHONE], indirect=True)
async def test_by_finger(opened):
    camera, page = opened
    await page.get_by_role("button", name="Add a mask").tap()
    await page.get_by_role("button", name="Add a corner to mask 1").tap()
    await expect(page.get_by_text("Mask 1, 5 corners")).to_be_visible()
    box = await corner(page, 1, 4).bounding_box()
    board = await page.get_by_role("group", name="Masks over the picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = await page.context.new_cdp_session(page)

    async def touch(kind, *points):
        await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    await touch("touchStart", {"x": x, "y": y})
    for step in range(1, 5):
        await touch("touchMove", {"x": x + board["width"] * 0.05 * step, "y": y})
    await touch("touchEnd")
    await expect(corner(page, 1, 4)).to_have_accessible_name(
        "Mask 1, corner 4: 85 % from the left, 65 % from the top"
    )
    await save(page)
    (saved,) = camera.saved
    corners = saved["polygons"][0].split(" ")
    assert len(corners) == 5
    assert abs(float(corners[3].split(",")[0]) - 0.85) < 0.01


async def test_what_the_camera_refuses_is_said_and_what_was_drawn_stays(opened):
    camera, page = opened
    camera.refusal = "not-kept", "nothing was changed: no space left on device"
    await page.get_by_role("button", name="Add a mask").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_have_text("nothing was changed: no space left on device")
    await expect(corner(page, 1, 4)).to_be_visible()
    await expect(page.get_by_text("Not saved yet")).to_be_visible()


async def test_what_was_drawn_and_not_saved_is_there_again_when_its_camera_is(opened):
    front, page = opened
    yard = Camera(front.part, "yard", "Yard")
    yard.is_dark = True
    await page.reload()
    picture = page.locator(".mask-board img")
    await expect(picture).to_be_visible()
    await page.get_by_role("button", name="Add a mask").click()
    whom = page.get_by_label("Camera", exact=True)
    await whom.select_option("yard")
    kept = page.get_by_text("Not saved yet, and kept while this page is open: the masks of Front door.")
    await expect(kept).to_be_visible()
    await expect(page.get_by_text("No picture: the camera gives no picture.")).to_be_visible()
    await expect(picture).to_be_hidden()
    await expect(page.locator(".mask-handle")).to_have_count(0)
    await whom.select_option("front")
    await expect(corner(page, 1, 4)).to_be_visible()
    await expect(page.get_by_text("Not saved yet: what")).to_be_visible()
    await expect(kept).to_be_hidden()
    await save(page)
    assert (front.saved, yard.saved) == ([{"polygons": [SQUARE], "preset": 0}], [])


async def test_a_blank_picture_says_why_and_a_head_asks_for_a_preset():
    async with open_page() as (part, page):
        ptz = {"protocol": "visca", "state": "ready", "presets": [{"number": 3, "name": "Gate"}]}
        camera = Camera(part, ptz=ptz)
        camera.masks |= {"state": "blank", "problem": "masks.json is damaged: set the masks anew"}
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/masks/front")
        await expect(page.get_by_text("The whole picture is black: masks.json is damaged")).to_be_visible()
        await page.get_by_role("button", name="Add a mask").click()
        await expect(page.get_by_label("The head's preset")).to_have_value("3")
        await save(page)
        assert camera.saved == [{"polygons": [SQUARE], "preset": 3}]


async def test_who_watches_is_told_why_the_picture_is_black():
    async with open_page() as (part, page):
        Camera(part, masks={"state": "blank", "problem": "masks.json is damaged", "version": 2})
        part.desk.add_user("vera", None, cameras=["front"], password=PASSWORD)
        await page.goto(f"{part.url}/#/camera/front")
        await enter_password(page, "vera")
        said = page.get_by_text("Blanked by its privacy masks")
        await expect(said).to_be_visible()
        await expect(said).to_have_attribute("title", "masks.json is damaged")


async def test_who_may_not_manage_is_told_nothing_of_them():
    async with open_page() as (part, page):
        camera = Camera(part)
        part.desk.add_user("olga", "operator", password=PASSWORD)
        await page.goto(f"{part.url}/#/masks/front")
        await enter_password(page, "olga")
        tabs = page.get_by_role("navigation", name="Settings")
        await expect(tabs.get_by_role("link", name="Account")).to_be_visible()
        await expect(tabs.get_by_role("link", name="Privacy masks")).to_have_count(0)
        told = await page.evaluate(
            "() => fetch('api/devices/front/commands/masks', {method: 'POST', headers: "
            "{'Content-Type': 'application/json'}, body: '{\"confirmed\": true}'}).then((one) => one.status)"
        )
        assert told == 403
        assert camera.saved == []
