"""Recordings reach a real S3 server, whatever the link, the disk and the viewers do."""

import asyncio
import contextlib
import io
import math
import random
from types import SimpleNamespace

import av
import pytest
from parts.masked import assert_black, assert_seen
from parts.object_store import ARRIVED_BYTES, PREFIX, answer, object_store
from parts.recordings import OFFSET_US, START_US, RecordingsFolder

from agent import uploads as module
from agent.camera.encoder import H264Encoder
from agent.camera.masking import Cover, Masking
from agent.config.settings import (
    DataPlanSettings,
    DeviceSettings,
    RecordSettings,
    RecordUploadSettings,
    Settings,
)
from agent.doctor.upload import judge_store, visit_store
from agent.model.media import EncoderDemand, Unit
from agent.model.upload import NOTE
from agent.record.cleaner import Bounds, Cleaner
from agent.record.segment import Segment, Tier
from agent.rtc import give_way
from agent.upload.parcel import PART_BYTES
from agent.upload.sending import SOCKET_BYTES
from agent.uploads import Uploads

MASKS = (((0.0, 0.0), (0.5, 0.0), (0.5, 0.6), (0.0, 0.6)),)
FAST_BPS = 1e9


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """No test waits for a link to be found fast, nor for a machine to have run for long."""
    monkeypatch.setattr(give_way, "MOST_BPS", FAST_BPS)
    monkeypatch.setattr(give_way, "START_BPS", FAST_BPS)
    monkeypatch.setattr(module, "SETTLED_S", 0.0)


@pytest.fixture
def store():
    with object_store() as made:
        yield made


class Camera:
    """Files in a folder, and what sends them; `start` is a start of the agent."""

    def __init__(self, folder):
        self.desk = RecordingsFolder(folder)
        self.index, self.events, self.viewers, self.sent_bytes = self.desk.index, [], 0, 0
        self.uploads = None

    def add(self, size_bytes, number, tier=Tier.EVENT, stream="main"):
        """A file of noise."""
        one = Segment(
            number, stream, "0" * 32, START_US, START_US + OFFSET_US + number * 60_000_000, True,
            dur_us=60_000_000, size_bytes=size_bytes, tier=tier,
        )  # fmt: skip
        file = self.index.folder / one.name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(random.Random(number).randbytes(size_bytes))
        self.index.begin(one)
        self.index.finish(one)
        return file

    def count(self, size_bytes):
        self.sent_bytes += size_bytes

    @contextlib.asynccontextmanager
    async def start(self, store, **wanted):
        self.settings = settings = Settings(
            device=DeviceSettings(state_dir=self.index.folder),
            data_plan=DataPlanSettings(monthly_cap_mb=1000),
            record=RecordSettings(
                mode="event", upload=RecordUploadSettings(**{"what": "events", "allow_http": True, **wanted})
            ),
        )
        allowance = SimpleNamespace(on_sent=self.count, usage=SimpleNamespace(sent_bytes=0))
        self.uploads = Uploads(
            settings, SimpleNamespace(index=self.index, recorder=SimpleNamespace(unsent={})), allowance,
            lambda: self.viewers, lambda: None, lambda *event: self.events.append(event), lambda: None,
        )  # fmt: skip
        works = [work for _, work in self.uploads.work()]
        tasks = [asyncio.ensure_future(one) for one in (*works, answer(store, self.uploads))]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    @property
    def section(self):
        return self.uploads.section()

    def watch(self, count):
        self.viewers = count
        self.uploads.on_viewers()


@pytest.fixture
def camera(tmp_path):
    made = Camera(tmp_path / "recordings")
    yield made
    made.index.close()


async def until(seen):
    async with asyncio.timeout(90):
        while not (found := seen()):
            await asyncio.sleep(0.01)
    return found


def key_of(file):
    return f"{PREFIX}/{file.parent.name}/{file.name}"


async def test_events_reach_the_store_the_newest_first_and_nothing_else_does(store, camera, caplog):
    old, new = camera.add(2 * PART_BYTES + 1000, 1), camera.add(100_000, 2)
    camera.add(1000, 3, Tier.CONTINUOUS)
    camera.add(1000, 4, stream="preview")
    async with camera.start(store):
        first = await until(lambda: camera.section.next)
        assert first.file.endswith(new.name)
        await until(lambda: camera.section.state == "idle")
        assert (camera.section.sent, camera.section.waiting, camera.section.problem) == (2, 0, "")
    assert store.objects() == {key_of(file): file.read_bytes() for file in (old, new)}
    size_bytes = 2 * PART_BYTES + 101_000
    assert camera.sent_bytes == size_bytes
    assert store.link.arrived_bytes < size_bytes + 10_000
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("agent")]
    assert not any("http" in words for words in ours), "a URL is a secret"
    Cleaner(camera.index, Bounds(size_bytes, 0, None)).make_room(1, 0)
    assert not old.exists(), "what the store has goes first, beside what happened and what did not"
    assert camera.index.get(3)


async def test_the_doctor_finds_the_store_by_what_the_agent_noted(store, camera):
    camera.add(1000, 1)
    async with camera.start(store):
        await until(lambda: camera.section.state == "idle")
        settings = camera.settings
        file = settings.device.state_dir / NOTE
        await until(lambda: file.exists() and "127.0.0.1" in file.read_text())
    assert "Signature" not in file.read_text()
    found = judge_store(settings, await visit_store(settings))
    assert (found.verdict, found.subject) == ("good", f"http://127.0.0.1:{store.link.port}")
    store.link.close()
    found = judge_store(settings, await visit_store(settings))
    assert (found.verdict, found.message) == ("warning", "the store cannot be reached: Connection refused")


async def test_all_of_it_where_that_is_wanted_the_oldest_first(store, camera):
    files = [camera.add(1000, number, Tier.CONTINUOUS) for number in (1, 2)]
    async with camera.start(store, what="all"):
        assert (await until(lambda: camera.section.next)).file.endswith(files[0].name)
        await until(lambda: camera.section.state == "idle")
    assert set(store.objects()) == {key_of(file) for file in files}


async def test_a_link_that_breaks_costs_a_part_and_no_more(store, camera):
    file = camera.add(3 * PART_BYTES, 1)
    store.link.cut_at = 1.5 * PART_BYTES
    async with camera.start(store):
        await until(lambda: camera.section.why == "store")
        assert camera.section.problem.startswith("the store: ")
        assert list(store.parts(key_of(file))) == [1]
        store.link.cut_at = math.inf
        await until(lambda: camera.section.state == "idle")
    assert store.objects() == {key_of(file): file.read_bytes()}
    assert store.link.arrived_bytes < 4 * PART_BYTES


async def test_a_start_of_the_agent_goes_on_where_the_one_before_was_killed(store, camera):
    file = camera.add(3 * PART_BYTES, 1)
    store.link.held_at = 1.5 * PART_BYTES
    async with camera.start(store):
        await until(lambda: store.link.arrived_bytes >= store.link.held_at)
    store.link.held_at = math.inf
    assert list(store.parts(key_of(file))) == [1]
    async with camera.start(store):
        await until(lambda: camera.section.state == "idle")
    assert store.objects() == {key_of(file): file.read_bytes()}
    assert store.link.arrived_bytes < 4 * PART_BYTES


async def test_from_when_somebody_watches_hardly_a_byte_arrives(store, camera, monkeypatch):
    monkeypatch.setattr("agent.upload.conditions.QUIET_S", 0.5)
    file = camera.add(2 * PART_BYTES, 1)
    store.link.rate_bps = 20e6
    async with camera.start(store):
        await until(lambda: store.link.arrived_bytes > 0.5 * PART_BYTES)
        before = store.link.arrived_bytes
        camera.watch(1)
        await until(lambda: camera.section.why == "viewer")
        assert camera.section.next is None
        await asyncio.sleep(1)  # in which 2.5 MB would arrive
        assert store.link.arrived_bytes - before <= 2 * SOCKET_BYTES + 2 * ARRIVED_BYTES
        camera.watch(0)
        await until(lambda: camera.section.state == "idle")
    assert store.objects() == {key_of(file): file.read_bytes()}
    assert store.link.arrived_bytes < 3 * PART_BYTES


async def test_a_file_that_vanishes_meanwhile_holds_nothing_up(store, camera):
    there, gone = camera.add(PART_BYTES, 1), camera.add(2 * PART_BYTES, 2)
    async with camera.start(store):
        await until(lambda: camera.section.next and camera.section.next.file.endswith(gone.name))
        camera.index.remove(camera.index.get(2))
        await until(lambda: camera.section.state == "idle")
    assert set(store.objects()) == {key_of(there)}


async def test_a_file_that_somebody_took_from_the_card_holds_nothing_up(store, camera):
    there, gone = camera.add(PART_BYTES, 1), camera.add(1000, 2)
    gone.unlink()
    async with camera.start(store):
        await until(lambda: camera.section.sent == 1)
    assert set(store.objects()) == {key_of(there)}


async def test_a_link_in_a_files_place_is_not_followed(store, camera, tmp_path):
    secret, prepared = tmp_path / "secret", camera.add(1000, 1)
    secret.write_bytes(b"s" * 1000)
    prepared.unlink()
    prepared.symlink_to(secret)
    camera.add(1000, 2)
    async with camera.start(store):
        await until(lambda: camera.section.sent == 1 and not camera.section.next)
    assert all(b"sss" not in data for data in store.objects().values())


async def test_an_upload_that_the_store_forgot_is_begun_anew(store, camera):
    file = camera.add(3 * PART_BYTES, 1)
    store.link.held_at = 1.5 * PART_BYTES
    async with camera.start(store):
        await until(lambda: store.parts(key_of(file)))
        store.forget(key_of(file))
        store.link.held_at = math.inf
        await until(lambda: camera.section.state == "idle")
    assert store.objects() == {key_of(file): file.read_bytes()}


async def test_what_is_masked_is_black_in_what_the_store_has(store, camera):
    size, fps = (320, 180), 10
    encoder, masking = H264Encoder(*size, fps, 1.0, EncoderDemand(500_000)), Masking(Cover(MASKS))
    bright = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(bright.planes, (200, 90, 160), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    coded = [encoder.encode(masking.cover_frame(bright), number) for number in range(2 * fps)]
    camera.desk.record(
        Unit(unit.data, START_US + number * 1_000_000 // fps, 0, unit.is_keyframe)
        for number, unit in enumerate(coded)
    )
    async with camera.start(store, what="all"):
        await until(lambda: camera.section.sent == 1)
    (data,) = store.objects().values()
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 2 * fps
    for frame in frames:
        assert_black(frame, MASKS)
        assert_seen(frame, (0.9, 0.1), (0.1, 0.9))
