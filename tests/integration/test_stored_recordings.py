"""From what a camera offers to what somebody saves: a portal, a real S3 server, and cameras that send."""

import asyncio
from contextlib import asynccontextmanager
from urllib.request import urlopen

import aiohttp
import pytest
from fakes.bus import FakeBus
from fakes.uploading_camera import UploadingCamera
from parts.portal import PASSWORD, USER, portal
from parts.s3 import s3_server, secret_in

from agent.config import UploadSettings
from agent.model.upload import MIN_PART_BYTES
from agent.portal.gateway import Gateway
from agent.portal.turn import IceServers
from agent.portal.upload.bucket import Bucket
from agent.portal.upload.intake import UploadIntake
from agent.portal.upload.ledger import DAY_S, HELD_S, charge, forget, take

SIZE = MIN_PART_BYTES + 1000
NOW = 20_000 * DAY_S + 100.0


@pytest.fixture
def server():
    with s3_server() as server:
        yield server


@pytest.fixture
def settings(server, tmp_path):
    secret = secret_in(tmp_path)
    return lambda **more: UploadSettings(**server.settings(secret, prefix="cams", **more))


class Fleet:
    """A portal's half of uploads, and its cameras."""

    def __init__(self, server, settings, store):
        self.server, self.bus = server, FakeBus()
        self.bucket = Bucket(settings)
        self.gateway = Gateway(self.bus.send, IceServers(), "1", note_change=self.note)
        self.gateway.on_broker(connected=True)
        self.uploads = UploadIntake(
            settings, self.bucket, store, self.gateway.directory, self.gateway.commands.tell
        )

    def note(self, device):
        self.uploads.on_change(device)

    def camera(self, *sizes, name="front"):
        made = UploadingCamera(self.gateway, self.bus, self.put, *sizes, name=name)
        made.start()
        return made

    def put(self, url, data):
        assert self.server.put(url, data) == 200

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.uploads.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def login(http, part, user=USER):
    body = {"user": user, "password": PASSWORD}
    assert (await http.post(f"{part.url}/api/login", json=body)).status == 200


async def test_files_arrive_as_they_were_sent(server, settings, store):
    async with Fleet(server, settings(), store).running() as fleet:
        camera = fleet.camera(SIZE, 3 * MIN_PART_BYTES, 5)
        files = list(camera.files.values())
        await until(lambda: not camera.offers)
    assert [data for _, data in sorted(server.objects().items())] == files
    assert server.unfinished() == []


async def test_an_upload_outlives_the_portal(server, settings, store):
    async with Fleet(server, settings(), store).running() as fleet:
        camera = fleet.camera(2 * MIN_PART_BYTES)
        camera.is_mute = True
        await until(lambda: camera.told)
        fleet.put(camera.told[0][1].parts[0].url, b"\1" * MIN_PART_BYTES)
    store.run_here(lambda db: forget(db, "front"))  # as after a minute
    async with Fleet(server, settings(), store).running() as fleet:
        camera = fleet.camera(2 * MIN_PART_BYTES)
        await until(lambda: not camera.offers)
    assert [part.number for part in camera.told[0][1].parts] == [2]
    assert list(server.objects().values()) == [b"\1" * 2 * MIN_PART_BYTES]


async def test_two_portals_that_both_answer_make_one_object(server, settings, store):
    one, other = Fleet(server, settings(), store), Fleet(server, settings(), store)
    async with one.running(), other.running():
        cameras = [one.camera(SIZE, 5)]
        store.run_here(lambda db: forget(db, "front"))
        cameras.append(other.camera(SIZE, 5))
        await until(lambda: not all(camera.offers for camera in cameras))  # of whom took it last
        store.run_here(lambda db: forget(db, "front"))
        for camera in cameras:
            camera.start()
        await until(lambda: not any(camera.offers for camera in cameras))
    assert sorted(map(len, server.objects().values())) == [5, SIZE]
    assert server.unfinished() == []


async def test_a_store_that_fails_for_a_while_is_asked_again(server, settings, store, monkeypatch, caplog):
    monkeypatch.setattr("agent.portal.upload.intake.STORE_PAUSE_S", 0.1)
    server.answers["POST uploads"] = 503
    fleet = Fleet(server, settings(), store)
    fleet.uploads._store_pause_s = 0.1
    async with fleet.running():
        camera = fleet.camera(5)
        await until(lambda: fleet.uploads.problem)
        assert "the store says" in fleet.uploads.problem
        server.answers.clear()
        await until(lambda: not camera.offers)
        assert fleet.uploads.problem == ""
    assert "X-Amz" not in caplog.text


def test_one_portal_at_a_time_answers_a_camera(store):
    def taken(portal, at):
        return store.run_here(lambda db: take(db, "front", portal, at))

    assert taken("one", NOW)
    assert taken("one", NOW + 1)
    assert not taken("other", NOW + HELD_S)
    assert taken("other", NOW + HELD_S + 2)
    assert not taken("one", NOW + HELD_S + 3)
    assert taken("other", NOW + DAY_S), "by a clock that is ahead"
    assert taken("one", NOW + HELD_S + 4)


def test_a_day_is_counted_until_midnight(store):
    def charged(megabytes, at=NOW):
        return store.run_here(lambda db: charge(db, "front", int(megabytes * 1e6), 10_000_000, at))

    assert not charged(1), "who is not answered has nothing to count"
    store.run_here(lambda db: take(db, "front", "one", NOW))
    assert not charged(10.1)
    assert charged(6)
    assert not charged(5)
    assert charged(3.5)
    assert not charged(0.001), "each counts as a megabyte at least, for each is a request"
    assert charged(10, NOW + DAY_S)


def test_what_was_not_begun_after_all_is_taken_back_and_no_more(store):
    def charged(megabytes, at=NOW):
        return store.run_here(lambda db: charge(db, "front", int(megabytes * 1e6), 10_000_000, at))

    store.run_here(lambda db: take(db, "front", "one", NOW))
    assert charged(6)
    assert charged(0.001)
    assert charged(-0.001)
    assert charged(4)
    assert not charged(1)
    assert charged(-4, NOW + DAY_S), "of the day before"
    assert charged(10, NOW + DAY_S)
    assert not charged(1, NOW + DAY_S)


async def test_who_may_look_back_lists_and_saves_what_is_stored(server, settings, store):
    async with Fleet(server, settings(), store).running() as fleet:
        camera = fleet.camera(SIZE, 5)
        await until(lambda: not camera.offers)
    bucket = Bucket(settings())
    async with (
        bucket.opened(),
        portal(bucket=bucket, prefix="cams") as part,
        client() as admin,
        client() as viewer,
        client() as stranger,
    ):
        part.desk.add_user("viewer", "viewer", password=PASSWORD)
        part.desk.add_user("stranger", None, cameras=["back"], password=PASSWORD)
        for http, name in ((admin, USER), (viewer, "viewer"), (stranger, "stranger")):
            await login(http, part, name)
        url = f"{part.url}/api/devices/front/stored"
        day = {"day": "2026-11-29"}
        page = await (await admin.get(url, params=day)).json()
        assert page == {
            "files": [
                {"name": "095600-000000001-main.mp4", "at": 1_795_946_160.0, "stream": "main", "bytes": SIZE},
                {"name": "095700-000000002-main.mp4", "at": 1_795_946_220.0, "stream": "main", "bytes": 5},
            ],
            "more": False,
        }
        rest = await admin.get(url, params=day | {"after": page["files"][0]["name"]})
        assert [file["bytes"] for file in (await rest.json())["files"]] == [5]
        assert (await (await admin.get(url, params={"day": "2026-11-28"})).json())["files"] == []

        wish = day | {"name": "095700-000000002-main.mp4"}
        assert (await viewer.get(url, params=day)).status == 403
        assert (await viewer.post(f"{url}/link", json=wish)).status == 403
        assert (await stranger.get(url, params=day)).status == 404
        assert (await stranger.post(f"{url}/link", json=wish)).status == 404
        for bad in (
            day | {"name": "../../../back/2026/11/29/095700-000000002-main.mp4"},
            day | {"name": "095700-000000002-main.mp4\n"},
            {"day": "2026/11/29", "name": wish["name"]},
            {"day": "2026-11-31", "name": wish["name"]},
        ):
            assert (await admin.post(f"{url}/link", json=bad)).status == 400, bad
        none = {"day": "2026-11-28", "name": wish["name"]}
        assert (await admin.post(f"{url}/link", json=none)).status == 404

        answer = await admin.post(f"{url}/link", json=wish)
        link = (await answer.json())["url"]
        assert answer.headers["Cache-Control"] == "no-store"
        with await asyncio.to_thread(urlopen, link) as saved:
            assert saved.read() == b"\2" * 5
            name = "front-2026-11-29-095700-000000002-main.mp4"
            assert saved.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        server.offset_s = 301
        with pytest.raises(OSError, match="403"):
            await asyncio.to_thread(urlopen, link)
        server.offset_s = 0

        await part.accounts.audit.flush()
        entries = (await (await admin.get(f"{part.url}/api/audit")).json())["entries"]
        saved = [entry for entry in entries if entry["action"] == "recording-saved"]
        assert [(one["actor"], one["device"], one["detail"]) for one in saved] == [
            (USER, "front", "2026-11-29 095700-000000002-main.mp4")
        ]
        assert "X-Amz" not in str(entries)

        server.answers["all"] = 503
        away = await admin.get(url, params=day)
        assert (away.status, (await away.json())["code"]) == (503, "store-away")


async def test_a_portal_without_a_store_says_so():
    async with portal() as part, client() as admin:
        await login(admin, part)
        answer = await admin.get(f"{part.url}/api/devices/front/stored", params={"day": "2026-11-29"})
        assert (answer.status, (await answer.json())["code"]) == (404, "no-store")
