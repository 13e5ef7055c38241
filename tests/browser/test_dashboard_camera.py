"""One camera: what is the matter stays readable, the picture stays in sight, and it can be magnified."""

import re
import time
from contextlib import asynccontextmanager

import pytest
from fakes.bus import state
from fakes.device import FakeDevice
from parts.chromium import screenshot, screenshots
from parts.dashboard import DESKTOP, PATIENCE_MS, PHONE, open_page, sign_in, until, until_phase
from parts.portal import USER
from playwright.async_api import expect

from agent.model.sections import SectionsMessage
from agent.model.signal import Command, Result, StreamInfo
from agent.portal.accounts import shares

HD = (StreamInfo("main", 1280, 720, 30, 2_000_000), StreamInfo("preview", 640, 360, 10, 500_000))
FAILURE = "The sensor does not answer. Check its cable."


@asynccontextmanager
async def camera(context=None, mode="answer", **fields):
    """The page of a camera, its device and its portal."""
    async with open_page(**(context or {})) as (part, page):
        device = FakeDevice(part.gateway, "front")
        device.mode = mode
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(streams=HD, **fields))
        await sign_in(page, part.url)
        await page.get_by_role("link", name="Front door").click()
        try:
            yield part, page, device
        finally:
            await device.close()


async def test_why_a_camera_fails_stands_there_all_the_time():
    async with camera(None, "silent", camera="failed", problem=FAILURE) as (part, page, device):
        seen = await page.evaluate_handle(
            """(text) => {
              const seen = { with: 0, without: 0 };
              const look = () => { seen[document.body.innerText.includes(text) ? "with" : "without"] += 1; };
              setInterval(look, 20);
              return seen;
            }""",
            FAILURE,
        )
        await expect(page.get_by_role("heading", name="The camera has failed")).to_be_visible()
        await expect(page.get_by_text(FAILURE)).to_be_visible()
        for _ in range(3):  # it is asked again and again, and the reason stays
            offers = len(device.offers)
            await page.get_by_role("button", name="Retry now").click()
            await until(lambda count=offers: len(device.offers) > count)
            await page.wait_for_timeout(100)
        counted = await seen.json_value()
        assert counted["with"] > 0
        assert counted["without"] <= 1
        await expect(page.get_by_role("button", name="Retry now")).to_be_focused()
        await screenshots(page, "failed")
        device.mode = "answer"
        part.gateway.on_state("front", state(streams=HD))
        await until_phase(page, "playing")


async def test_a_camera_that_nobody_knows_is_not_called_offline():
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/camera/nowhere")
        await expect(page.get_by_role("heading", name="There is no such camera here")).to_be_visible()
        await expect(page.get_by_text("Check its power")).to_have_count(0)
        await expect(page.get_by_text("Offline", exact=True)).to_be_hidden()
        await screenshots(page, "unknown")
        await page.locator(".panel").get_by_role("link", name="All cameras").click()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()


async def test_an_offline_camera_says_since_when():
    async with camera() as (part, page, _):
        part.gateway.on_state("front", state(online=False, since=time.time() - 600))
        await page.reload()
        await expect(page.get_by_text("Offline since")).to_be_visible()
        await expect(page.get_by_text("Check its power")).to_be_visible()


async def test_a_stall_leaves_the_last_picture_in_sight():
    async with camera() as (_, page, device):
        await until_phase(page, "playing")
        device.mode = "silent"  # else it plays again before anybody has looked
        await device.hang_up()
        await expect(page.locator(".panel")).to_be_visible(timeout=PATIENCE_MS)
        await words_stand_below(page)
        device.mode = "busy"
        await expect(page.get_by_text("8 viewers watch already.")).to_be_visible(timeout=PATIENCE_MS)
        await words_stand_below(page)
        await screenshots(page, "stalled")


async def words_stand_below(page):
    """The picture's middle is free, at either width."""
    for viewport in (PHONE, DESKTOP):
        await page.set_viewport_size(viewport)
        panel = await page.locator(".panel").bounding_box()
        picture = await page.locator(".picture").bounding_box()
        assert panel["y"] > picture["y"] + picture["height"] / 2


MATRIX = "() => new DOMMatrix(getComputedStyle(document.querySelector('.picture')).transform)"
SCALE = f"() => ({MATRIX})().a"


async def test_the_picture_is_magnified_by_wheel_buttons_and_keys():
    async with camera() as (_, page, _):
        await until_phase(page, "playing")
        zoom = page.get_by_role("group", name="Zoom")
        await page.mouse.move(300, 300)
        await page.mouse.wheel(0, -200)
        assert await page.evaluate(SCALE) == pytest.approx(2)
        at = await page.evaluate(f"() => {{ const m = ({MATRIX})(); return [m.e, m.f]; }}")
        assert at == pytest.approx([-300, -300]), "what is under the pointer stays there"
        await expect(zoom.get_by_text(re.compile("^Zoom 2"))).to_be_visible()
        await screenshots(page, "zoomed")
        await page.keyboard.press("ArrowRight")
        assert (await page.evaluate(f"() => ({MATRIX})().e")) < -300
        await page.mouse.down()
        await page.mouse.move(2000, 2000)
        await page.mouse.up()
        assert await page.evaluate(f"() => ({MATRIX})().e") == 0, "not beyond the edge"
        await page.keyboard.press("0")
        assert await page.evaluate(SCALE) == 1
        await zoom.get_by_role("button", name="Zoom in").click()
        await page.keyboard.press("+")
        assert await page.evaluate(SCALE) == pytest.approx(2.25)
        for _ in range(9):
            await page.keyboard.press("+")
        assert await page.evaluate(SCALE) == 8
        await zoom.get_by_text(re.compile("^Zoom 8")).click()
        await expect(zoom.get_by_role("button", name="Zoom out")).to_be_disabled()


async def test_two_fingers_pinch_the_picture():
    async with camera({"viewport": PHONE, "has_touch": True, "is_mobile": True}) as (_, page, _):
        await until_phase(page, "playing")
        touch = await page.context.new_cdp_session(page)

        async def fingers(kind, *xs):
            points = [{"x": x, "y": 400, "id": number} for number, x in enumerate(xs)]
            await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await fingers("touchStart", 180, 220)
        for step in range(1, 6):
            await fingers("touchMove", 180 - step * 10, 220 + step * 10)
        await fingers("touchEnd")
        assert await page.evaluate(SCALE) > 2
        assert await page.evaluate("() => visualViewport.scale") == 1, "the page itself is not magnified"


async def test_on_a_phone_the_statistics_stand_above_the_controls():
    async with camera({"viewport": PHONE}) as (_, page, _):
        await until_phase(page, "playing")
        await page.get_by_role("button", name="Statistics").click()
        overlay = await page.get_by_role("region", name="Statistics").bounding_box()
        controls = await page.locator(".controls").bounding_box()
        assert overlay["y"] + overlay["height"] <= controls["y"] + 1
        await screenshot(page, "statistics-390")
        await page.get_by_role("region", name="Statistics").focus()
        await page.keyboard.press("End")
        await expect(page.locator('[data-stat="camera"]')).to_be_in_viewport()


async def test_where_the_camera_is_stands_with_its_statistics():
    gnss = {
        "state": "fix",
        "since": time.time(),
        "satellites": 9,
        "latitude_deg": -37.78,
        "longitude_deg": 175.3,
    }
    async with camera() as (part, page, _):
        await page.get_by_role("button", name="Statistics").click()
        row = page.locator('[data-stat="place"]')
        await expect(row).to_be_hidden()
        part.gateway.on_sections("front", SectionsMessage("boot-1", 1, {"gnss": gnss}))
        await expect(row).to_contain_text("37.78° S, 175.3° E")
        await expect(row).to_contain_text("9 satellites")
        away = {"state": "absent", "since": time.time(), "problem": "/dev/pinhole-gnss is not there"}
        part.gateway.on_sections("front", SectionsMessage("boot-1", 2, {"gnss": away}))
        await expect(row).to_contain_text("/dev/pinhole-gnss is not there")


async def test_a_guest_sees_when_the_link_ends():
    async with open_page(viewport=PHONE) as (part, page):
        part.gateway.on_state("front", state(streams=HD))
        token, _ = await part.accounts.store.run(
            lambda db: shares.make(db, "front", "plumber", USER, 3600, time.time())
        )
        await page.goto(f"{part.url}/#/share/{token}")
        await expect(page.get_by_text("Your link ends")).to_be_visible()
        await screenshot(page, "shared-390")
        await page.reload()
        await expect(page.get_by_text("Your link ends")).to_be_visible()


async def test_a_camera_is_told_what_to_do_and_says_what_became_of_it():
    async with camera(understands=("lease", "command")) as (part, page, device):
        await until_phase(page, "playing")
        orders, show = [], device.on_message

        def on_message(session, message):
            if not isinstance(message, Command):
                return show(session, message)
            if message.name != "snapshot":  # for which the grid may have asked just before
                orders.append(message.name)
            is_lit = message.name != "identify"
            words = "" if is_lit else "this machine has no LED that the agent may blink"
            code = "done" if is_lit else "no-led"
            return part.gateway.on_signal(
                "front", session, Result(0, session, message.name, is_lit, code, words)
            )

        part.bus.devices["front"] = on_message
        await page.get_by_role("button", name="More").click()
        await page.get_by_role("button", name="Blink its LED").click()
        await expect(page.get_by_text("Blink its LED: this machine has no LED")).to_be_visible()
        await page.get_by_role("button", name="Reboot the device").click()
        await expect(page.get_by_role("heading", name="Reboot the device?")).to_be_visible()
        await page.get_by_role("button", name="Cancel").click()
        assert orders == ["identify"]
        await page.get_by_role("button", name="More").click()
        await page.get_by_role("button", name="Restart the camera").click()
        await expect(page.get_by_text("Restart the camera: done")).to_be_visible()
        await screenshots(page, "commands")
