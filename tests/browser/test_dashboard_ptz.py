"""Who may move a camera's head does so from its page: a real agent, a head on a pseudo terminal, Chromium."""

import asyncio
import math
from contextlib import asynccontextmanager

from fakes.ptz_head import PelcoHead
from parts.axe import faults
from parts.chromium import screenshot
from parts.dashboard import DESKTOP, PATIENCE_MS, PHONE, until
from parts.head_page import head_page
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.config import load
from agent.portal.accounts.desk import Desk
from agent.serial.ptz.pelco import SET_PRESET

FOV_DEG = 60.0
"""What the settings have where they say nothing."""
A_QUARTER_DEG = math.degrees(math.atan(0.5 * math.tan(math.radians(FOV_DEG / 2))))


async def turned(head, click):
    """Where it pointed before a pulse, which may be over before anybody looks; it has come to rest."""
    before, began = list(head.position), head.motions
    await click()
    await until(lambda: head.motions > began, "it does not turn")
    await until(lambda: not head.is_moving, "it runs on")
    assert head.motions == began + 1
    return before


def kept(head, number):
    """How often a Pelco-D head was told to keep this preset."""
    return sum(frame[3] == SET_PRESET and frame[5] == number for _, frame in head.frames)


@asynccontextmanager
async def camera(tmp_path, more="", **head):
    """A camera with a Pelco-D head, and how to open its page as somebody."""
    head = PelcoHead(**head)
    async with head_page(tmp_path, head, more) as (stack, open_as):
        yield stack, head, open_as


async def test_press_hold_and_release_move_the_head_and_stop_it(tmp_path):
    async with camera(tmp_path) as (_, head, open_as):
        page = await open_as()
        await expect(page.get_by_role("region", name="Move the camera")).to_be_visible()

        for key, number, sign in (
            ("ArrowRight", 0, 1), ("ArrowLeft", 0, -1), ("ArrowUp", 1, 1), ("ArrowDown", 1, -1), ("-", 2, -1),
        ):  # fmt: skip
            await page.keyboard.down(key)
            await until(lambda n=number, s=sign: head.velocity[n] * s > 0, f"{key} moves nothing")
            moves = []
            while len(moves) < 24:  # for three times the dead man's patience, who may stop it for a moment
                moves.append(head.velocity[number] * sign > 0)
                await asyncio.sleep(0.05)
            assert sum(moves) > len(moves) / 2, f"{key} is held, and it stands"
            await page.keyboard.up(key)
            await until(lambda: not head.is_moving, f"it runs on after {key}")

        pad = await page.get_by_role("group", name="Turn").bounding_box()
        middle = pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] / 2
        await page.mouse.move(*middle)
        await page.mouse.down()
        await page.mouse.move(middle[0] + 60, middle[1] - 60)
        await until(lambda: head.velocity[0] > 0 and head.velocity[1] > 0, "the pad moves nothing")
        await page.mouse.move(middle[0] - 600, middle[1])  # far outside: it is held all the same
        await until(lambda: head.velocity[0] < 0, "the pad is let go at its rim")
        await page.mouse.up()
        await until(lambda: not head.is_moving, "it runs on after the mouse")

        zoom = page.get_by_role("button", name="Zoom the lens in")
        await zoom.focus()
        await page.keyboard.down("Enter")
        await until(lambda: head.velocity[2] > 0, "the button moves nothing")
        await page.keyboard.up("Enter")
        await until(lambda: not head.is_moving, "it runs on after the button")


async def test_whatever_ends_the_hand_ends_the_move(tmp_path):
    async with camera(tmp_path) as (_, head, open_as):
        page = await open_as()
        for event in ("window.dispatchEvent(new Event('blur'))", HIDE):
            await page.keyboard.down("ArrowLeft")
            await until(lambda: head.is_moving, "it does not move")
            await page.evaluate(event)
            await until(lambda: not head.is_moving, f"it runs on after {event}")
            await page.keyboard.up("ArrowLeft")
        await page.evaluate("() => { delete document.hidden }")

        await page.keyboard.down("ArrowRight")
        await until(lambda: head.is_moving, "it does not move")
        await page.keyboard.press("m")  # the panel goes
        await until(lambda: not head.is_moving, "it runs on without the panel")
        await page.keyboard.up("ArrowRight")
        await page.keyboard.press("m")

        await page.keyboard.down("ArrowUp")
        await until(lambda: head.is_moving, "it does not move")
        await page.close()
        await until(lambda: not head.is_moving, "it runs on without the page")


SLOWER = """() => {
  const native = RTCPeerConnection.prototype.getStats;
  const late = (one) => (one.type === "candidate-pair" ? { ...one, currentRoundTripTime: window.rtt } : one);
  RTCPeerConnection.prototype.getStats = async function () {
    return new Map([...(await native.call(this))].map(([id, one]) => [id, late(one)]));
  };
}"""
"""The round trip is what the test says."""
AIMS = """async () => {
  const { aimOf } = await import(document.querySelector('link[href$="/aim.js"]').href);
  const picture = { left: 100, top: 50, width: 800, height: 450 };
  const at = (x, y) => ({ x, y });
  return [aimOf(at(700, 275), at(700, 275), picture, false), aimOf(at(500, 50), at(900, 275), picture, true)];
}"""
HIDE = """() => {
  Object.defineProperty(document, "hidden", { configurable: true, value: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_a_finger_that_the_system_takes_away_lets_go(tmp_path):
    async with camera(tmp_path) as (_, head, open_as):
        page = await open_as(viewport=PHONE, has_touch=True, is_mobile=True)
        touch = await page.context.new_cdp_session(page)
        pad = await page.get_by_role("group", name="Turn").bounding_box()
        x, y = pad["x"] + pad["width"] - 12, pad["y"] + pad["height"] / 2

        async def finger(kind, *at):
            points = [{"x": at[0], "y": at[1], "id": 0}] if at else []
            await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        for end in ("touchEnd", "touchCancel"):
            await finger("touchStart", x, y)
            await until(lambda: head.velocity[0] > 0, "the finger moves nothing")
            await finger("touchMove", x - 5, y)
            await finger(end)
            await until(lambda: not head.is_moving, f"it runs on after {end}")
        assert await page.evaluate("() => scrollY") == 0
        await screenshot(page, "ptz-390")
        assert await faults(page) == []


async def test_a_game_controller_moves_the_head_and_a_stick_at_rest_does_not(tmp_path):
    async with camera(tmp_path) as (_, head, open_as):
        page = await open_as()
        await page.evaluate(
            """() => {
              window.pad = { connected: true, mapping: "standard", axes: [0.06, 0.04, 0, 0], buttons: [] };
              navigator.getGamepads = () => [null, window.pad];
            }"""
        )
        motions = head.motions
        await page.wait_for_timeout(500)
        assert head.motions == motions
        await page.evaluate("() => { window.pad.axes = [-1, 0, 0, 0] }")
        await until(lambda: head.velocity[0] < 0, "the stick moves nothing")
        await page.evaluate("() => { window.pad.axes = [0.05, 0, 0, -1] }")
        await until(lambda: head.velocity[2] > 0 and not head.velocity[0], "the right stick does not zoom")
        await page.evaluate("() => { window.pad.connected = false }")
        await until(lambda: not head.is_moving, "it runs on without the controller")


async def test_one_holds_it_by_name_and_who_manages_takes_over(tmp_path):
    async with camera(tmp_path) as (stack, head, open_as):
        with Desk.open(load(stack.folder / "pinhole.toml").portal) as desk:
            desk.add_user("bob", "operator", password=PASSWORD)
            desk.add_user("eve", "viewer", password=PASSWORD)
        eve = await open_as("eve")
        await expect(eve.get_by_role("button", name="Move the camera")).to_be_hidden()
        await expect(eve.get_by_role("region", name="Move the camera")).to_be_hidden()
        await eve.keyboard.down("ArrowLeft")
        await eve.close()

        ann, bob = await open_as("ann"), await open_as("bob")
        await ann.keyboard.down("ArrowLeft")
        await until(lambda: head.velocity[0] < 0, "ann does not move it")
        await expect(bob.get_by_text("ann moves this camera")).to_be_visible()
        await expect(bob.get_by_role("button", name="Take over")).to_be_hidden()
        await bob.keyboard.press("ArrowRight")
        await ann.keyboard.up("ArrowLeft")
        await until(lambda: not head.is_moving, "it runs on")

        await expect(bob.get_by_text("ann moves this camera")).to_be_hidden(timeout=PATIENCE_MS)
        await bob.keyboard.down("ArrowRight")
        await until(lambda: head.velocity[0] > 0, "bob does not move it")
        await expect(ann.get_by_text("bob moves this camera")).to_be_visible()
        await screenshot(ann, "ptz-busy-1440")
        assert await faults(ann) == []
        await ann.get_by_role("button", name="Take over").click()
        await expect(bob.get_by_text("ann moves this camera")).to_be_visible()
        await until(lambda: not head.is_moving, "bob moves it on")
        await bob.keyboard.up("ArrowRight")


async def test_presets_and_a_click_that_centres(tmp_path):
    async with camera(tmp_path, answers=True) as (stack, head, open_as):
        page = await open_as()
        await page.get_by_role("button", name="Presets").click()
        menu = page.locator("#presets")
        await menu.get_by_label("Name").fill("Gate")
        await menu.get_by_role("button", name="Keep this view").click()
        await expect(menu.get_by_text("Gate is kept")).to_be_visible()
        await expect(menu.get_by_role("button", name="Gate", exact=False).first).to_be_visible()
        await until(lambda: 1 in head.presets, "the head was not told to keep it")
        picture = menu.get_by_role("img", name="View of Gate")
        await expect(picture).to_be_visible(timeout=PATIENCE_MS)
        await until(
            lambda: len(list(stack.folder.glob("**/presets/1-0.jpg"))) == 1, "it is not on the device"
        )
        assert await picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 160
        await screenshot(page, "ptz-presets-1440")
        assert await faults(page) == []
        await page.set_viewport_size(PHONE)
        await screenshot(page, "ptz-presets-390")
        await page.set_viewport_size(DESKTOP)
        await page.keyboard.press("Escape")

        await page.keyboard.down("ArrowRight")
        await until(lambda: head.position[0] > 5, "it does not move")
        await page.keyboard.up("ArrowRight")
        await page.get_by_role("button", name="Presets").click()
        await menu.locator(".preset").click()
        await until(lambda: abs(head.position[0]) < 1, "it does not turn to the preset")
        await menu.get_by_role("button", name="Forget Gate").click()
        await expect(menu.get_by_text("None is kept yet.")).to_be_visible()
        await until(lambda: not list(stack.folder.glob("**/presets/*.jpg")), "its picture is still there")
        await page.keyboard.press("Escape")

        point = page.get_by_role("button", name="Point in the picture")
        await page.evaluate(SLOWER)
        for rtt_s, is_chosen in ((0.4, "true"), (0.2, "true"), (0.05, "false")):
            await page.evaluate("(rtt) => { window.rtt = rtt }", rtt_s)
            await page.wait_for_timeout(1500)  # the page looks once a second
            await expect(point).to_have_attribute("aria-pressed", is_chosen)
        await point.click()
        await expect(point).to_have_attribute("aria-pressed", "true")
        before = head.position[0]
        await page.mouse.click(DESKTOP["width"] * 0.75, DESKTOP["height"] / 2)

        def is_there():
            return abs(head.position[0] - before - A_QUARTER_DEG) < FOV_DEG / 20

        await until(is_there, "it does not turn to what was clicked")
        await until(lambda: not head.is_moving, "it goes on")
        assert is_there(), head.position
        click, box = await page.evaluate(AIMS)
        assert click == {"x": 0.25, "y": 0, "width": 1}
        assert box == {"x": 0.25, "y": 0.140625, "width": 0.5}
        await screenshot(page, "ptz-1440")
        assert await faults(page) == []


async def test_home_and_a_tour(tmp_path):
    async with camera(tmp_path, more="home_preset = 7\n", answers=True) as (stack, head, open_as):
        page = await open_as()
        head.presets[7] = (-20.0, 0.0, 0.0)  # by the head's own menu
        await page.get_by_role("button", name="Presets").click()
        menu = page.locator("#presets")
        await expect(menu.get_by_text("Calibrate", exact=True)).to_be_hidden(timeout=PATIENCE_MS)
        for number, (pan_deg, name) in enumerate(((30.0, "Gate"), (-50.0, "Yard")), 1):
            head.position[0] = pan_deg
            await menu.get_by_label("Name").fill(name)
            await menu.get_by_role("button", name="Keep this view").click()
            await expect(menu.locator(".preset", has_text=name)).to_be_visible(timeout=PATIENCE_MS)
            await until(lambda n=number: kept(head, n) == 2, "it is not told twice to keep it")
        await menu.get_by_role("button", name="Home").click()
        await until(lambda: head.position[0] == -20, "it does not turn home")
        await expect(menu.get_by_text("Turns home")).to_be_visible()
        tour = menu.get_by_role("button", name="Tour")
        await tour.click()
        await until(lambda: head.position[0] == 30, "it does not turn to the tour's first preset")
        end = menu.get_by_role("button", name="End the tour")
        await expect(end).to_have_attribute("aria-pressed", "true", timeout=PATIENCE_MS)
        await end.click()
        await expect(tour).to_have_attribute("aria-pressed", "false", timeout=PATIENCE_MS)

        with Desk.open(load(stack.folder / "pinhole.toml").portal) as desk:
            desk.add_user("bob", "operator", password=PASSWORD)
            bob = await open_as("bob")
            await expect(bob.get_by_text("ann moves this camera")).to_be_hidden(timeout=PATIENCE_MS)
            await bob.get_by_role("button", name="Presets").click()
            await bob.locator("#presets").get_by_role("button", name="Tour").click()
            await expect(end).to_be_visible(timeout=PATIENCE_MS)
            desk.set_role("bob", "viewer")  # his page is closed by the portal: he has not just left
        await expect(tour).to_have_attribute("aria-pressed", "false", timeout=PATIENCE_MS)


async def test_a_head_that_tells_no_position_is_calibrated_and_then_centres(tmp_path):
    async with camera(tmp_path) as (stack, head, open_as):
        with Desk.open(load(stack.folder / "pinhole.toml").portal) as desk:
            desk.add_user("bob", "operator", password=PASSWORD)
        bob = await open_as("bob")
        await bob.get_by_role("button", name="Presets").click()
        await expect(bob.locator("#presets").get_by_role("button", name="Home")).to_be_visible()
        await expect(bob.get_by_text("Calibrate", exact=True)).to_be_hidden(timeout=PATIENCE_MS)
        await bob.close()

        page = await open_as()
        point = page.get_by_role("button", name="Point in the picture")
        await expect(point).to_be_hidden()
        await page.get_by_role("button", name="Presets").click()
        menu = page.locator("#presets")
        await menu.get_by_text("Calibrate", exact=True).click()
        for axis, way in enumerate(("Right", "Up")):
            for seconds, moved in (("0.4", "20"), ("1", "50")):
                before = await turned(
                    head, menu.get_by_role("button", name=f"{way} {seconds} s", exact=True).click
                )
                assert head.position[axis] > before[axis], f"it does not turn {way}"
                await menu.get_by_role("spinbutton", name=f"{way} {seconds} s").fill(moved)
                await menu.get_by_role("button", name=f"Keep {way} {seconds} s").click()
                await expect(menu.get_by_text(f"{way} {seconds} s is kept: {moved} %")).to_be_visible()
        await screenshot(page, "ptz-calibrate-1440")
        assert await faults(page) == []
        await page.keyboard.press("Escape")
        await point.click()
        before = await turned(head, lambda: page.mouse.click(DESKTOP["width"] * 0.25, DESKTOP["height"] / 2))
        assert head.position[0] < before[0], "it does not turn to what was clicked"
