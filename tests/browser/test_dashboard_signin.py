"""The way in: nothing to wait for, and the keyboard's focus where the next act is."""

from urllib.parse import urlsplit

from parts.axe import faults
from parts.chromium import screenshots
from parts.dashboard import confirm_by_keyboard, enter_password, open_page, sign_in
from parts.portal import PASSWORD, USER
from playwright.async_api import expect

from agent.portal.accounts import users
from agent.portal.accounts.codes import code_at

FOCUSED = "() => document.activeElement.matches('h1, a, main, input')"


async def test_the_sign_in_page_waits_for_nothing():
    async with open_page() as (part, page):
        asked = []
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(part.url)
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()
        assert [url for url in asked if "/api/" in url and not url.endswith("/api/ways")] == []
        await enter_password(page)
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        asked.clear()
        await page.reload()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        assert [url for url in asked if urlsplit(url).path == "/api/ws"], "who is signed in stays so"


async def test_a_one_time_link_goes_straight_to_the_cameras():
    """The demo's. Who comes by it has no session yet when the page is made."""
    async with open_page() as (part, page):
        link = f"{part.url}/#/enter/{part.desk.entry_link(USER)}"
        await page.goto(part.url)
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()
        await page.goto(link)  # pasted over it: to the browser only the part behind the # changes
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        assert page.url == f"{part.url}/#/", "the secret has left the address bar"

        await page.context.clear_cookies()
        await page.goto(f"{part.url}/healthz")  # so that it is loaded anew
        await page.goto(link)
        await expect(page.get_by_text("This link has been used or is too old")).to_be_visible()
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()


async def test_the_focus_is_never_lost_between_views():
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        assert await page.evaluate(FOCUSED)
        for name in ("account", "users", "audit"):
            await page.evaluate("(name) => { location.hash = `#/${name}` }", name)
            await expect(page.get_by_role("link", name="All cameras")).to_be_visible()
            await expect(page.get_by_role("heading", level=1)).to_be_focused()


async def test_a_list_that_is_filled_anew_keeps_the_focus():
    async with open_page() as (part, page):
        part.desk.add_user("bob", "viewer")
        await sign_in(page, part.url)
        await page.goto(f"{part.url}/#/users")
        bob = page.get_by_role("listitem").filter(has_text="bob")
        await bob.locator("summary").click()
        await confirm_by_keyboard(page, bob, "Remove")
        await expect(page.get_by_role("listitem")).to_have_count(1)
        await expect(page.get_by_role("list", name="Users")).to_be_focused()
        row = page.get_by_role("listitem").locator("summary")
        await row.press("Enter")
        await page.get_by_role("button", name="New password link").press("Enter")
        await expect(page.get_by_role("textbox", name="Link")).to_be_visible()
        await expect(page.get_by_role("button", name="New password link")).to_be_focused()


async def test_whose_role_asks_for_a_second_factor_is_led_to_it_and_then_in():
    async with open_page(settings={"require_code_for": "admin"}) as (part, page):
        await page.goto(part.url)
        await enter_password(page)
        heading = page.get_by_role("heading", name="Set up a second factor", exact=True)
        await expect(heading).to_be_visible()
        await expect(heading).to_be_focused()
        await page.reload()  # who is signed in already is led there too
        await expect(page.get_by_alt_text("QR code for your authenticator app")).to_be_visible()
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await screenshots(page, "second-factor")
        assert await faults(page) == []

        secret = (await page.locator("code").inner_text()).replace(" ", "")
        await page.get_by_label("The code that it shows").fill(code_at(secret))
        await page.get_by_label("Your password").fill("wrong")
        await page.get_by_role("button", name="Turn on", exact=True).click()
        await expect(page.get_by_text("That is not your password.")).to_be_visible()
        await page.get_by_label("Your password").fill(PASSWORD)
        await page.get_by_role("button", name="Turn on", exact=True).click()
        await expect(page.get_by_role("heading", name="Your second factor is on")).to_be_focused()
        await expect(page.get_by_role("listitem")).to_have_count(10)
        await screenshots(page, "second-factor-codes")
        await page.get_by_role("button", name="Go to your cameras").click()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()

        await page.goto(f"{part.url}/#/account")
        await expect(page.get_by_text("Your role asks for it, so it stays on.")).to_be_visible()
        await screenshots(page, "second-factor-account")
        await page.get_by_role("button", name="Change to another phone").click()
        await expect(page.get_by_alt_text("QR code for your authenticator app")).to_be_visible()


async def test_who_gets_a_stronger_role_is_led_to_the_second_factor_at_once():
    async with open_page(settings={"require_code_for": "admin", "role": "viewer"}) as (part, page):
        part.desk.add_user("bob", "admin", password=PASSWORD)
        await sign_in(page, part.url)
        part.desk.set_role(USER, "admin")
        await expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()


async def test_nothing_that_was_seen_stays_in_a_browser_whose_session_is_over():
    """However it ended. What is told from a camera's last picture is nobody else's who sits down there."""
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        await page.evaluate(
            """() => sessionStorage.setItem("pinhole-poster:front", '{"at": 1, "url": "data:,"}')"""
        )
        await page.reload()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        await part.accounts.store.run(lambda db: users.end_sessions(db, users.find(db, USER)))
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()
        assert await page.evaluate("() => sessionStorage.length") == 0
