"""The dashboard in real Chromium, playing from a stock aiortc sender."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest
from fakes.bus import state
from fakes.device import HEIGHT_PX, WIDTH_PX, FakeDevice
from parts.chromium import screenshot
from parts.dashboard import PATIENCE_MS, open_page, passing, sign_in, until, until_phase
from parts.portal import PASSWORD, USER, portal
from playwright.async_api import expect

from agent.model.signal import Answer, Restart, StreamInfo

CAMERA = {"streams": (StreamInfo("main", WIDTH_PX, HEIGHT_PX, 25, 1_000_000),), "has_stamp": True}


@asynccontextmanager
async def dashboard():
    """A portal with one camera, and a signed-in page that shows the grid."""
    async with open_page() as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(**CAMERA))
        await sign_in(page, part.url)
        try:
            yield part, device, page
        finally:
            await device.close()


async def open_and_play(page):
    await page.get_by_role("link", name="Front door").click()
    await until_phase(page, "playing")


async def test_a_click_plays_the_camera_with_its_statistics_and_latency():
    async with dashboard() as (_, device, page):
        await open_and_play(page)
        await page.keyboard.press("i")
        overlay = page.get_by_role("region", name="Statistics")
        await expect(overlay.locator('[data-stat="path"]')).to_contain_text("host · udp")
        await expect(overlay.locator('[data-stat="fps"]')).to_contain_text("fps")
        await expect(overlay.locator('[data-stat="size"]')).to_contain_text(
            re.compile(rf"{WIDTH_PX} . {HEIGHT_PX}")
        )
        await expect(overlay.locator('[data-stat="latency"] .value')).to_have_text(re.compile(r"^\d+ ms$"))
        await expect(overlay.locator('[data-stat="camera"]')).to_contain_text("synthetic")
        stats = await page.evaluate("() => pinhole.stats()")
        assert stats["framesDecoded"] > 0
        latencies = await page.evaluate("() => pinhole.latencies")
        assert latencies
        assert all(-1000 < latency < 10_000 for latency in latencies), "both ends share this machine's clock"
        assert device.offers[0].user == USER
        await screenshot(page, "playing-1440")


async def test_h264_is_what_the_browser_asks_for_first():
    async with dashboard() as (_, device, page):
        await open_and_play(page)
        sdp = device.offers[0].sdp
        first = re.search(r"m=video \d+ \S+ (\d+)", sdp)[1]
        assert f"a=rtpmap:{first} H264/90000" in sdp
        assert "a=recvonly" in sdp
        assert "m=application" in sdp


async def test_leaving_ends_the_session_and_leaves_a_picture_in_the_grid():
    async with dashboard() as (_, device, page):
        await open_and_play(page)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("link", name="Front door").locator("img")).to_be_visible()
        assert await page.evaluate("() => document.activeElement.dataset.device") == "front"
        await until(lambda: device.ended)
        assert len(device.ended) == 1


@pytest.mark.parametrize("how", ["hang_up", "bye"])
async def test_a_lost_camera_comes_back_by_itself(how):
    async with dashboard() as (_, device, page):
        await open_and_play(page)
        async with passing(page, "pinhole.state.phase === 'retrying'"):
            if how == "bye":
                await device.say_bye("The camera restarts.")
            else:
                await device.hang_up()
        await until_phase(page, "playing")
        assert len(device.offers) >= 2


async def test_a_stream_plays_on_while_the_portal_restarts():
    async with dashboard() as (part, device, page):
        await open_and_play(page)
        await part.stop()
        await expect(page.get_by_role("alert").filter(has_text="Reconnecting to the portal")).to_be_visible()
        before = (await page.evaluate("() => pinhole.stats()"))["framesDecoded"]
        await screenshot(page, "portal-away-1440")
        store = part.accounts.store
        async with portal(port=part.port, gateway=part.gateway, bus=part.bus, store=store):
            await expect(page.get_by_text("Reconnecting to the portal")).to_be_hidden(timeout=PATIENCE_MS)
            await expect(page.locator('.stage[data-phase="playing"]')).to_be_visible()
            async with asyncio.timeout(PATIENCE_MS / 1000):
                while (await page.evaluate("() => pinhole.stats()"))["framesDecoded"] <= before:
                    await asyncio.sleep(0.1)
            # Where the machine was too busy for media, the browser asked for a new path within its session.
            assert all(offer.restart for offer in device.offers[1:]), "the stream was never interrupted"


async def test_who_plays_on_over_a_restart_of_the_portal_is_shut_out_like_anybody():
    async with dashboard() as (part, device, page):
        await open_and_play(page)
        await part.stop()
        store = part.accounts.store
        async with portal(port=part.port, gateway=part.gateway, bus=part.bus, store=store) as again:
            await expect(page.get_by_text("Reconnecting to the portal")).to_be_hidden(timeout=PATIENCE_MS)
            # The page has come back for it: until then it is kept for who was cut off.
            await until(lambda: any(one.orphaned_until_s is None for one in part.gateway.sessions.table))
            assert device.ended == []
            again.desk.add_user("zoe", "admin", password=PASSWORD)
            again.desk.set_disabled(USER, disabled=True)
            await until(lambda: device.ended)


async def frames_decoded(page):
    return (await page.evaluate("() => pinhole.stats()")).get("framesDecoded", 0)


async def test_an_answer_to_an_older_restart_does_not_harm_what_plays():
    async with dashboard() as (part, device, page), asyncio.timeout(PATIENCE_MS / 1000):
        await open_and_play(page)
        device.mode = "silent"
        [session] = device.sessions
        part.gateway.on_signal("front", session, Restart(1, "the camera's network changed"))
        while len(device.offers) < 2 or not (before := await frames_decoded(page)):
            await asyncio.sleep(0.1)
        assert device.offers[1].restart
        part.gateway.on_signal(
            "front", session, Answer(2, device.offers[1].nonce, "v=0\r\na=x-answers:older\r\n")
        )
        while await frames_decoded(page) <= before:
            await asyncio.sleep(0.1)
        assert device.ended == []


async def test_a_snapshot_is_a_jpeg_of_the_full_size():
    async with dashboard() as (_, _, page):
        await open_and_play(page)
        async with page.expect_download() as saved:
            await page.keyboard.press("s")
        download = await saved.value
        assert re.fullmatch(r"front-[\dT-]+Z\.jpg", download.suggested_filename)
        path = await download.path()
        assert path.read_bytes()[:3] == b"\xff\xd8\xff"


async def test_a_link_to_a_camera_plays_it_after_the_sign_in_and_after_a_reload():
    async with dashboard() as (part, device, page):
        await page.context.clear_cookies()
        await page.goto(f"{part.url}/#/camera/front")
        await page.reload()
        await page.get_by_label("User name", exact=True).fill(USER)
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.keyboard.press("Enter")
        await until_phase(page, "playing")
        await page.reload()
        await until_phase(page, "playing")
        assert {offer.sdp.count("m=video") for offer in device.offers} == {1}


async def test_a_camera_that_does_not_answer_is_tried_again():
    async with dashboard() as (part, device, page):
        device.mode = "silent"
        await page.get_by_role("link", name="Front door").click()
        await until_phase(page, "asking")
        await until(lambda: device.offers)
        [session] = part.gateway.sessions.table
        async with passing(
            page, "document.querySelector('.panel h2')?.textContent === 'The camera did not answer'"
        ):
            session.answer_by_s = 0.0
        device.mode = "answer"
        await until_phase(page, "playing")
