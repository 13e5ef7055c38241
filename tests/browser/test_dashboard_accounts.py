"""The dashboard's pages about accounts in a real browser: as wide as a phone and a desk, dark and light."""

import re
import time
from dataclasses import asdict

import pytest
from fakes.bus import state
from parts.chromium import chromium, screenshot, screenshots
from parts.dashboard import (
    DESKTOP,
    PHONE,
    choose,
    confirm,
    enter_password,
    open_page,
    sign_in,
    until,
    until_phase,
)
from parts.portal import PASSWORD, USER, portal
from playwright.async_api import expect
from sqlalchemy import delete, update

from agent.config import DeviceSettings, Settings
from agent.portal.accounts.chain import Entry
from agent.portal.accounts.codes import code_at
from agent.portal.registry import list_devices
from agent.portal.tables import AuditEntry, WebSession
from agent.signaling.enrolment import enroll

NEW = "a-better-password"
LOOKS = [
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark"}, "1440-dark", id="1440-dark"),
    pytest.param({"viewport": PHONE, "color_scheme": "light"}, "390-light", id="390-light"),
]


def cameras(part):
    for device, name in (("front", "Front door"), ("yard", "Back yard"), ("gate", "Gate")):
        part.gateway.on_state(device, state(name=name))


async def fits(page):
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


async def go(page, part, name, heading):
    await page.goto(f"{part.url}/#/{name}")
    await expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()


@pytest.mark.parametrize(("context", "name"), LOOKS)
async def test_every_page_about_accounts_fits_and_works(context, name):
    async with open_page(**context) as (part, page):
        cameras(part)
        part.desk.put_group("Yard and gate", ["yard", "gate"])
        part.desk.add_user("bob", None, cameras=["front"], groups=["Yard and gate"], password=PASSWORD)
        part.desk.add_user("carla.with-a-long-name@the-company.example", "operator", company=True)
        await sign_in(page, part.url)
        await choose(page, "Account and settings")
        await expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
        await expect(page.get_by_text("admin of every camera")).to_be_visible()
        await fits(page)
        await screenshot(page, f"account-{name}")

        await page.get_by_role("link", name="Users").click()
        await page.get_by_label("Name", exact=True).fill("dora")
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.get_by_role("textbox", name="Link")).to_have_value(
            re.compile(r"/#/welcome/[\w-]{43}$")
        )
        await page.get_by_text("bob", exact=True).click()
        bob = page.get_by_role("listitem").filter(has_text="bob").first
        await expect(bob.get_by_text("viewer of group Yard and gate")).to_be_visible()
        await fits(page)
        await screenshot(page, f"users-{name}")
        await bob.get_by_role("button", name="Take away: viewer of Front door").click()
        await expect(page.get_by_text("viewer of Front door")).to_have_count(0)
        [user] = [user for user in part.desk.users() if user.name == "bob"]
        assert [grant.group for grant in user.grants] == ["Yard and gate"]
        await bob.get_by_role("button", name="Shut out").click()
        await expect(bob.get_by_role("button", name="Let in again")).to_be_visible()

        await page.get_by_role("link", name="Groups").click()
        await page.get_by_text("Yard and gate", exact=True).click()
        await page.get_by_label("Front door").check()
        await fits(page)
        await screenshot(page, f"groups-{name}")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("3 cameras")).to_be_visible()
        assert part.desk.groups() == {"Yard and gate": ["front", "gate", "yard"]}

        await page.get_by_role("link", name="Share links").click()
        await page.get_by_label("For whom").fill("the plumber")
        await page.get_by_role("button", name="Make a link").click()
        await expect(page.get_by_role("textbox", name="Link")).to_have_value(
            re.compile(r"/#/share/[\w-]{43}$")
        )
        await fits(page)
        await screenshot(page, f"links-{name}")

        await part.accounts.audit.flush()  # it is written in the background, and the page asks once
        await page.get_by_role("link", name="Audit log").click()
        await expect(page.get_by_role("cell", name="shared a camera")).to_be_visible()
        await expect(page.get_by_role("cell", name="the plumber")).to_be_visible()
        await fits(page)
        await screenshot(page, f"audit-{name}")


@pytest.mark.parametrize(("context", "name"), LOOKS)
async def test_a_camera_is_let_in_by_its_code_and_shut_out(context, name, tmp_path):
    async with open_page(**context) as (part, page):
        cameras(part)
        await sign_in(page, part.url)
        await go(page, part, "cameras", "Cameras")
        await page.get_by_label("Its id, where you know it").fill("front")
        await page.get_by_label("What to call it").fill("Front gate")
        await page.get_by_role("button", name="Make a claim code").click()
        command = page.get_by_role("textbox", name="Command")
        await expect(command).to_have_value(re.compile("^sudo pinhole enroll "))
        await fits(page)
        await screenshot(page, f"claim-{name}")
        given = (await command.input_value()).split()
        device = DeviceSettings(id="front", state_dir=tmp_path)
        said = []
        await enroll(Settings(device=device), given[4], given[6], said.append)
        assert f"portal       {part.url} knows this camera as front" in said
        part.gateway.on_names({"front": "Front gate"})
        await page.reload()
        row = page.get_by_role("list", name="Cameras").get_by_role("listitem")
        await expect(row.get_by_text("Front gate", exact=True)).to_be_visible()
        await expect(row).to_contain_text("calls itself “Front door”")
        await expect(row).to_contain_text("by ann")
        await row.get_by_text("Give it another name").click()
        await row.get_by_label("New name").fill("Yard")
        await fits(page)
        await screenshot(page, f"rename-{name}")
        await row.get_by_role("button", name="Rename").click()
        await expect(row.get_by_text("Yard", exact=True)).to_be_visible()
        await row.get_by_role("button", name="Shut out").click()
        [known] = await part.accounts.store.run(list_devices)
        assert known.revoked_at is None, "one slip of the finger shuts nobody out"
        await confirm(row, "Shut out")
        await expect(row).to_contain_text("shut out")
        [known] = await part.accounts.store.run(list_devices)
        assert known.revoked_at
        await fits(page)
        await screenshot(page, f"cameras-{name}")


async def test_the_audit_log_has_dates_filters_and_a_file():
    async with open_page() as (part, page):
        cameras(part)
        now = time.time()
        old = Entry(now - 3 * 86_400, "bob", "watch", "yard", "192.0.2.7", "session 12345678")

        def begin(db):
            db.execute(delete(AuditEntry))  # that the user was added
            db.add(AuditEntry(**asdict(old)))

        await part.accounts.store.run(begin)
        for actor, action, device in (
            ("bob", "preview", "front"),
            ("bob", "watch", "front"),
            ("link:plumber", "link-opened", "gate"),
            ("eve", "sign-in-failed", ""),
        ):
            part.accounts.audit.add(actor, action, device=device, address="192.0.2.7")
        await sign_in(page, part.url)
        await part.accounts.audit.flush()  # it is written in the background, and the page asks once
        await go(page, part, "audit", "Audit log")
        what = page.locator(".audit tbody tr:not(.day) td:nth-child(3)")
        await expect(what).to_have_count(5)
        await expect(what.filter(has_text="preview")).to_have_count(0)
        await expect(page.get_by_role("cell", name="guest plumber")).to_be_visible()
        await expect(page.locator(".audit .day")).to_have_count(2)
        await screenshots(page, "audit-days")
        await page.set_viewport_size(PHONE)
        await fits(page)
        await page.get_by_label("To", exact=True).fill(
            time.strftime("%Y-%m-%d", time.localtime(now - 86_400))
        )
        await page.get_by_role("button", name="Show").click()
        await expect(what).to_have_text(["began to watch"])
        await page.get_by_label("To", exact=True).fill("")
        await page.get_by_label("About").select_option("Previews")
        await page.get_by_label("Camera", exact=True).select_option("Front door")
        await page.get_by_role("button", name="Show").click()
        await expect(what).to_have_text(["saw previews"])
        async with page.expect_download() as saved:
            await page.get_by_role("link", name="Export as CSV").click()
        download = await saved.value
        assert re.fullmatch(r"pinhole-audit-[\d-]{10}\.csv", download.suggested_filename)
        lines = (await download.path()).read_text().splitlines()
        assert [line.split(",")[1:4] for line in lines[1:]] == [["bob", "preview", "front"]]
        await page.get_by_label("User").fill("nobody")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("Nothing was noted that fits.")).to_be_visible()


async def test_the_password_is_asked_for_again_before_others_are_changed():
    async with open_page(viewport=PHONE) as (part, page):
        await sign_in(page, part.url)
        await part.accounts.store.run(lambda db: db.execute(update(WebSession).values(confirmed_at=0)))
        await go(page, part, "users", "Users")
        await page.get_by_label("Name", exact=True).fill("dora")
        await page.get_by_role("button", name="Add", exact=True).click()
        dialog = page.get_by_role("dialog", name="Is it you?")
        await dialog.get_by_label("Your password").fill("wrong")
        await dialog.get_by_role("button", name="Confirm").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("not your password")
        await screenshot(page, "confirm-390")
        await dialog.get_by_label("Your password").fill(PASSWORD)
        await dialog.get_by_role("button", name="Confirm").click()
        await expect(page.get_by_role("textbox", name="Link")).to_be_visible()
        assert "dora" in {user.name for user in part.desk.users()}
        await part.accounts.store.run(lambda db: db.execute(update(WebSession).values(confirmed_at=0)))
        await page.get_by_label("Name", exact=True).fill("carl")
        await page.get_by_role("button", name="Add", exact=True).click()
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("alert").first).to_contain_text("Show again that it is you")
        assert "carl" not in {user.name for user in part.desk.users()}


async def test_what_opens_says_so():
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        await go(page, part, "users", "Users")
        row = page.locator("summary").first
        await expect(row).to_be_visible()
        shown = "(row) => getComputedStyle(row, '::after')"
        assert (
            await row.evaluate(f"(row) => {{ const s = ({shown})(row); return s.content + s.width; }}")
            != "noneauto"
        )
        closed = await row.evaluate(f"(row) => ({shown})(row).transform")
        await row.click()
        turned = f"([row, closed]) => ({shown})(row).transform !== closed"
        await page.wait_for_function(turned, arg=[await row.element_handle(), closed])


async def test_the_first_start_link_chooses_a_password_and_works_once():
    async with open_page(viewport=PHONE) as (part, page):
        link = part.desk.add_user("bob", "viewer")
        await page.goto(f"{part.url}/#/welcome/{link}")
        await expect(page.get_by_label("User name")).to_have_value("bob")
        assert link not in page.url, "the secret leaves the address bar"
        await page.get_by_label("New password").fill("short")
        await page.get_by_role("button", name="Save and sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("12 to 256 characters")
        await screenshot(page, "welcome-390")
        await page.get_by_label("New password").fill(NEW)
        await page.get_by_role("button", name="Save and sign in").click()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        await page.context.clear_cookies()
        await page.goto(f"{part.url}/?again#/welcome/{link}")
        await expect(page.get_by_role("alert")).to_contain_text("has been used or is too old")


async def test_an_authenticator_is_set_up_and_then_asked_for():
    async with open_page() as (part, page):
        await sign_in(page, part.url)
        await go(page, part, "account", "Account")
        await page.get_by_role("button", name="Set up").click()
        picture = page.get_by_role("img", name="QR code")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("(image) => image.decode().then(() => image.naturalWidth > 100)")
        secret = (await page.locator("code").inner_text()).replace(" ", "")
        await screenshot(page, "authenticator-1440")
        await page.get_by_label("The code that it shows").fill(code_at(secret))
        await page.get_by_label("Your password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Turn on").click()
        await expect(page.get_by_role("button", name="Turn off")).to_be_visible()
        await expect(page.get_by_text("10 are left")).to_be_visible()
        codes = page.locator(".codes code")
        await expect(codes).to_have_count(10)
        spare = await codes.first.inner_text()
        await screenshot(page, "recovery-codes-1440")
        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Download").click()
        assert spare in (await (await saved.value).path()).read_text().splitlines()
        await page.goto(f"{part.url}/#/")
        await choose(page, "Sign out")
        await enter_password(page)
        code = page.get_by_label("Code of your authenticator")
        await expect(code).to_be_focused()
        await screenshot(page, "sign-in-code-1440")
        await code.fill(code_at(secret, time.time() + 30))
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()
        await choose(page, "Sign out")
        await enter_password(page)
        await page.get_by_role("button", name="Use a recovery code").click()
        await page.get_by_label("One of your recovery codes").fill(spare)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", name="Cameras", exact=True)).to_be_visible()


async def test_who_is_no_administrator_sees_only_what_is_theirs():
    async with open_page() as (part, page):
        cameras(part)
        part.desk.add_user("bob", None, cameras=["front"], password=PASSWORD)
        await page.goto(part.url)
        await enter_password(page, "bob")
        await expect(page.get_by_role("link")).to_have_count(1)
        await choose(page, "Account and settings")
        nav = page.get_by_role("navigation").get_by_role("link")
        await expect(nav).to_have_text(["Account", "Events", "Notifications"])
        part.desk.grant("bob", "operator", camera="gate", group=None)
        await page.goto(f"{part.url}/#/")
        await expect(page.get_by_role("link", name="Gate")).to_be_visible()
        part.desk.set_disabled("bob", disabled=True)
        await expect(page.get_by_label("Password", exact=True)).to_be_visible()


async def test_a_share_link_shows_one_camera_to_a_stranger_until_it_is_revoked():
    async with portal() as part, chromium() as browser:
        cameras(part)
        from agent.portal.accounts import shares
        from agent.portal.accounts.access import Access

        token, share = await part.accounts.store.run(
            lambda db: shares.make(db, "front", "plumber", USER, 3600, time.time())
        )
        page = await (await browser.new_context(viewport=PHONE)).new_page()
        await page.goto(f"{part.url}/#/share/{token}")
        await expect(page.get_by_role("heading", name="Front door")).to_be_visible()
        assert token not in page.url
        await until_phase(page, "asking")
        await expect(page.get_by_role("link", name="All cameras")).to_have_count(0)
        await screenshot(page, "shared-390")
        assert await page.evaluate("() => pinhole.state.devices") == 1
        await page.reload()
        await expect(page.get_by_role("heading", name="Front door")).to_be_visible()
        await part.accounts.store.run(lambda db: shares.revoke(db, share.id, Access("operator")))
        await expect(page.get_by_role("heading", name="This link is no longer good")).to_be_visible()
        await page.goto(f"{part.url}/?again#/share/{token}")
        await expect(page.get_by_role("heading", name="This link is no longer good")).to_be_visible()


async def test_cookies_policy_and_headers_hold_in_a_real_browser():
    async with open_page() as (part, page):
        refusals = []
        page.on("console", lambda message: refusals.append(message.text))
        await sign_in(page, part.url)
        cookies = await page.context.cookies()
        assert "pinhole" in {cookie["name"] for cookie in cookies}
        for cookie in cookies:
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        assert await page.evaluate("() => document.cookie") == ""
        await page.evaluate(
            """async () => {
              const script = document.createElement("script");
              script.textContent = "window.inlined = true";
              document.body.append(script);
              const image = document.createElement("img");
              image.setAttribute("onerror", "window.inlined = true");
              const failed = new Promise((resolve) => image.addEventListener("error", resolve));
              image.src = "data:,";
              document.body.append(image);
              await failed;
            }"""
        )
        assert await page.evaluate("() => window.inlined") is None
        await until(lambda: any("Content Security Policy" in text for text in refusals))
        assert (
            await page.evaluate("() => fetch('https://example.org/').then(() => 'sent', () => 'refused')")
            == "refused"
        )


async def test_with_https_the_cookie_is_bound_to_this_host(tmp_path):
    import trustme

    certificate = trustme.CA().issue_cert("127.0.0.1")
    files = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    files["cert_file"].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(files["key_file"])
    async with portal(**files) as part, chromium() as browser:
        page = await (await browser.new_context(ignore_https_errors=True)).new_page()
        await sign_in(page, part.url)
        cookies = await page.context.cookies()
        assert "__Host-pinhole" in {cookie["name"] for cookie in cookies}
        for cookie in cookies:
            assert cookie["name"].startswith("__Host-")
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")


ORDERS = """async (url) => {
  const body = '{"name":"evil"}';
  const json = { "Content-Type": "application/json" };
  const order = (options) =>
    fetch(`${url}/api/users`, { method: "POST", credentials: "include", body, ...options });
  await Promise.allSettled([order({ mode: "no-cors" }), order({ headers: json })]);
  const form = document.createElement("form");
  Object.assign(form, { action: `${url}/api/users`, method: "post", enctype: "text/plain", target: "into" });
  document.body.append(form);
  form.submit();
  return new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/api/ws`);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  });
}"""


async def test_another_sites_page_can_neither_frame_nor_order():
    # Another site's frames throw at what `open_page` brings into every page.
    async with portal() as part, chromium() as browser:
        page = await browser.new_page()
        await sign_in(page, part.url)
        users = len(part.desk.users())
        frame = f'<iframe name="into"></iframe><iframe name="seen" src="{part.url}/"></iframe>'
        await page.route(
            "http://evil.test/", lambda route: route.fulfill(body=frame, content_type="text/html")
        )
        await page.goto("http://evil.test/")
        assert await page.evaluate(ORDERS, part.url) == "refused"
        assert "Sign in" not in await page.frame("seen").locator("body").inner_text()
        assert len(part.desk.users()) == users
