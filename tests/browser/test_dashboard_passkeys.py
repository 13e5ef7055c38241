"""Passkeys through the real page, by Chromium's virtual authenticator: made, signed in by, removed."""

import pytest
from parts.axe import faults
from parts.chromium import screenshot, screenshots
from parts.dashboard import DESKTOP, PHONE, choose, confirm, enter_password, open_page, sign_in
from parts.passkeys import open_page_with_passkeys
from parts.portal import PASSWORD, USER
from playwright.async_api import expect
from sqlalchemy import update

from agent.portal.tables import WebSession

LOOKS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark"}, id="1440-dark"),
    pytest.param({"viewport": PHONE, "color_scheme": "light"}, id="390-light"),
]


def box(page):
    return page.locator("section.box").filter(has=page.get_by_role("heading", name="Passkeys", exact=True))


async def to_account(page, part):
    await page.goto(f"{part.url}/#/account")
    await expect(page.get_by_role("heading", name="Account", exact=True, level=1)).to_be_visible()
    await expect(box(page)).to_be_visible()


async def add_passkey(page, name):
    await box(page).get_by_label("What to call it").fill(name)
    await box(page).get_by_role("button", name="Add a passkey").click()
    await expect(box(page).get_by_role("listitem").filter(has_text=name)).to_be_visible()


async def is_signed_in(page):
    await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()


async def fits(page):
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("context", LOOKS)
async def test_a_passkey_is_made_signs_in_and_is_removed(context):
    async with open_page_with_passkeys(**context) as (part, page, phone):
        await sign_in(page, part.url)
        await to_account(page, part)
        await expect(box(page).get_by_label("What to call it")).to_have_value("Chrome on Linux")
        await phone.touched()
        await add_passkey(page, "My phone")
        await expect(box(page).get_by_role("listitem")).to_contain_text("not used yet")
        assert len(await phone.credentials()) == 1
        await fits(page)
        assert await faults(page) == []
        await box(page).get_by_role("button", name="Add a passkey").click()
        await expect(box(page).get_by_role("alert").last).to_contain_text("on this device already")
        await phone.touched(is_touched=False)

        await page.goto(f"{part.url}/#/")
        await choose(page, "Sign out")
        button = page.get_by_role("button", name="Sign in with a passkey")
        await expect(button).to_be_visible()
        await fits(page)
        assert await faults(page) == []
        await phone.touched()
        await button.click()
        await is_signed_in(page)

        await to_account(page, part)
        await expect(box(page).get_by_role("listitem")).to_contain_text("last used")
        await box(page).get_by_role("button", name="Remove passkey My phone").click()
        assert len(part.desk.passkeys(USER)) == 1, "one slip of the finger removes nothing"
        await confirm(box(page), "Remove passkey My phone")
        await expect(box(page).get_by_role("listitem")).to_have_count(0)
        assert part.desk.passkeys(USER) == []
        await page.goto(f"{part.url}/#/")
        await choose(page, "Sign out")  # the browser offers what it has, and the phone is touched
        await expect(page.get_by_role("alert")).to_contain_text("not known here")


async def test_a_browser_offers_it_as_the_user_name_is_filled_in():
    async with open_page_with_passkeys() as (part, page, phone):
        await sign_in(page, part.url)
        await to_account(page, part)
        await phone.touched()
        await add_passkey(page, "My phone")
        await page.context.clear_cookies()
        await page.goto(f"{part.url}/?again")
        await is_signed_in(page)
        assert [one.used_at is None for one in part.desk.passkeys(USER)] == [False], "nothing was pressed"


async def test_who_is_not_recognised_does_not_come_in_and_may_use_the_password():
    async with open_page_with_passkeys() as (part, page, phone):
        await sign_in(page, part.url)
        await to_account(page, part)
        await phone.touched()
        await add_passkey(page, "My phone")
        await phone.recognises(is_verified=False)
        await page.goto(f"{part.url}/#/")
        await choose(page, "Sign out")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
        await screenshot(page, "passkey-refused-1440")
        await enter_password(page)
        await is_signed_in(page)


async def test_it_shows_again_who_one_is():
    async with open_page_with_passkeys(viewport=PHONE) as (part, page, phone):
        await sign_in(page, part.url)
        await to_account(page, part)
        await phone.touched()
        await add_passkey(page, "My phone")
        await part.accounts.store.run(lambda db: db.execute(update(WebSession).values(confirmed_at=0)))
        await box(page).get_by_role("button", name="Remove passkey My phone").dblclick()
        dialog = page.get_by_role("dialog", name="Is it you?")
        await expect(dialog.get_by_label("Your password")).to_be_visible()
        assert await faults(page) == []
        await screenshots(page, "confirm-passkey")
        await page.set_viewport_size(PHONE)
        await dialog.get_by_role("button", name="Use a passkey").click()
        await expect(box(page).get_by_role("listitem")).to_have_count(0)


async def test_it_is_the_second_factor_that_a_role_asks_for():
    async with open_page_with_passkeys(require_code_for="admin") as (part, page, phone):
        await page.goto(part.url)
        await enter_password(page)
        await expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
        await expect(page.get_by_role("img", name="QR code")).to_be_visible()
        assert await faults(page) == []
        await screenshots(page, "second-factor-passkey")
        await phone.touched()
        await page.get_by_role("button", name="Add a passkey").click()
        await is_signed_in(page)
        await phone.touched(is_touched=False)
        await choose(page, "Sign out")
        await enter_password(page)
        use = page.get_by_role("button", name="Use your passkey")
        await expect(use).to_be_visible()
        assert await faults(page) == []
        await screenshots(page, "second-factor-use-passkey")
        await phone.touched()
        await use.click()
        await is_signed_in(page)


async def test_an_administrator_removes_lost_ones_and_looks_at_them():
    async with open_page_with_passkeys() as (part, page, phone):
        await sign_in(page, part.url)
        await to_account(page, part)
        await phone.touched()
        await add_passkey(page, "My phone")
        await add_other(page, part)
        await screenshots(page, "passkeys")
        await phone.touched(is_touched=False)
        part.desk.add_user("eve", "admin", password=PASSWORD)
        await page.goto(f"{part.url}/#/")
        await choose(page, "Sign out")
        await expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
        await screenshots(page, "sign-in-passkey")
        await enter_password(page, "eve")
        await is_signed_in(page)
        await page.goto(f"{part.url}/#/users")
        row = page.get_by_role("listitem").filter(has_text=USER)
        await expect(row).to_contain_text("password, 2 passkeys")
        await row.locator("summary").click()
        await confirm(row, "Lost passkeys")
        await expect(row).not_to_contain_text("2 passkeys")
        await expect(row.get_by_role("button", name="Lost passkeys")).to_have_count(0)
        assert part.desk.passkeys(USER) == []


async def add_other(page, part):
    """A second one, of another authenticator."""
    from agent.portal.accounts import passkeys, users
    from agent.portal.accounts.relying_party import NewPasskey

    new = NewPasskey(b"other", b"key", 0, "usb")
    await part.accounts.store.run(
        lambda db: passkeys.add(db, users.find(db, USER), "Key in the drawer at home", new, 1.0e9)
    )
    await page.reload()
    await expect(box(page).get_by_role("listitem")).to_have_count(2)


async def test_without_a_name_and_https_the_page_says_what_is_missing():
    async with open_page() as (part, page):
        await page.goto(part.url)
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()
        await expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
        await sign_in(page, part.url)
        await to_account(page, part)
        await expect(box(page)).to_contain_text("need an address with https and a name")
        await expect(box(page).get_by_role("button")).to_have_count(0)
        assert await faults(page) == []
        await screenshots(page, "passkeys-without-https")


async def test_at_another_address_than_the_portals_own_the_page_names_that_one():
    async with open_page_with_passkeys() as (part, page, _phone):
        other = part.url.replace("localhost", "127.0.0.1")
        await sign_in(page, other)
        await page.goto(f"{other}/#/account")
        await expect(box(page)).to_contain_text(f"open {part.url}")
        await expect(box(page).get_by_role("button")).to_have_count(0)
