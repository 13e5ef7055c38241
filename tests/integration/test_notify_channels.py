"""Channels, each with a real receiver on loopback: a push service, a mail server, an ntfy server."""

import asyncio
import json
import ssl
import time
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult
from parts.notified import Told, receiver
from parts.portal import PASSWORD, USER, portal
from parts.push_service import Browser, claims_of

from agent.config import MailSettings
from agent.portal.notify.mail import Mail
from agent.portal.notify.outside import ChannelError
from agent.portal.notify.words import Message

PRIVATE = {"notify": {"private_addresses": True, "contact": "mailto:cams@example.org"}}


@asynccontextmanager
async def signed_in(part, user=USER):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        await http.post(f"{part.url}/api/login", json={"user": user, "password": PASSWORD})

        async def ask(path="", body=None):
            url = f"{part.url}/api/notify{path}"
            async with await (http.get(url) if body is None else http.post(url, json=body)) as answer:
                return answer.status, await answer.json()

        yield ask


def happen(part, told, **more):
    event = told.happen(time.time(), **more)
    part.notifier.wake()
    return event


async def until(condition, patience_s=60.0):
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.05)


def taken_after(event):
    """The answer to a second try, which else may be done before anybody hears what became of the first."""

    async def answer():
        await event.wait()
        return 201

    return answer


async def test_one_tap_and_this_browser_is_told_until_it_wants_no_more():
    browser = Browser()
    async with portal(**PRIVATE) as part, receiver() as service:
        part.desk.add_user("bob", "viewer", password=PASSWORD)
        told = Told(part.accounts.store, part.accounts.seal)
        async with signed_in(part) as ask, signed_in(part, "bob") as bob:
            _, page = await ask()
            own = {"name": "Chromium on Linux", "endpoint": f"{service.url}/push/1", **browser.keys}
            status, made = await ask("/push", own | {"with_rule": True, "zone": "Europe/Paris"})
            assert status == 200, made
            happen(part, told, kind="motion", label="person")
            happen(part, told, kind="settings-changed")  # good news that nobody asked for
            await service.until(1)
            path, headers, body = service.got[0]
            assert path == "/push/1"
            said = json.loads(browser.read(body))
            assert said["title"] == "front: Motion"
            assert said["body"].startswith("person · ")
            assert said["path"].startswith("#/camera/front/")
            claims = claims_of(headers["Authorization"], page["push_key"])
            assert claims["aud"] == service.url
            assert claims["sub"] == "mailto:cams@example.org"
            happen(part, told, kind="camera-failed")
            await service.until(2)
            assert json.loads(browser.read(service.got[1][2]))["severity"] == "error"

            # The same tap again adds nothing.
            await ask("/push", own | {"with_rule": True})
            await until(lambda: [state for state, _ in told.rows()] == ["sent", "sent"])
            _, page = await ask()
            assert len(page["rules"]) == len(page["channels"]) == 1
            assert [one["state"] for one in page["deliveries"]] == ["sent", "sent"]
            assert page["deliveries"][1]["events"][0]["title"] == "Motion"

            # A browser that its service gave another address keeps its rule.
            moved = own | {"endpoint": f"{service.url}/push/2", "former": own["endpoint"]}
            assert (await ask("/push", moved))[1]["id"] == made["id"]
            is_told = asyncio.Event()
            service.answers = [web.Response(status=429, headers={"Retry-After": "1"}), taken_after(is_told)]
            status, answer = await ask("/channels/test", {"id": made["id"]})
            assert (status, answer["message"]) == (502, "The push service answered 429")
            is_told.set()
            await until(lambda: told.rows()[-1][0] == "sent")
            assert service.got[-1][0] == "/push/2"

            # Another user of the same browser takes it over, and the former one's messages with it end.
            await bob("/push", moved | {"former": ""})
            assert (await ask())[1]["channels"] == []
            [channel] = (await bob())[1]["channels"]
            service.answers = [410]
            status, answer = await bob("/channels/test", {"id": channel["id"]})
            assert (status, answer["message"]) == (502, "The channel is gone at its other end.")
            assert (await bob())[1]["channels"] == []

            await bob("/push", own)
            await bob("/push/gone", {"endpoint": own["endpoint"]})
            assert (await bob())[1]["channels"] == []
            for wrong in ({"auth": "x"}, {"endpoint": "ftp://x/"}, {"zone": "Mars"}, {"name": ""}):
                assert (await bob("/push", own | wrong))[0] == 400


async def test_the_push_key_outlives_the_portal_and_stands_nowhere_in_the_clear(store, world):
    from agent.portal.notify.push_key import PushKeys
    from agent.portal.notify.tables import NotifyState

    first = await PushKeys(store, world.seal).get()
    again = await PushKeys(store, world.seal).get()
    assert (again.public, again.scalar) == (first.public, first.scalar)
    sealed = store.run_here(lambda db: db.get(NotifyState, 1).push_key)
    assert first.scalar not in sealed


class Mailbox:
    """Takes mail, and refuses some."""

    def __init__(self):
        self.got = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy@"):
            return "451 4.3.2 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802
        assert session.ssl is not None, "in the clear"
        assert session.authenticated
        mail = message_from_bytes(envelope.original_content, policy=policy.default)
        self.got.append((envelope.rcpt_tos, mail))
        return "250 taken"


@asynccontextmanager
async def mail_server(folder):
    """Yields its mailbox, and the settings of who sends there, by STARTTLS and with a password."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "mail-ca.pem")
    (folder / "mail-password").write_text("swordfish\n")
    (folder / "mail-password").chmod(0o600)
    box = Mailbox()

    def check(_server, _session, _envelope, _mechanism, data):
        is_right = (data.login, data.password) == (b"cams", b"swordfish")
        return AuthResult(success=is_right, handled=False)

    loop = asyncio.get_running_loop()

    def serve():
        return SMTP(
            box, hostname="localhost", tls_context=context, require_starttls=True, authenticator=check,
            auth_required=True, loop=loop,
        )  # fmt: skip

    server = await loop.create_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield box, {
            "host": "localhost", "port": port, "user": "cams", "password_file": folder / "mail-password",
            "ca_file": folder / "mail-ca.pem", "sender": "cams@example.org",
        }  # fmt: skip
    finally:
        server.close()


async def test_mail_goes_where_its_reader_has_shown_to_read_it(tmp_path):
    async with (
        mail_server(tmp_path) as (box, settings),
        portal(mail=settings, **PRIVATE) as part,
        signed_in(part) as ask,
    ):
        told = Told(part.accounts.store, part.accounts.seal)
        status, made = await ask("/mail", {"address": "ann@example.net"})
        assert status == 200
        await ask("/rules", {"name": "All", "spec": {"channels": [made["id"]], "cooldown_s": 0}})
        await until(lambda: box.got)
        happen(part, told)
        await until(lambda: [state for state, _ in told.rows()] == ["sent", "dropped"])
        [(to, mail)] = box.got
        assert to == ["ann@example.net"]
        code = mail["Subject"].rpartition(" ")[2]
        assert code in mail.get_content()
        wrong = "0" * 8 if code != "0" * 8 else "1" * 8
        assert (await ask("/mail/confirm", {"id": made["id"], "code": wrong}))[0] == 400
        assert (await ask("/mail/confirm", {"id": made["id"], "code": f" {code} "}))[0] == 200
        happen(part, told, kind="camera-failed")
        await until(lambda: len(box.got) == 2)
        _, mail = box.got[1]
        assert mail["Subject"] == "front: Camera failed"
        assert mail["From"] == "Pinhole <cams@example.org>"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert f"{part.url}/#/camera/front/" in mail.get_content()
        for _ in range(8):
            status, answer = await ask("/mail/confirm", {"id": made["id"], "code": wrong})
        assert (status, answer["code"]) == (429, "too-many"), "nobody guesses"
        for bad in (
            "a@b\r\nBcc: c@d",
            "a b@c.example",
            "a@b,c@d.example",
            "@x",
            "a@",
            "=?utf-8?q?=0A?=@c.example",
        ):
            assert (await ask("/mail", {"address": bad}))[0] == 400


def message(title="Front door: Motion\r\nBcc: x@y"):
    return Message(17, "event", title, "person", "#/", "https://c.example/#/", "error", 1.8e9, ())


async def test_a_mail_has_the_picture_and_what_the_server_refuses_for_good_is_not_sent_again(tmp_path):
    async with mail_server(tmp_path) as (box, settings):
        mail = Mail(MailSettings(**settings))
        await mail.send("ann@example.net", message(), b"\xff\xd8jpeg")
        await mail.send("ann@example.net", message(), b"\xff\xd8jpeg")
        (_, first), (_, double) = box.got
        assert first["Message-ID"] == double["Message-ID"]
        assert first["Bcc"] is None
        assert first["Subject"] == "Front door: Motion Bcc: x@y"
        [picture] = first.iter_attachments()
        assert (picture.get_content_type(), picture.get_content()) == ("image/jpeg", b"\xff\xd8jpeg")
        for address, is_final, words in (("nobody", True, "550"), ("busy", False, "451")):
            with pytest.raises(ChannelError, match=words) as caught:
                await mail.send(f"{address}@example.net", message())
            assert caught.value.is_final == is_final
        (tmp_path / "mail-password").write_text("wrong\n")
        with pytest.raises(ChannelError, match="535"):
            await Mail(MailSettings(**settings)).send("ann@example.net", message())
        other = settings | {"ca_file": None}
        with pytest.raises(ChannelError, match="certificate"):
            await Mail(MailSettings(**other)).send("ann@example.net", message())


async def test_an_administrator_adds_ntfy_by_its_apprise_address_and_others_may_not():
    async with portal(**PRIVATE) as part, receiver() as ntfy:
        part.desk.add_user("bob", "operator", password=PASSWORD)
        told = Told(part.accounts.store, part.accounts.seal)
        url = ntfy.url.replace("http", "ntfy") + "/cameras"
        ntfy.answers = [200, 200, 403]
        async with signed_in(part) as ask, signed_in(part, "bob") as bob:
            assert (await bob("/service", {"name": "ntfy", "url": url}))[0] == 403
            status, answer = await ask("/service", {"name": "file", "url": "file:///etc/passwd"})
            assert status == 400
            assert "No such service" in answer["message"]
            status, made = await ask("/service", {"name": "ntfy", "url": url})
            assert status == 200, made
            await ask("/rules", {"name": "All", "spec": {"channels": [made["id"]]}})
            happen(part, told)
            await ntfy.until(1)
            said = json.loads(ntfy.got[0][2])
            assert said["topic"] == "cameras"
            assert said["title"] == "front: Motion"
            assert (await ask("/channels/test", {"id": made["id"]}))[0] == 200
            status, answer = await ask("/channels/test", {"id": made["id"]})
            assert status == 502
            assert "403" in answer["message"], answer
            _, page = await ask()
            assert page["has_services"]
            assert not page["has_mail"]
            assert (await bob())[1]["has_services"] is False
