"""The way in: nothing to wait for, and the keyboard's focus where the next act is."""

from parts.dashboard import enter_password, open_page, sign_in
from parts.portal import USER
from playwright.async_api import expect

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
        assert [url for url in asked if url.endswith("/api/ws")], "who is signed in stays so"


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
        await bob.get_by_role("button", name="Remove").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("listitem")).to_have_count(1)
        await expect(page.get_by_role("list", name="Users")).to_be_focused()
        row = page.get_by_role("listitem").locator("summary")
        await row.press("Enter")
        await page.get_by_role("button", name="New password link").press("Enter")
        await expect(page.get_by_role("textbox", name="Link")).to_be_visible()
        await expect(page.get_by_role("button", name="New password link")).to_be_focused()
