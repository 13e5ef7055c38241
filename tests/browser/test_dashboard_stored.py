"""What of a camera's recordings is in the store, on the dashboard: a real S3 server, and Chromium."""

import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from fakes.bus import state
from parts.axe import faults
from parts.chromium import screenshot
from parts.dashboard import DESKTOP, PHONE, enter_password, open_page
from parts.portal import PASSWORD
from parts.s3 import s3_server, secret_in
from playwright.async_api import expect

from agent.config import UploadSettings
from agent.model.sections import RecordSection, SectionsMessage, fields_of
from agent.portal.upload.bucket import Bucket

SIDEWAYS = {"width": 844, "height": 390}
WAITING = {"state": "waiting", "why": "hours", "waiting": 3, "waiting_bytes": 36_000_000, "missed": 1}
SIZE = 1000


@pytest.fixture
def settings(tmp_path):
    with s3_server() as server:
        yield UploadSettings(**server.settings(secret_in(tmp_path), prefix="cams"))


def recording():
    return fields_of(RecordSection("continuous", "recording", oldest_at=time.time() - 86400))


async def keep(bucket, server_put, at, number):
    """A file that began then is in the store."""
    began = datetime.fromtimestamp(at, UTC)
    key = f"cams/front/{began:%Y/%m/%d/%H%M%S}-{number:09}-main.mp4"
    upload = await bucket.begin(key, "video/mp4")
    server_put(await bucket.part_url(key, upload, 1, SIZE), bytes([number]) * SIZE)
    await bucket.complete(key, upload, await bucket.parts(key, upload))


@asynccontextmanager
async def looking_back(settings, files=(), upload=None, viewport=DESKTOP, user="ann"):
    """The page of a camera that is away, with what was recorded shown."""
    from parts.s3 import S3Server

    bucket = Bucket(settings)
    async with bucket.opened():
        for number, at in enumerate(files, 1):
            await keep(bucket, S3Server("").put, at, number)
        made = {"bucket": bucket, "prefix": "cams"}
        async with open_page(viewport=viewport, settings=made) as (part, page):
            part.desk.add_user("bob", "viewer", password=PASSWORD)
            part.gateway.on_state("front", state(understands=("lease", "command", "recordings")))
            sections = {"record": recording()} | ({"upload": upload} if upload else {})
            part.gateway.on_sections("front", SectionsMessage("boot-1", 1, sections))
            part.gateway.on_state("front", state(online=False))
            await page.goto(f"{part.url}/#/camera/front")
            await enter_password(page, user)
            yield part, page


async def test_what_is_in_the_store_is_shown_and_saved_though_the_camera_is_gone(settings, tmp_path):
    saved = tmp_path / "saved.mp4"
    now = time.time() - 600
    async with looking_back(settings, [now, now + 60, now + 120], WAITING) as (part, page):
        button = page.get_by_role("button", name="Look back")
        await button.focus()
        await page.keyboard.press("Enter")
        group = page.get_by_role("group", name="In the store")
        summary = group.get_by_text("3 recordings of this time are in the store")
        choice = group.get_by_label("File in the store")
        await expect(summary).to_be_visible()
        await expect(choice).to_be_hidden()
        await expect(group.get_by_role("status")).to_have_text(
            "3 files (36 MB) wait until its hours come. 1 file was removed before it could be sent."
        )
        await expect(page.locator(".timeline-stored")).to_have_count(1)
        await summary.focus()
        await page.keyboard.press("Enter")
        await screenshot(page, "stored-1440")
        assert await faults(page) == []

        assert await choice.locator("option").count() == 3
        await choice.focus()
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Tab")
        async with page.expect_download() as waited:
            await page.keyboard.press("Enter")
        download = await waited.value
        began = datetime.fromtimestamp(now + 60, UTC)
        assert download.suggested_filename == f"front-{began:%Y-%m-%d-%H%M%S}-000000002-main.mp4"
        await download.save_as(saved)
        assert saved.read_bytes() == b"\2" * SIZE
        await part.accounts.audit.flush()  # it is written in the background
        entries = (await page.evaluate("fetch('api/audit').then((answer) => answer.json())"))["entries"]
        assert [entry["device"] for entry in entries if entry["action"] == "recording-saved"] == ["front"]


async def test_on_a_phone(settings):
    now = time.time() - 600
    async with looking_back(settings, [now], WAITING | {"waiting": 1}, viewport=PHONE) as (_, page):
        await page.get_by_role("button", name="Look back").click()
        group = page.get_by_role("group", name="In the store")
        await expect(group).to_contain_text("1 recording of this time is in the store")
        await screenshot(page, "stored-390")
        assert await faults(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_the_picture_has_what_the_panel_leaves(settings):
    now = time.time() - 600
    async with looking_back(settings, [now], WAITING, viewport=SIDEWAYS) as (_, page):
        await page.get_by_role("button", name="Look back").click()
        summary = page.get_by_text("1 recording of this time is in the store")
        await expect(summary).to_be_visible()
        for size in (DESKTOP, PHONE, SIDEWAYS):
            await page.set_viewport_size(size)
            await screenshot(page, f"stored-picture-{size['width']}")
            picture, panel = [await page.locator(one).bounding_box() for one in (".picture", ".lookback")]
            assert picture["y"] + picture["height"] <= panel["y"] + 1
            assert picture["height"] >= size["height"] * 0.4
        await summary.click()
        await expect(page.get_by_label("File in the store")).to_be_visible()
        await screenshot(page, "stored-open-844")
        picture, panel = [await page.locator(one).bounding_box() for one in (".picture", ".lookback")]
        assert picture["y"] + picture["height"] <= panel["y"] + 1


async def test_what_a_camera_says_of_its_last_try(settings):
    upload = WAITING | {"why": "viewer", "waiting": 0, "waiting_bytes": 0, "missed": 0}
    upload["problem"] = "the store refuses: 403 AccessDenied"
    async with looking_back(settings, [], upload) as (_, page):
        await page.get_by_role("button", name="Look back").click()
        group = page.get_by_role("group", name="In the store")
        await expect(group).to_contain_text("No recording of this time is in the store.")
        said = "The last try: the store refuses: 403 AccessDenied."
        await expect(group.get_by_role("status")).to_have_text(said)


async def test_who_may_only_watch_hears_nothing_of_it(settings):
    upload = WAITING | {"next": {"file": "000000/000000001-main.mp4", "bytes": 5}}
    async with looking_back(settings, [], upload, user="bob") as (part, page):
        await expect(page.locator(".stage")).to_be_visible()
        await expect(page.get_by_role("button", name="Look back")).to_be_hidden()
        answer = await page.evaluate("fetch('api/devices/front/stored').then((answer) => answer.status)")
        assert answer == 403
        del part


async def test_a_portal_without_a_store_shows_nothing_of_one():
    async with open_page() as (part, page):
        part.gateway.on_state("front", state(understands=("lease", "command", "recordings")))
        part.gateway.on_sections("front", SectionsMessage("boot-1", 1, {"record": recording()}))
        await page.goto(f"{part.url}/#/camera/front")
        await enter_password(page)
        async with page.expect_response("**/stored?day=*") as asked:
            await page.get_by_role("button", name="Look back").click()
        assert (await asked.value).status == 404
        await expect(page.get_by_role("group", name="In the store")).to_be_hidden()
