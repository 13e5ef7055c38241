"""What happened at the cameras: the page of all events, and the menu in a camera's view."""

import json
import time

from fakes.bus import state
from fakes.device import FakeDevice
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import enter_password, open_page, sign_in, until_phase
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.model.event import Event
from agent.model.sections import SectionsMessage
from agent.portal import events

AGO_S = 86_400.0


def happen(
    part, device, number, kind, severity, message, *, ago_s=AGO_S, said_ago_s=0.0, lasted_s=None, **more
):
    """Put one event into the portal's store."""
    now = time.time()
    more |= {"until": now - ago_s + lasted_s} if lasted_s else {}
    event = Event(f"b-{number}", kind, severity, "camera", now - ago_s, message, "running", **more)
    kept = events.kept_of(device, event, now - said_ago_s, now)
    part.accounts.store.run_here(lambda db: events.add(db, [kept]))


def fill(part):
    part.gateway.on_state("front", state(name="Front door", camera="live"))
    part.gateway.on_state("yard", state(name="Back yard with a rather long name that somebody gave it"))
    happen(part, "front", 1, "camera-failed", "error", "no picture from picamera for 3 s", ago_s=7200)
    happen(part, "front", 2, "camera-recovered", "info", "", ago_s=7100)
    happen(part, "yard", 3, "data-cap-near", "warning", "80 of 100 MB of this month's data are used")
    happen(part, "yard", 4, "earthquake", "doom", "", details={"magnitude": 4.5})
    happen(part, "yard", 5, "online", "info", "", details={"away_s": 4000}, ago_s=60, said_ago_s=9e6)


async def test_the_page_of_events_tells_what_happened_where_and_when():
    async with open_page() as (part, page):
        fill(part)
        for number in range(100, 160):
            happen(part, "front", number, "motion", "info", "", ago_s=2 * AGO_S + number)
        await sign_in(page, part.url)
        await page.get_by_role("button", name="Activity").click()
        await page.get_by_role("link", name="All events").click()
        rows = page.get_by_role("list", name="Events").get_by_role("listitem")
        await expect(rows).to_have_count(50)
        await expect(rows.nth(0)).to_contain_text("Is online again")
        await expect(rows.nth(0)).to_contain_text("It was away for 1 h 6 min.")
        await expect(rows.nth(0).get_by_role("time")).to_contain_text("≈")
        await expect(rows.nth(2)).to_contain_text("no picture from picamera for 3 s")
        await expect(rows.nth(2).get_by_role("time")).not_to_contain_text("≈")
        await expect(page.get_by_text("earthquake")).to_have_count(2)  # the row, and what can be asked for
        await expect(page.get_by_text("magnitude: 4.5")).to_be_visible()
        await screenshots(page, "events")
        assert await faults(page) == []
        await page.get_by_role("button", name="Older").click()
        await expect(rows).to_have_count(65)
        await expect(page.get_by_role("button", name="Older")).to_be_hidden()

        await page.get_by_label("What").select_option("earthquake")
        await page.get_by_role("button", name="Show").click()
        await expect(rows).to_have_count(1)
        await page.get_by_label("Camera", exact=True).select_option("front")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("Nothing has happened that fits.")).to_be_visible()
        await page.get_by_label("What").select_option("camera-failed")
        await page.get_by_role("button", name="Show").click()
        await rows.get_by_role("link", name="Front door").click()
        await expect(page.locator(".stage")).to_be_visible()


async def test_a_message_that_repeats_its_title_is_left_out():
    async with open_page() as (part, page):
        part.gateway.on_state("front", state(name="Front door"))
        happen(part, "front", 1, "motion", "info", "Motion", lasted_s=1.5)
        happen(part, "front", 2, "motion", "info", "Person", ago_s=AGO_S + 60, lasted_s=1.5)
        happen(part, "front", 3, "motion", "info", "Motion", ago_s=AGO_S + 120, details={"zone": 4})
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/events")
        rows = page.get_by_role("list", name="Events").get_by_role("listitem")
        await expect(rows).to_have_count(3)
        await expect(rows.nth(0).get_by_role("paragraph")).to_have_text("It lasted 1 s.")
        await expect(rows.nth(1).get_by_role("paragraph")).to_have_text("Person. It lasted 1 s.")
        await expect(rows.nth(2).get_by_role("paragraph")).to_have_count(0)


async def test_a_cameras_view_has_its_own_events():
    async with open_page() as (part, page):
        fill(part)
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        part.desk.add_user("bob", None, cameras=["front"], password=PASSWORD)
        await page.goto(part.url)
        await enter_password(page, "bob")
        await page.get_by_role("link", name="Front door").click()
        await until_phase(page, "playing")
        await page.get_by_role("button", name="Events").click()
        rows = page.get_by_role("list", name="Events").get_by_role("listitem")
        await expect(rows).to_have_count(2)
        await expect(rows.nth(1)).to_contain_text("Camera failed")
        await screenshots(page, "camera-events")
        assert await faults(page) == []
        await page.get_by_role("link", name="All events").click()
        await expect(page.get_by_label("Camera", exact=True)).to_have_value("front")
        await expect(rows).to_have_count(2)
        await page.goto(f"{part.url}/#/events/yard")
        await expect(rows).to_have_count(2)  # the yard is no camera of his: he sees what he may
        await device.close()


LABELS = tuple(
    f"{name} 0.{91 - at}" for at, name in enumerate(("person", "vehicle", "animal", "bird of prey"))
)
ODD = "<img src=x onerror=document.title='bitten'> \"&amp;' \u202eabc\u202c 犬 " + "Donaudampfschifffahrt" * 6


async def test_what_the_network_saw_is_text_however_long_and_odd():
    async with open_page() as (part, page):
        device = FakeDevice(part.gateway, "front")
        part.bus.devices["front"] = device.on_message
        for number, (name, labels, zones) in enumerate(
            [
                ("front", ("person 0.91",), ("Drive",)),
                ("many", LABELS, ("Drive", "Path")),
                ("odd", (ODD,), (ODD,)),
            ]
        ):
            part.gateway.on_state(name, state(name=f"Camera {name}", camera="live"))
            section = {"state": "moving", "since": 1.0, "labels": labels, "zones": zones}
            part.gateway.on_sections(name, SectionsMessage("boot-1", 1, {"motion": section}))
            words = f"{', '.join(labels).capitalize()} in {', '.join(zones)}"
            happen(part, name, number, "motion", "info", words, ago_s=60, lasted_s=10)
            happen(part, "front", 10 + number, "motion", "info", words, ago_s=90, lasted_s=10)
        await sign_in(page, part.url)
        cards = page.locator(".card")
        await expect(cards.filter(has_text="Camera many")).to_contain_text(
            f"P{', '.join(LABELS)[1:]} in Drive, Path"
        )
        await expect(cards.filter(has_text="Camera odd")).to_contain_text(f"{ODD} in {ODD}")
        await stays_within(page, "labels-grid")
        await page.goto(f"{part.url}/#/events")
        rows = page.get_by_role("list", name="Events").get_by_role("listitem")
        await expect(rows).to_have_count(6)
        await expect(rows.filter(has_text="Camera odd")).to_contain_text(" in <img src=x onerror=")
        await stays_within(page, "labels-events")
        await page.goto(f"{part.url}/#/camera/front")
        await until_phase(page, "playing")
        await page.get_by_role("button", name="Events").click()
        await expect(rows.nth(0)).to_contain_text("Person 0.91 in Drive.")
        await stays_within(page, "labels-menu")
        assert await page.title() != "bitten"
        await device.close()


async def stays_within(page, name):
    """Nothing sticks out of the page, on a phone and on a desk; and axe finds nothing."""
    await screenshots(page, name)
    for width, height in ((390, 844), (1440, 900)):
        await page.set_viewport_size({"width": width, "height": height})
        wide = await page.evaluate(
            """() => [...document.querySelectorAll("main *, [popover]:popover-open *")]
                .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1
                    && !one.closest(".scroll, .tabs"))
                .map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await faults(page) == []


async def test_what_a_camera_says_within_a_session_reverses_no_line():
    async with open_page() as (part, page):
        await page.goto(part.url)
        folder = await page.locator("link[href$='/said.js']").evaluate("(one) => one.href")
        said = await page.evaluate(
            """async ([from, text]) => {
                const { parseSaid } = await import(from);
                return [parseSaid(text, 200), parseSaid(text, 10), parseSaid("{", 200), parseSaid(null, 200)];
            }""",
            [folder, json.dumps({"zones": ["\u202egate\x1b", "a\n\tKäthe 犬 שלום 🎥"], "score": 0.5})],
        )
        clean = ["\N{REPLACEMENT CHARACTER}gate\N{REPLACEMENT CHARACTER}", "a\n\tKäthe 犬 שלום 🎥"]
        assert said == [{"zones": clean, "score": 0.5}, None, None, None]
