"""Stills, pictures of events and keys are there for who may watch a camera, and for nobody else."""

import aiohttp
from fakes.bus import state
from parts.photographer import Photographer
from parts.portal import PASSWORD, USER, portal

from agent.model.keys import encode_public
from agent.portal.registry import add_device, revoke_device


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def login(http, part, user):
    return await http.post(f"{part.url}/api/login", json={"user": user, "password": PASSWORD})


KEY = bytes(range(32))
NEW = ("lease", "command")


async def test_each_sees_the_pictures_of_their_own_cameras():
    async with portal() as part, client() as admin, client() as viewer:
        part.desk.add_user("viewer", None, cameras=["back"], password=PASSWORD)
        for http, name in ((admin, USER), (viewer, "viewer")):
            assert (await login(http, part, name)).status == 200
        camera = Photographer(part.gateway, "front")
        part.bus.devices["front"] = camera.on_message
        part.gateway.on_state("front", state(understands=NEW))
        part.accounts.store.run_here(lambda db: add_device(db, "front", KEY, by=USER, now=1.0))

        for path in ("still", "events/b-1/picture", "key"):
            assert (await viewer.get(f"{part.url}/api/devices/front/{path}")).status == 404, path
        assert camera.asked == [], "who may not see it has it do nothing"

        first = await admin.get(f"{part.url}/api/devices/front/still")
        assert (first.status, first.headers["Pinhole-Newer-Is-Asked"]) == (204, "1"), "no fault in a console"
        picture = await admin.get(f"{part.url}/api/devices/front/events/b-1/picture")
        assert (picture.status, picture.content_type) == (200, "image/jpeg")
        while True:
            still = await admin.get(f"{part.url}/api/devices/front/still")
            if still.status == 200 and still.headers["Pinhole-Newer-Is-Asked"] == "0":
                break
        assert await still.read() == camera.jpeg
        after = still.headers["Pinhole-Taken-At"]
        same = await admin.get(f"{part.url}/api/devices/front/still?after={after}")
        assert (same.status, await same.read()) == (204, b"")
        assert camera.asked.count("snapshot") == 1

        key = await (await admin.get(f"{part.url}/api/devices/front/key")).json()
        assert key == {"key": encode_public(KEY), "revoked_at": None}
        part.accounts.store.run_here(lambda db: revoke_device(db, "front", 7.0))
        key = await (await admin.get(f"{part.url}/api/devices/front/key")).json()
        assert key == {"key": encode_public(KEY), "revoked_at": 7.0}, "what it signed before stays signed"


async def test_a_share_link_shows_the_still_of_its_own_camera_alone():
    async with portal() as part, client() as admin, client() as guest:
        assert (await login(admin, part, USER)).status == 200
        camera = Photographer(part.gateway, "front")
        part.bus.devices["front"] = camera.on_message
        for device in ("front", "back"):
            part.gateway.on_state(device, state(understands=NEW))
        wish = {"device": "front", "label": "plumber", "lifetime_s": 3600.0}
        made = await (await admin.post(f"{part.url}/api/shares", json=wish)).json()
        opened = await guest.post(f"{part.url}/api/share/open", json={"token": made["token"]})
        assert opened.status == 200
        while (still := await guest.get(f"{part.url}/api/share/devices/front/still")).status == 204:
            pass
        assert await still.read() == camera.jpeg
        assert (await guest.get(f"{part.url}/api/share/devices/back/still")).status == 404
        assert (await guest.get(f"{part.url}/api/devices/front/still")).status == 401
