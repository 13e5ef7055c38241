"""Being told: this browser by one tap, other channels, rules; the real service worker shows what is pushed.

To subscribe, Chromium asks Google's push service: only that is played.
"""

import asyncio
import json
import time
from contextlib import asynccontextmanager

from fakes.bus import state
from parts.axe import faults
from parts.chromium import WHOLE, screenshots
from parts.dashboard import confirm_by_keyboard, open_page, sign_in
from parts.notified import Told, receiver
from parts.push_service import Browser
from playwright.async_api import expect

from agent.portal.notify import rulebook
from agent.portal.notify.tables import NotifyDelivery, NotifyLook

SUBSCRIBE = """(() => {
  let own = null;
  const made = %s;
  PushManager.prototype.subscribe = async function ({ applicationServerKey, userVisibleOnly }) {
    if (!userVisibleOnly || applicationServerKey.length !== 65) throw new Error("no such key");
    own = {
      endpoint: made.endpoint, options: { applicationServerKey: applicationServerKey.buffer },
      toJSON: () => made, unsubscribe: async () => ((own = null), true),
    };
    return own;
  };
  PushManager.prototype.getSubscription = async () => own;
})()"""


@asynccontextmanager
async def page_of_notifications():
    browser = Browser()
    settings = {"notify": {"private_addresses": True}}
    async with (
        receiver() as service,
        open_page(settings=settings, program=WHOLE, permissions=["notifications"]) as (part, page),
    ):
        made = {"endpoint": f"{service.url}/push/1", "keys": browser.keys}
        await page.add_init_script(SUBSCRIBE % json.dumps(made))
        part.gateway.on_state("front", state(name="Front door"))
        part.gateway.on_state("yard", state(name="Back yard"))
        await sign_in(page, part.url)
        await page.evaluate("location.hash = '#/notifications'")
        await expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
        yield part, page, service, browser


async def test_one_tap_tells_this_device_and_another_tells_it_no_more():
    async with page_of_notifications() as (part, page, service, browser):
        told = Told(part.accounts.store, part.accounts.seal)
        await page.get_by_role("button", name="Tell me on this device").press("Enter")
        await expect(page.get_by_role("button", name="Send a test")).to_be_visible()
        rules = page.get_by_role("list", name="Rules")
        await expect(rules.get_by_text("My cameras")).to_be_visible()
        await page.get_by_role("button", name="Send a test").press("Enter")
        await expect(page.get_by_text("Sent: it should show in a moment.")).to_be_visible()
        assert json.loads(browser.read(service.got[0][2]))["title"] == "Pinhole can reach you"
        told.happen(time.time(), kind="camera-failed")
        part.notifier.wake()
        await service.until(2)
        await page.reload()
        await expect(page.get_by_role("list", name="Told of late").get_by_role("listitem")).to_have_count(2)
        looked = part.accounts.store.run_here(lambda db: db.query(NotifyLook).count())
        assert looked == 1, "an open dashboard is a look"

        await page.get_by_role("button", name="Tell me on this device").press("Enter")
        await page.get_by_role("button", name="Stop telling me here").press("Enter")
        await expect(page.get_by_role("button", name="Tell me on this device")).to_be_visible()
        await expect(page.get_by_text("There is none yet.")).to_be_visible()
        assert part.accounts.store.run_here(lambda db: db.query(NotifyDelivery).count()) == 0


async def test_a_webhook_and_a_rule_are_made_by_keyboard_alone():
    async with page_of_notifications() as (_, page, service, _browser):
        await page.locator("section", has_text="Webhook").get_by_label("Name").focus()
        await page.keyboard.type("My program")
        await page.keyboard.press("Tab")
        await page.keyboard.type(f"{service.url}/hook")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("textbox", name="Secret")).to_be_visible()
        service.answers = [503]
        await page.get_by_role("button", name="Test My program").press("Enter")
        await expect(page.get_by_role("alert").get_by_text("The webhook answered 503")).to_be_visible()

        await page.get_by_role("button", name="Add a rule").press("Enter")
        await page.keyboard.type("Nights")
        row = page.get_by_role("list", name="Rules").get_by_role("listitem")
        await row.get_by_label("Front door").press("Space")
        await row.get_by_label("From").fill("22:00")
        await row.get_by_label("Until").fill("06:00")
        await row.get_by_label("Told", exact=True).select_option("900")
        await row.get_by_label("Where nobody looks").select_option(label="Tell My program")
        await row.get_by_role("button", name="Save").press("Enter")
        await expect(row.get_by_text("Motion, errors · 1 chosen")).to_be_visible()
        await row.locator("summary").press("Enter")
        await expect(row.get_by_label("From")).to_have_value("22:00")
        await expect(row.get_by_label("Front door")).to_be_checked()
        await expect(row.get_by_label("Back yard")).not_to_be_checked()
        await screenshots(page, "notifications")
        assert await faults(page) == []
        await row.get_by_role("button", name="Snooze for an hour").press("Enter")
        await expect(row.get_by_text("snoozed until")).to_be_visible()
        await confirm_by_keyboard(page, row, "Remove this rule")
        await expect(page.get_by_text("There is no rule yet, so nothing is told.")).to_be_visible()


async def test_a_rule_that_tells_nobody_is_not_saved_and_one_whose_channel_goes_says_so():
    async with page_of_notifications() as (part, page, _service, _browser):
        told = Told(part.accounts.store, part.accounts.seal)
        rows = page.get_by_role("list", name="Rules").get_by_role("listitem")
        await page.get_by_role("button", name="Add a rule").press("Enter")
        await page.keyboard.type("Nights")
        await expect(rows.get_by_text("have this browser told, or add a channel")).to_be_visible()
        await rows.get_by_role("button", name="Save").press("Enter")
        await expect(rows.get_by_text("This rule tells nobody: it has no channel.")).to_be_visible()
        gone = told.channel("ann")
        told.rule(gone, name="Days")
        told.store.run_here(lambda db: rulebook.remove_channel(db, told.user("ann"), gone))
        await page.reload()
        await expect(rows.locator("summary").get_by_text("Days")).to_be_visible()
        await expect(rows.get_by_text("This rule tells nobody: it has no channel.")).to_be_visible()
        assert await faults(page) == []


async def test_a_rule_that_is_edited_outlives_what_else_is_done_on_the_page():
    async with page_of_notifications() as (_, page, service, _browser):

        async def add_webhook(name):
            box = page.locator("section", has_text="Webhook")
            await box.get_by_label("Name").fill(name)
            await box.get_by_label("Address").fill(f"{service.url}/hook")
            await box.get_by_role("button", name="Add the webhook").press("Enter")
            await expect(page.get_by_role("list", name="Channels").get_by_text(name)).to_be_visible()

        rows = page.get_by_role("list", name="Rules").get_by_role("listitem")
        await page.get_by_role("button", name="Add a rule").press("Enter")
        await page.keyboard.type("Nights")
        await rows.get_by_label("Motion", exact=True).press("Space")
        await add_webhook("First")
        await expect(rows.get_by_label("Name")).to_have_value("Nights")
        await expect(rows.get_by_label("Motion", exact=True)).not_to_be_checked()
        await expect(rows.get_by_label("First", exact=True)).to_be_checked()
        await rows.get_by_role("button", name="Save").press("Enter")
        await expect(rows.locator("summary").get_by_text("Nights")).to_be_visible()
        await expect(rows).to_have_count(1)

        await rows.locator("summary").press("Enter")
        await rows.get_by_label("From").fill("22:00")
        await rows.get_by_label("Back yard").press("Space")
        await rows.get_by_label("Told", exact=True).select_option("900")
        await add_webhook("Second")
        await expect(rows.get_by_label("From")).to_have_value("22:00")
        await expect(rows.get_by_label("Told", exact=True)).to_have_value("900")
        await expect(rows.get_by_label("Back yard")).to_be_checked()
        await page.get_by_label("Snooze all rules").select_option("3600")
        await expect(rows.get_by_text("snoozed until")).to_be_visible()
        await expect(rows.get_by_label("From")).to_have_value("22:00")
        await rows.get_by_role("button", name="Save").press("Enter")
        await page.reload()
        await rows.locator("summary").press("Enter")
        await expect(rows.get_by_label("From")).to_have_value("22:00")
        await expect(rows.get_by_label("Back yard")).to_be_checked()


async def test_the_service_worker_shows_what_is_pushed_and_opens_what_it_is_about():
    async with page_of_notifications() as (part, page, _service, _browser):
        ready = "navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.ready)"
        await page.evaluate(ready)
        devtools = await page.context.new_cdp_session(page)
        registrations = []
        devtools.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda one: registrations.extend(one["registrations"]),
        )
        await devtools.send("ServiceWorker.enable")
        async with asyncio.timeout(60):
            while not registrations:
                await asyncio.sleep(0.05)
        pushed = {
            "title": "Front door: Motion", "body": "person · 09:00", "tag": "pinhole-17",
            "path": "#/camera/front/1800000000", "severity": "info", "at": 1.8e9,
        }  # fmt: skip

        async def push(data):
            await devtools.send(
                "ServiceWorker.deliverPushMessage",
                {"origin": part.url, "registrationId": registrations[0]["registrationId"], "data": data},
            )

        async def shown():
            return await page.evaluate(
                "navigator.serviceWorker.ready.then((one) => one.getNotifications()).then((all) =>"
                " all.map(({ title, body, tag, data }) => ({ title, body, tag, path: data.path })))"
            )

        await push(json.dumps(pushed))
        await push(json.dumps(pushed))
        await push("no json")
        async with asyncio.timeout(60):
            while len(found := await shown()) < 2:
                await asyncio.sleep(0.1)
        assert {one["title"] for one in found} == {"Front door: Motion", "Pinhole"}, "a double is shown once"
        [motion] = [one for one in found if one["tag"]]
        assert motion == {name: pushed[name] for name in ("title", "body", "tag", "path")}

        worker = page.context.service_workers[0]
        await worker.evaluate(
            "self.registration.getNotifications({ tag: 'pinhole-17' }).then(([notification]) =>"
            " self.dispatchEvent(new NotificationEvent('notificationclick', { notification })))"
        )
        await expect(page.locator(".stage")).to_be_visible()
        assert page.url.endswith("#/camera/front/1800000000")
