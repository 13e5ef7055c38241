"""Cameras that rest show their last still with its age; events show the camera's picture of them."""

import os
import time

from fakes.bus import state
from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import PATIENCE_MS, open_page, sign_in
from parts.photographer import Photographer
from playwright.async_api import expect

from agent.model.event import Event
from agent.portal import events

NEW = ("lease", "command")
WIDTH = "(image) => image.decode().then(() => image.naturalWidth)"


def add_camera(part, device, name, **more):
    camera = Photographer(part.gateway, device, **more)
    part.bus.devices[device] = camera.on_message
    part.gateway.on_state(device, state(name=name, understands=NEW))
    return camera


async def test_a_camera_that_rests_shows_its_still_with_its_age_and_is_asked_once():
    async with open_page() as (part, page):
        front = add_camera(part, "front", "Front door")
        yard = add_camera(part, "yard", "Back yard")
        folder = part.folder / "state" / "stills"
        folder.mkdir(mode=0o700)
        for device, age_s in (("yard", 600), ("barn", 3 * 3600 + 60)):
            file = folder / f"{device}.0.jpg"
            file.write_bytes(front.jpeg)
            os.utime(file, (time.time() - age_s,) * 2)
        part.gateway.on_state("barn", state(name="Barn", online=False, since=time.time() - 3 * 3600))
        await sign_in(page, part.url)
        cards = {name: page.get_by_role("link", name=name) for name in ("Front door", "Back yard", "Barn")}
        for card in cards.values():
            await expect(card.locator("img")).to_be_visible(timeout=PATIENCE_MS)
            assert await card.locator("img").evaluate(WIDTH) == 640
        await expect(cards["Front door"]).to_contain_text("Seen just now")
        await expect(cards["Back yard"]).to_contain_text("Seen 10 min ago")
        await expect(cards["Barn"]).to_contain_text("Seen 3 h ago")
        assert (front.asked, yard.asked) == (["snapshot"], []), "one that is new enough is not asked for"
        await screenshots(page, "stills")
        assert await faults(page) == []
        await page.reload()
        await expect(cards["Front door"].locator("img")).to_be_visible(timeout=PATIENCE_MS)
        assert front.asked == ["snapshot"]


async def test_an_event_shows_the_cameras_picture_of_it():
    async with open_page() as (part, page):
        front = add_camera(part, "front", "Front door")
        now = time.time()
        for number, thumbnail in (("1", "b-1"), ("2", None)):
            event = Event(
                f"b-{number}", "camera-recovered", "info", "camera", now - 60, f"number {number}", "running",
                thumbnail=thumbnail,
            )  # fmt: skip
            kept = events.kept_of("front", event, now, now)
            part.accounts.store.run_here(lambda db, kept=kept: events.add(db, [kept]))
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/events")
        rows = page.get_by_role("list", name="Events").get_by_role("listitem")
        await expect(rows).to_have_count(2)
        picture = page.get_by_alt_text("The camera's picture then")
        await expect(picture).to_have_count(1)
        assert await picture.evaluate(WIDTH) == 320
        # Who looked at all cameras for a moment before has perhaps had a still made.
        assert [name for name in front.asked if name != "snapshot"] == ["thumbnail"]
        await screenshots(page, "event-pictures")
        assert await faults(page) == []
