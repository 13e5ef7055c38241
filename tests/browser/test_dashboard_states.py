"""Every state that the dashboard can show, at the width of a phone and of a desk, dark and light."""

import time

import pytest
from fakes.bus import state
from fakes.device import FakeDevice
from parts.chromium import screenshot
from parts.dashboard import DESKTOP, PHONE, choose, enter_password, open_page, sign_in, until_phase
from playwright.async_api import expect

from agent.model.health import Health, HealthFault
from agent.model.signal import StreamInfo
from agent.portal.messages import DeviceEvent

HD = (StreamInfo("main", 1280, 720, 30, 2_000_000),)
FULL_HD = (StreamInfo("main", 1920, 1080, 30, 4_000_000),)
FAILURE = "The camera is busy: another program holds /dev/video0. Stop it, or choose another source."
LOOKS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark"}, "1440-dark", id="1440-dark"),
    pytest.param({"viewport": DESKTOP, "color_scheme": "light"}, "1440-light", id="1440-light"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, "390-dark", id="390-dark"),
    pytest.param({"viewport": PHONE, "color_scheme": "light"}, "390-light", id="390-light"),
]


def fleet(gateway):
    """One camera in each state."""
    for device, fields in {
        "front": {"name": "Front door", "camera": "live", "streams": HD, "viewers": 2},
        "yard": {"name": "Back yard", "camera": "idle", "streams": FULL_HD},
        "garage": {"name": "Garage", "camera": "starting", "streams": HD},
        "barn": {"name": "Barn, north side", "camera": "failed", "problem": FAILURE},
        "gate": {"name": "Gate at the end of the long lane by the old oak", "streams": HD},
    }.items():
        gateway.on_state(device, state(**fields))
    gone = {"name": "Gate at the end of the long lane by the old oak", "streams": HD}
    gateway.on_state("gate", state(online=False, since=time.time() - 600, **gone))


async def no_sideways_scroll(page):
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("context", "name"), LOOKS)
async def test_every_view_fits_and_says_what_is_the_matter(context, name):
    async with open_page(**context) as (part, page):
        await page.goto(part.url)
        await enter_password(page, password="wrong")
        await expect(page.get_by_role("alert")).to_contain_text("That is not the right user name")
        await no_sideways_scroll(page)
        await screenshot(page, f"sign-in-{name}")

        await sign_in(page, part.url)
        await expect(page.get_by_role("heading", name="No cameras yet")).to_be_visible()
        await expect(page.get_by_text("ask an administrator to let you watch")).to_be_visible()
        await expect(page.get_by_text("pinhole run --config pinhole.toml")).to_be_visible()
        await no_sideways_scroll(page)
        await screenshot(page, f"empty-{name}")

        fleet(part.gateway)
        await expect(page.get_by_role("link")).to_have_count(5)
        await expect(page.get_by_role("link", name="Barn")).to_contain_text("another program holds")
        await expect(page.get_by_role("link", name="Gate")).to_contain_text("Offline since")
        await expect(page.get_by_role("link", name="Front")).to_contain_text("2 other viewers")
        await no_sideways_scroll(page)
        await screenshot(page, f"grid-{name}")

        part.gateway.on_broker(connected=False)
        await expect(page.get_by_role("alert")).to_contain_text("lost the MQTT broker")
        await no_sideways_scroll(page)
        await screenshot(page, f"broker-away-{name}")
        part.gateway.on_broker(connected=True)
        await expect(page.get_by_role("alert")).to_be_hidden()

        silent = FakeDevice(part.gateway, "front")
        silent.mode = "silent"
        part.bus.devices["front"] = silent.on_message
        await page.get_by_role("link", name="Front").click()
        await until_phase(page, "asking")
        await expect(page.get_by_text("Asking the camera").last).to_be_visible()
        await screenshot(page, f"asking-{name}")
        await page.get_by_role("link", name="All cameras").click()

        await page.get_by_role("link", name="Gate").click()
        await expect(page.get_by_role("heading", name="The camera is offline")).to_be_visible()
        await expect(page.get_by_text("Check its power")).to_be_visible()
        await expect(page.get_by_role("button", name="Retry now")).to_be_visible()
        await no_sideways_scroll(page)
        await screenshot(page, f"offline-{name}")


@pytest.mark.parametrize(("context", "name"), [LOOKS[2], LOOKS[1]])
async def test_playing_with_statistics_on_a_phone_and_a_desk(context, name):
    async with open_page(**context) as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(streams=HD, camera="live", viewers=1, has_stamp=True))
        await sign_in(page, part.url)
        await page.get_by_role("link", name="Front door").click()
        await until_phase(page, "playing")
        await screenshot(page, f"playing-bare-{name}")
        await page.get_by_role("button", name="Statistics").click()
        await expect(page.locator('[data-stat="rtt"] .value')).to_contain_text("ms")
        await expect(page.locator('[data-stat="latency"] .value')).to_contain_text("ms")
        await expect(page.locator('[data-stat="bitrate"] .value')).to_contain_text("b/s")
        await screenshot(page, f"playing-{name}")
        part.gateway.on_broker(connected=False)
        await expect(page.get_by_role("alert")).to_contain_text("lost the MQTT broker")
        await expect(page.get_by_role("link", name="All cameras")).to_be_in_viewport()
        await screenshot(page, f"playing-broker-away-{name}")
        part.gateway.on_broker(connected=True)
        await page.get_by_role("link", name="All cameras").click()
        await expect(page.locator(".poster img")).to_be_visible()
        await screenshot(page, f"poster-{name}")
        await device.close()


async def test_a_refusal_says_why_and_when_it_tries_again():
    async with open_page() as (part, page):
        device = FakeDevice(part.gateway, "front")
        device.mode = "busy"
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state())
        await sign_in(page, part.url)
        await page.get_by_role("link", name="Front door").click()
        await expect(page.get_by_text("8 viewers watch already.")).to_be_visible()
        await expect(page.get_by_text("Trying again in")).to_be_visible()
        await screenshot(page, "busy-1440")
        device.mode = "answer"
        await page.get_by_role("button", name="Retry now").click()
        await until_phase(page, "playing")
        await device.close()


async def test_an_offline_camera_plays_by_itself_when_it_comes_back():
    async with open_page() as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.gateway.on_state("front", state(online=False))
        await sign_in(page, part.url)
        await page.get_by_role("link", name="Front door").click()
        await expect(page.get_by_role("heading", name="The camera is offline")).to_be_visible()
        part.gateway.on_state("front", state(boot_id="boot-2", since=time.time()))
        await until_phase(page, "playing")
        await device.close()


async def test_what_a_device_says_is_shown_as_text():
    name = "<img src=x onerror='document.title=1'>"
    async with open_page() as (part, page):
        part.gateway.on_state("evil", state(name=name, camera="failed", problem="<b>bold</b>"))
        await sign_in(page, part.url)
        await expect(page.get_by_role("heading", name=name)).to_be_visible()
        await expect(page.get_by_text("<b>bold</b>")).to_be_visible()
        part.gateway.on_event(DeviceEvent("evil", "camera-failed", "<i>toast</i>", time.time(), "error"))
        await expect(page.get_by_text("<i>toast</i>")).to_be_visible()
        await screenshot(page, "toast-1440")
        assert await page.title() == "Pinhole"


async def test_many_cameras_can_be_searched_and_walked_by_keyboard():
    async with open_page() as (part, page):
        for number in range(12):
            part.gateway.on_state(f"cam-{number}", state(name=f"Camera {number}", streams=HD))
        await sign_in(page, part.url)
        await expect(page.get_by_role("link")).to_have_count(12)
        focused = "() => document.activeElement.dataset.device"
        await page.keyboard.press("ArrowRight")
        assert await page.evaluate(focused) == "cam-0"
        await page.keyboard.press("ArrowRight")
        assert await page.evaluate(focused) == "cam-1"
        await screenshot(page, "many-1440")
        await page.keyboard.press("/")
        await page.keyboard.type("camera 11")
        await expect(page.get_by_role("link")).to_have_count(1)
        await page.keyboard.type("9")
        await expect(page.get_by_role("heading", name="No camera matches")).to_be_visible()
        await screenshot(page, "nothing-found-1440")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("link")).to_have_count(12)
        await page.get_by_role("link", name="Camera 3").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".stage")).to_be_visible()
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Save a snapshot")
        await screenshot(page, "help-1440")


async def test_the_theme_is_kept_and_signing_out_asks_for_the_password_again():
    async with open_page(color_scheme="dark") as (part, page):
        await sign_in(page, part.url)
        background = "() => getComputedStyle(document.body).backgroundColor"
        dark = await page.evaluate(background)
        await page.emulate_media(color_scheme="light")  # until one is chosen, the system's counts
        await expect(page.locator("body")).not_to_have_css("background-color", dark)
        await page.emulate_media(color_scheme="dark")
        await expect(page.locator("body")).to_have_css("background-color", dark)
        await choose(page, "Change between dark and light")
        light = await page.evaluate(background)
        assert light != dark
        await page.emulate_media(color_scheme="light")
        await page.emulate_media(color_scheme="dark")
        assert await page.evaluate(background) == light, "then the choice"
        await page.reload()
        assert await page.evaluate(background) == light
        await choose(page, "Sign out")
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()
        await page.reload()
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()


@pytest.mark.parametrize(("context", "name"), LOOKS)
async def test_what_a_cameras_doctor_says_is_shown(context, name):
    async with open_page(**context) as (part, page):
        await sign_in(page, part.url)
        fleet(part.gateway)
        fault = HealthFault(
            "clock", "9 s behind the portal: offers look expired", "sudo timedatectl set-ntp true"
        )
        part.gateway.on_health("front", Health(1000.0, "symmetric", is_carrier=True, faults=(fault,)))
        part.gateway.on_health("yard", Health(1000.0, "open"))
        part.gateway.on_health("gate", Health(1000.0, "open", faults=(fault,)))
        card = page.get_by_role("link", name="Front")
        await expect(card).to_contain_text("clock: 9 s behind the portal")
        for quiet in ("Back yard", "Gate"):  # one has no fault, the other is offline
            await expect(page.get_by_role("link", name=quiet).locator(".warning")).to_be_hidden()
        await no_sideways_scroll(page)
        await screenshot(page, f"grid-health-{name}")

        await card.click()
        await page.keyboard.press("i")
        statistics = page.get_by_label("Statistics", exact=True)
        await expect(statistics).to_contain_text("Symmetric NAT")
        await expect(statistics).to_contain_text("behind carrier NAT")
        await expect(statistics).to_contain_text("sudo timedatectl set-ntp true")
        await no_sideways_scroll(page)
        await screenshot(page, f"overlay-health-{name}")

        part.gateway.on_health("front", Health(2000.0, "port-restricted"))
        await expect(statistics).to_contain_text("Port-restricted NAT")
        await expect(statistics.get_by_label("Faults of the camera")).to_be_hidden()
