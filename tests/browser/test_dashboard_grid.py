"""All cameras: of few as much as fits, of many what needs somebody first."""

import time

from fakes.bus import state
from fakes.device import FakeDevice
from parts.chromium import screenshot
from parts.dashboard import PATIENCE_MS, PHONE, open_page, sign_in
from playwright.async_api import expect

from agent.model.health import Health, HealthFault
from agent.model.signal import State, StreamInfo
from agent.portal.gateway import Gateway

HD = (StreamInfo("main", 1280, 720, 30, 2_000_000),)
FAULT = HealthFault("clock", "9 s behind the portal", "sudo timedatectl set-ntp true")


def twenty(gateway):
    """Cameras of which the fourth has failed, the ninth and thirteenth are away, the last has a warning."""
    for number in range(1, 21):
        fields = {"name": f"Camera {number}", "streams": HD}
        if number == 4:
            fields |= {"camera": "failed", "problem": "The sensor does not answer. Check its cable."}
        if number in (6, 7):
            fields["camera"] = "live"
        gateway.on_state(f"cam-{number}", state(**fields))
        if number in (9, 13):
            gateway.on_state(f"cam-{number}", state(online=False, since=time.time() - 600, **fields))
    gateway.on_health("cam-20", Health(1000.0, "open", faults=(FAULT,)))


async def names(page):
    return await page.get_by_role("list", name="Cameras").get_by_role("heading").all_inner_texts()


async def test_twenty_cameras_on_a_phone_are_a_list_with_problems_first():
    async with open_page(viewport=PHONE) as (part, page):
        await sign_in(page, part.url)
        twenty(part.gateway)
        await expect(page.get_by_role("link")).to_have_count(20)
        headings = page.get_by_role("list", name="Cameras").get_by_role("heading")
        # What is the matter with the last one comes after it.
        for place, number in enumerate((4, 9, 13, 20, 1, 2)):
            await expect(headings.nth(place)).to_have_text(f"Camera {number}")
        assert await page.evaluate("() => document.documentElement.scrollHeight") < 2_000
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await expect(page.get_by_role("link", name="Camera 4")).to_contain_text("Check its cable.")
        await screenshot(page, "many-390-dark")


async def test_each_count_shows_those_cameras_alone():
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        twenty(part.gateway)
        counts = page.get_by_role("group", name="Show").get_by_role("button")
        await expect(counts).to_have_text(["All 20", "Failed 1", "Offline 2", "Warning 1", "Live 2"])
        await counts.filter(has_text="Offline").click()
        await expect(page.get_by_role("link")).to_have_count(2)
        assert await names(page) == ["Camera 9", "Camera 13"]
        await screenshot(page, "filtered-1440-dark")
        part.gateway.on_state("cam-9", state(name="Camera 9"))
        await expect(page.get_by_role("link")).to_have_count(1)
        part.gateway.on_state("cam-13", state(name="Camera 13"))
        await expect(page.get_by_role("link")).to_have_count(20)  # nobody is left with an empty page
        await counts.filter(has_text="Failed").click()
        await page.get_by_label("Search cameras").fill("camera 1")
        await page.get_by_role("button", name="Show all cameras").click()
        await expect(page.get_by_role("link")).to_have_count(20)


async def test_one_camera_fills_the_desk():
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        part.gateway.on_state("cam-1", state(name="Camera 1", streams=HD))
        card = page.get_by_role("link", name="Camera 1")
        await expect(card).to_be_visible()
        box = await card.bounding_box()
        assert box["width"] * box["height"] > 1440 * 900 / 2
        assert box["y"] + box["height"] <= 900, "without scrolling"


async def test_every_button_says_what_it_does():
    for viewport in (None, PHONE):
        async with open_page(viewport=viewport) as (part, page):
            await sign_in(page, part.url)
            part.gateway.on_state("front", state(streams=HD))
            await page.get_by_role("button", name="Menu", exact=True).click()
            for name in (
                "Live previews",
                "Menu",
                "Account and settings",
                "Change between dark and light",
                "Sign out",
            ):
                await expect(
                    page.get_by_role("button", name=name, exact=True).get_by_text(name)
                ).to_be_visible()
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
            await page.get_by_role("link", name="Front door").click()
            for name in ("Statistics", "Snapshot", "Full screen"):
                await expect(
                    page.get_by_role("button", name=name, exact=True).get_by_text(name)
                ).to_be_visible()


async def test_a_button_does_not_look_pressed_after_a_tap():
    async with open_page(viewport=PHONE, has_touch=True, is_mobile=True) as (part, page):
        await sign_in(page, part.url)
        part.gateway.on_state("front", state(streams=HD))
        await page.get_by_role("link", name="Front door").tap()
        button = page.get_by_role("button", name="Statistics")
        ground = "(button) => getComputedStyle(button).backgroundColor"
        before = await button.evaluate(ground)
        await button.tap()
        await button.tap()
        assert await button.evaluate(ground) == before


async def test_a_preview_that_goes_leaves_its_last_picture():
    async with open_page(previews=True) as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(streams=HD))
        await sign_in(page, part.url)
        card = page.get_by_role("link", name="Front door")
        await expect(card.locator("video")).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Live previews").click()
        await expect(card.locator("video")).to_be_hidden()
        await expect(card.locator("img")).to_be_visible()
        await expect(card).to_contain_text("Seen")
        assert (
            await card.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)")
            == 480
        )
        await device.close()


async def test_a_portal_of_before_there_were_sections_is_read_too(monkeypatch):
    """While several are updated, a page of the newer one may speak to the older."""
    join = Gateway.join
    monkeypatch.setattr(Gateway, "join", lambda *args, **_: join(*args))
    async with open_page() as (part, page):
        streams = (StreamInfo("main", 1280, 720, 30, 2_000_000),)
        part.gateway.on_state("front", state(camera="failed", problem="It is busy.", streams=streams))
        part.gateway.on_state("yard", state(name="Yard", camera="live", streams=streams, viewers=2))
        await sign_in(page, part.url)
        await expect(page.get_by_role("link", name="Front door")).to_contain_text("It is busy.")
        await expect(page.get_by_role("link", name="Yard")).to_contain_text("2 other viewers · 1280")
        await page.goto(f"{part.url}/#/releases")
        await expect(page.locator(".releases tbody")).to_contain_text("1.2.3")


async def test_an_agent_that_says_little_is_shown_well():
    """As older ones do: no name, no streams, no viewers, no health, no release."""
    async with open_page() as (part, page):
        part.gateway.on_state("attic", State(boot_id="boot-1", online=True, since=1000.0))
        await sign_in(page, part.url)
        card = page.get_by_role("link", name="attic")
        await expect(card).to_contain_text("Starts when you open it")
        await card.click()
        await expect(page.get_by_role("heading", name="attic")).to_be_visible()
        await page.goto(f"{part.url}/#/releases")
        await expect(page.locator(".releases tbody tr")).to_contain_text("unknown")
        assert await page.evaluate("() => !document.body.innerText.match(/undefined|NaN|null/)")
