"""Pointing in the picture by mouse, keys and fingers: a box that is drawn fills it, as the camera sees it."""

from contextlib import asynccontextmanager

import pytest
from fakes.ptz_head import ViscaCamera
from fakes.ptz_view import ZOOM_MAX, View
from parts.axe import faults
from parts.chromium import screenshot
from parts.dashboard import PATIENCE_MS, PHONE, until
from parts.head_page import head_page
from playwright.async_api import expect

FOV_DEG = 60.0
OFF = 0.02
"""Of the picture's width: so far the box's middle may be from the picture's."""
FILLS = 0.08
"""So much smaller or larger than the picture the box may be."""
PICTURE = """async () => {
  const { pictureBox } = await import(document.querySelector('link[href$="/aim.js"]').href);
  return pictureBox(document.querySelector("video"));
}"""


class Judge:
    """What the head's camera sees."""

    def __init__(self, page, head):
        self._page, self._head, self._view = page, head, View(FOV_DEG)

    async def picture(self):
        return await self._page.evaluate(PICTURE)

    async def at(self, x, y):
        """Where on the page a place of the picture is, in widths from its middle."""
        picture = await self.picture()
        middle = picture["left"] + picture["width"] / 2, picture["top"] + picture["height"] / 2
        return middle[0] + x * picture["width"], middle[1] - y * picture["width"]

    @asynccontextmanager
    async def box(self, x, y, width):
        """What is in this box before fills the picture after it, within the tolerances above."""
        head = self._head
        seen = [self._view.ray(head.position, x + beside, y) for beside in (-width / 2, 0, width / 2)]

        def places():
            return [self._view.place(head.position, ray) or (9, 9) for ray in seen]

        def is_filled():
            (left, _), middle, (right, _) = places()
            return max(map(abs, middle)) < OFF and abs(right - left - 1) < FILLS

        yield
        await until(is_filled, f"the box's left, middle and right are at {places()} of the picture")
        await until(lambda: not head.is_moving, "it goes on")
        assert is_filled(), places()
        await self._page.wait_for_timeout(1500)  # as somebody who looks; the head is asked where it is


@asynccontextmanager
async def pointing(tmp_path):
    """A camera with a lens and a head that tells where it points."""
    head = ViscaCamera(travels=True)
    more = f"fov_deg = {FOV_DEG}\nzoom_max = {ZOOM_MAX}"
    async with head_page(tmp_path, head, more, "visca") as (_, open_as):
        yield head, open_as


async def drag(page, start, end):
    await page.mouse.move(*start)
    await page.mouse.down()
    await page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    await page.mouse.move(*end)


async def zoomed(head, act, way):
    """The lens moves this way, and stands again."""
    before = head.position[2]
    await act()
    await until(lambda: (head.position[2] - before) * way > 0.5, "the lens does not move")
    await until(lambda: not head.is_moving, "the lens runs on")
    return head.position[2]


async def test_a_box_by_mouse_and_by_keys_fills_the_picture(tmp_path):
    async with pointing(tmp_path) as (head, open_as):
        page = await open_as()
        judge = Judge(page, head)
        await page.get_by_role("button", name="Point in the picture").click()
        async with judge.box(0.25, 0.1, 0.3):
            await drag(page, await judge.at(0.1, 0.15), await judge.at(0.4, 0.05))
            await screenshot(page, "aim-box-1440")
            await page.mouse.up()

        zoom_deg = await zoomed(head, lambda: page.mouse.wheel(0, 300), -1)
        assert zoom_deg > 0
        await zoomed(head, lambda: page.mouse.wheel(0, -300), 1)
        await page.wait_for_timeout(1500)

        # By keys alone: five hundredths of the width each, and a box of 0.8 ** 3.
        await page.get_by_role("button", name="Point in the picture").focus()
        await page.keyboard.press("Enter")  # off, by the mouse it was on
        await page.keyboard.press("Enter")
        mark = page.get_by_role("application", name="Point in the picture")
        await expect(mark).to_be_focused()
        position = list(head.position)
        for key in (*["ArrowLeft"] * 4, "ArrowUp", "ArrowUp", "Shift+ArrowUp", *"+++"):
            await page.keyboard.press(key)
        await expect(page.locator("#announce")).to_have_text("20 % left, 11 % up, a box of 51 %")
        await screenshot(page, "aim-keys-1440")
        assert await faults(page) == []
        assert head.position == position, "the arrows are the mark's"
        async with judge.box(-0.2, 0.11, 0.8**3):
            await page.keyboard.press("Enter")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Point in the picture")).to_be_focused()


async def test_a_box_by_a_finger_fills_the_picture_and_two_fingers_zoom(tmp_path):
    async with pointing(tmp_path) as (head, open_as):
        page = await open_as(viewport=PHONE, has_touch=True, is_mobile=True)
        judge, touch = Judge(page, head), await page.context.new_cdp_session(page)

        async def fingers(kind, *places):
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
            await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await page.get_by_role("button", name="Point in the picture").tap()
        async with judge.box(-0.2, 0.0, 0.4):
            start, end = await judge.at(-0.4, 0.1), await judge.at(0.0, -0.1)
            await fingers("touchStart", start)
            for share in (0.3, 0.7, 1.0):
                await fingers("touchMove", [a + share * (b - a) for a, b in zip(start, end, strict=True)])
            await screenshot(page, "aim-box-390")
            assert await faults(page) == []
            await fingers("touchEnd")

        async def pinch(first, then):
            places = [[await judge.at(sign * apart, 0) for sign in (-1, 1)] for apart in (first, then)]
            await fingers("touchStart", places[0][0])
            await fingers("touchStart", *places[0])
            await fingers("touchMove", *places[1])
            zoom_deg = head.position[2]
            # They stay apart, and the lens goes on.
            await until(lambda: abs(head.position[2] - zoom_deg) > 0.5, "two fingers do not move the lens")
            await fingers("touchEnd")

        position = head.position[:2]
        wide_deg = await zoomed(head, lambda: pinch(0.3, 0.1), -1)
        assert await zoomed(head, lambda: pinch(0.1, 0.3), 1) > wide_deg
        assert head.position[:2] == pytest.approx(position), "two fingers draw no box"
        await expect(page.get_by_role("region", name="Move the camera")).to_be_visible(timeout=PATIENCE_MS)
