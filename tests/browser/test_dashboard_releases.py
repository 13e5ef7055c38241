"""The dashboard's page about releases in a real browser: who runs what, what was rolled back, and why."""

import time

import pytest
from fakes.bus import state
from parts.chromium import screenshot
from parts.dashboard import DESKTOP, PHONE, choose, enter_password, open_page, sign_in
from parts.portal import PASSWORD
from playwright.async_api import expect

from agent.model.signal import Release

LOOKS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark"}, "1440-dark", id="1440-dark"),
    pytest.param({"viewport": DESKTOP, "color_scheme": "light"}, "1440-light", id="1440-light"),
    pytest.param({"viewport": PHONE, "color_scheme": "light"}, "390-light", id="390-light"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, "390-dark", id="390-dark"),
]
WHY = "it did not capture a picture within 120 s"


def fleet(part):
    """A roll-out of 0.1.10 that is on its way: three have it, one tries it, one gave it back."""
    now = time.time()
    good, old = Release(since=now - 1800), Release(since=now - 9 * 86400)
    tell = part.gateway.on_state
    for name in ("Back yard", "Front door", "Gate"):
        tell(name.lower().replace(" ", "-"), state(name=name, version="0.1.10", release=good))
    tell("boat", state(name="Boat", version="0.1.10", release=Release(on_trial=True, since=now - 40)))
    back = Release(since=now - 300, given_back="0.1.10", reason=WHY, given_back_at=now - 320)
    tell("garage", state(name="Garage", version="0.1.9", release=back))
    tell("roof", state(name="Roof", version="0.1.9", release=old))
    tell("cabin", state(name="Cabin at the lake", version="0.1.8", release=old))
    tell(
        "cabin", state(name="Cabin at the lake", version="0.1.8", release=old, online=False, since=now - 7200)
    )
    tell("bench", state(name="Workbench", version="0.1.7", release=None))


@pytest.mark.parametrize(("context", "name"), LOOKS)
async def test_a_rollout_is_seen_at_a_glance(context, name):
    async with open_page(**context) as (part, page):
        fleet(part)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/releases")
        newest = page.get_by_role("region", name="Newest release")
        await expect(newest.get_by_role("heading", name="0.1.10", exact=True)).to_be_visible()
        await expect(newest).to_contain_text("4 of 8 cameras on it, begun")
        words = [
            "3 run it",
            "1 gave it back",
            "1 on trial",
            "1 to come",
            "1 offline, to come",
            "1 updated by hand",
        ]
        await expect(newest.get_by_role("listitem")).to_have_text(words)
        await expect(newest.get_by_role("img", name=", ".join(words), exact=True)).to_be_visible()
        await expect(
            page.get_by_text("Still 0.1.9 on 2 cameras, 0.1.8 on 1 camera, 0.1.7 on 1 camera.")
        ).to_be_visible()

        rows = page.locator(".releases tbody tr")
        await expect(rows.first).to_contain_text("Garage")  # what needs somebody comes first
        await expect(rows.first).to_contain_text(WHY)
        await expect(rows.nth(1)).to_contain_text("Boat")
        await expect(rows.filter(has_text="Cabin")).to_contain_text("offline since")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await screenshot(page, f"releases-{name}")


async def test_a_rollout_goes_on_while_the_page_is_open():
    async with open_page() as (part, page):
        fleet(part)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/releases")
        newest = page.get_by_role("region", name="Newest release")
        await expect(newest).to_contain_text("1 on trial")
        part.gateway.on_state("boat", state(name="Boat", version="0.1.10", release=Release()))
        await expect(newest).to_contain_text("4 run it")
        await expect(newest).not_to_contain_text("on trial")
        for device, called in (
            ("garage", "Garage"),
            ("roof", "Roof"),
            ("cabin", "Cabin"),
            ("bench", "Workbench"),
        ):
            part.gateway.on_state(device, state(name=called, version="0.1.10", release=Release()))
        await expect(newest).to_contain_text("Everywhere")
        await expect(newest).to_contain_text("8 of 8 cameras")


async def test_what_serves_nobody_is_not_called_good():
    async with open_page() as (part, page):
        tell, now = part.gateway.on_state, time.time()
        release = Release(since=now - 1800)
        tell("good", state(name="Barn", version="0.2.0", release=release))
        tell(
            "bad", state(name="Gate", version="0.2.0", release=release, camera="failed", problem="No sensor.")
        )
        tell("away", state(name="Yard", version="0.2.0", release=release))
        tell("away", state(name="Yard", version="0.2.0", release=release, online=False, since=now - 600))
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/releases")
        rows = page.locator(".releases tbody tr")
        await expect(rows.locator(".mark")).to_have_text(["Camera failed", "Offline", "Good"])
        await expect(rows.filter(has_text="Gate")).to_contain_text("No sensor.")
        newest = page.get_by_role("region", name="Newest release")
        await expect(newest).to_contain_text("Failed on 1")
        await expect(newest.get_by_role("listitem")).to_have_text(
            ["1 runs it", "1 runs it, camera failed", "1 runs it, offline"]
        )
        await screenshot(page, "releases-failed-1440-dark")


async def test_look_now_is_a_press_away():
    async with open_page(viewport=PHONE, color_scheme="light") as (part, page):
        fleet(part)
        asked = []
        part.gateway.ask_to_look = lambda device: device != "cabin" and not asked.append(device)
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/releases")
        await page.get_by_role("button", name="Look now: Roof").click()
        await expect(page.get_by_text("Asked Roof.", exact=True)).to_be_visible()
        assert asked == ["roof"]
        await expect(page.get_by_role("button", name="Look now: Cabin at the lake")).to_be_disabled()
        await page.get_by_role("button", name="Look now, all").click()
        await expect(page.get_by_text("Asked 7 cameras. 1 is away, and will look when back.")).to_be_visible()
        assert len(asked) == 8
        await screenshot(page, "releases-look-390-light")


async def test_before_the_first_camera_the_page_says_so():
    async with open_page(viewport=PHONE) as (part, page):
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/releases")
        await expect(page.get_by_text("No cameras yet")).to_be_visible()


async def test_who_only_watches_is_not_shown_releases():
    async with open_page() as (part, page):
        fleet(part)
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        await page.goto(part.url)
        await enter_password(page, "bob")
        await choose(page, "Account and settings")
        pages = page.get_by_role("navigation").get_by_role("link")
        await expect(pages).to_have_text(["Account", "Events", "Notifications"])
