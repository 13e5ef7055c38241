"""What the portal asks of an S3 store, and what the URLs that it signs are good for."""

import asyncio
import logging
from contextlib import asynccontextmanager
from urllib.request import urlopen

import pytest
from parts.s3 import ACCESS_KEY, SECRET, s3_server, secret_in

from agent.config import UploadSettings
from agent.errors import ConfigError
from agent.portal.upload.bucket import Bucket
from agent.portal.upload.objects import BucketError, Part

FULL = 5 * 1024 * 1024
"""S3 takes no smaller part but the last."""
KEY = "cams/front/2026/11/29/one.mp4"


@pytest.fixture
def server():
    with s3_server() as server:
        yield server


@pytest.fixture
def settings(server, tmp_path):
    secret = secret_in(tmp_path)
    return lambda **more: UploadSettings(**server.settings(secret, **more))


@asynccontextmanager
async def open_bucket(settings):
    bucket = Bucket(settings)
    async with bucket.opened():
        yield bucket


async def put(server, url, data):
    return await asyncio.to_thread(server.put, url, data)


async def test_parts_become_one_object(server, settings):
    async with open_bucket(settings()) as bucket:
        assert await bucket.size(KEY) is None
        upload = await bucket.begin(KEY, "video/mp4")
        assert await bucket.begun(KEY) == [upload]
        for number, data in ((1, b"a" * FULL), (2, b"end")):
            url = await bucket.part_url(KEY, upload, number, len(data))
            assert await put(server, url, data) == 200
        parts = await bucket.parts(KEY, upload)
        assert [(part.number, part.bytes) for part in parts] == [(1, FULL), (2, 3)]
        await bucket.complete(KEY, upload, parts)
        assert await bucket.size(KEY) == FULL + 3
        assert await bucket.begun(KEY) == []
        assert [(one.key, one.bytes) for one in await bucket.objects("cams/front/2026/")] == [(KEY, FULL + 3)]
    assert server.objects() == {KEY: b"a" * FULL + b"end"}


async def test_a_url_is_good_for_one_part_of_one_size(server, settings):
    async with open_bucket(settings()) as bucket:
        upload = await bucket.begin(KEY, "video/mp4")
        url = await bucket.part_url(KEY, upload, 1, 4)
        assert await put(server, url, b"12345") == 403
        assert await put(server, url, b"123") == 403
        assert await put(server, url.replace("partNumber=1", "partNumber=2"), b"1234") == 403
        assert await put(server, url.replace("front", "other"), b"1234") == 403
        assert await put(server, url.partition("?")[0], b"1234") == 403
        assert await bucket.parts(KEY, upload) == []
        assert await put(server, url, b"1234") == 200


async def test_a_url_ends(server, settings):
    async with open_bucket(settings(url_life_s=60)) as bucket:
        upload = await bucket.begin(KEY, "video/mp4")
        url = await bucket.part_url(KEY, upload, 1, 4)
        server.offset_s = 50
        assert await put(server, url, b"1234") == 200
        server.offset_s = 120
        assert await put(server, url, b"1234") == 403


async def test_an_object_that_is_whole_is_not_written_again(server, settings):
    async with open_bucket(settings()) as bucket:
        upload = await bucket.begin(KEY, "video/mp4")
        url = await bucket.part_url(KEY, upload, 1, 4)
        await put(server, url, b"1234")
        parts = await bucket.parts(KEY, upload)
        await bucket.complete(KEY, upload, parts)
        assert await put(server, url, b"evil") == 404
        await bucket.complete(KEY, upload, parts)
        assert await bucket.parts(KEY, upload) == []
    assert server.objects() == {KEY: b"1234"}


async def test_what_was_begun_is_found_and_forgotten(settings):
    async with open_bucket(settings()) as bucket:
        first, second = await bucket.begin(KEY, "video/mp4"), await bucket.begin(KEY, "video/mp4")
        longer = await bucket.begin(KEY + "4", "video/mp4")
        assert set(await bucket.begun(KEY)) == {first, second}
        assert set(await bucket.unfinished("cams/front/")) == {
            (KEY, first), (KEY, second), (KEY + "4", longer)
        }  # fmt: skip
        for _ in range(2):
            await bucket.abort(KEY, first)
        assert await bucket.begun(KEY) == [second]
        assert await bucket.unfinished("cams/fron/") == []


async def test_a_link_saves_one_object(server, settings):
    async with open_bucket(settings()) as bucket:
        upload = await bucket.begin(KEY, "video/mp4")
        await put(server, await bucket.part_url(KEY, upload, 1, 4), b"1234")
        await bucket.complete(KEY, upload, await bucket.parts(KEY, upload))
        link = await bucket.link(KEY, "front one.mp4")
        with await asyncio.to_thread(urlopen, link) as answer:
            assert answer.read() == b"1234"
            assert answer.headers["Content-Disposition"] == 'attachment; filename="front one.mp4"'
        assert await put(server, link, b"evil") == 403


async def test_pages_go_on_after_a_key(server, settings):
    async with open_bucket(settings()) as bucket:
        for name in ("a", "b", "c"):
            upload = await bucket.begin(f"cams/{name}", "video/mp4")
            await put(server, await bucket.part_url(f"cams/{name}", upload, 1, 1), b"x")
            await bucket.complete(f"cams/{name}", upload, await bucket.parts(f"cams/{name}", upload))
        assert [one.key for one in await bucket.objects("cams/", after="cams/a")] == ["cams/b", "cams/c"]


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_store_that_refuses_is_told_without_a_url(server, settings, status):
    async with open_bucket(settings()) as bucket:
        server.answers["all"] = status
        with pytest.raises(BucketError) as caught:
            await bucket.begin(KEY, "video/mp4")
        assert "http" not in str(caught.value)
        with pytest.raises(BucketError):
            await bucket.complete(KEY, "no", [Part(1, 1, "x")])


async def test_a_store_that_is_away_or_knows_no_such_bucket(settings):
    async with open_bucket(settings(bucket="another")) as bucket:
        with pytest.raises(BucketError, match="NoSuchBucket"):
            await bucket.begun(KEY)
    async with open_bucket(settings(endpoint="http://127.0.0.1:9")) as bucket:
        with pytest.raises(BucketError, match="cannot be asked"):
            await bucket.size(KEY)


async def test_a_store_that_does_not_answer_is_given_up(monkeypatch, settings):
    monkeypatch.setattr("agent.portal.upload.bucket.TIMEOUT_S", 0.2)
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        async with open_bucket(settings(endpoint=f"http://127.0.0.1:{port}")) as bucket:
            with pytest.raises(BucketError, match="does not answer"):
                await bucket.size(KEY)


async def test_a_bucket_may_be_a_part_of_the_hosts_name(settings):
    async with open_bucket(settings(endpoint="https://s3.example.org", path_style=False)) as bucket:
        url = await bucket.part_url(KEY, "upload", 1, 4)
    assert url.startswith(f"https://recordings.s3.example.org/{KEY}?")
    assert "X-Amz-SignedHeaders=content-length%3Bhost" in url
    assert SECRET not in url


async def test_what_amazons_files_have_wrong_is_the_settings_fault(monkeypatch, settings):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio_1:9000")
    found = settings()
    with pytest.raises(ConfigError, match=r"portal\.upload"):
        async with open_bucket(found.model_copy(update={"endpoint": None})):
            pass


async def test_no_signature_is_logged(server, settings, caplog):
    caplog.set_level(logging.DEBUG)
    async with open_bucket(settings()) as bucket:
        upload = await bucket.begin(KEY, "video/mp4")
        url = await bucket.part_url(KEY, upload, 1, 4)
        assert await put(server, url, b"1234") == 200
    assert "Signature" not in caplog.text
    assert SECRET not in caplog.text


async def test_a_store_is_asked_while_it_is_open_alone(settings):
    with pytest.raises(BucketError):
        await Bucket(settings()).size(KEY)


async def test_without_a_key_in_the_settings_amazons_own_places_are_read(server, monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found = server.settings(None) | {"access_key": None}
    async with open_bucket(UploadSettings(**found)) as bucket:
        upload = await bucket.begin(KEY, "video/mp4")
        assert await put(server, await bucket.part_url(KEY, upload, 1, 4), b"1234") == 200


async def test_a_broken_file_of_amazons_tools_is_told(server, monkeypatch, tmp_path):
    (tmp_path / "config").write_text("no section")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(ConfigError, match=r"portal\.upload"):
        async with open_bucket(UploadSettings(**server.settings(None) | {"access_key": None})):
            pass
