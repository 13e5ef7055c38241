"""A still shows the camera as it is now, costs nobody's stream, and is shared by who asks together."""

import asyncio

import pytest
from fakes.clock import LoopClock
from fakes.still_camera import StillCamera

from agent.errors import CameraError
from agent.model.media import Unit
from agent.record import still as still_module
from agent.record.still import FRESH_US, PATIENCE_S, SETTLING, SHARED_US, Exposure, Settling, Stills


class Bench:
    def __init__(self, **camera):
        self.camera = camera = StillCamera(**camera)
        self.stills = Stills(
            camera.streams,
            has_preview=lambda: camera.has_preview,
            kind=lambda: camera.kind,
            problem=lambda: camera.problem,
            now_us=lambda: camera.now_us,
        )
        self.encoded = []

    async def turns(self, count=10):
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
def bench(monkeypatch):
    it = Bench()
    make = still_module.make_still

    def note(*arguments):
        it.encoded.append(arguments[1])
        return make(*arguments)

    monkeypatch.setattr(still_module, "make_still", note)
    with it.stills.overhearing():
        yield it


async def test_a_stream_that_runs_gives_its_last_keyframe_and_is_asked_nothing(bench):
    bench.camera.show("preview", age_us=FRESH_US // 2)
    still = await bench.stills.take("small")
    assert (still.width_px, still.height_px) == (640, 360)
    assert still.jpeg.startswith(b"\xff\xd8")
    assert (bench.camera.watched, bench.camera.keyframes) == ([], [])


async def test_a_full_one_is_of_the_full_picture(bench):
    bench.camera.show("preview")
    bench.camera.show("main")
    still = await bench.stills.take("full")
    assert (still.width_px, still.height_px) == (1280, 720)


@pytest.mark.parametrize(
    ("size", "asked"), [("small", "preview"), ("thumbnail", "preview"), ("full", "main")]
)
async def test_a_camera_that_rests_runs_until_its_first_keyframe(bench, size, asked):
    taking = asyncio.create_task(bench.stills.take(size))
    await bench.turns()
    assert bench.camera.watched == [asked]
    bench.camera.show(asked, key=False)
    await bench.turns()
    assert not taking.done()
    bench.camera.show(asked)
    await taking
    assert bench.camera.watched == [], "it is let go"


async def test_where_there_is_no_preview_main_is_asked(bench):
    bench.camera.has_preview = False
    taking = asyncio.create_task(bench.stills.take())
    await bench.turns()
    assert bench.camera.watched == ["main"]
    bench.camera.show("main")
    assert (await taking).width_px == 640


async def test_a_camera_that_turns_out_to_have_no_preview_answers_by_main(bench):
    """Before its first start nobody knows; it shows main to who asks for preview."""
    taking = asyncio.create_task(bench.stills.take())
    await bench.turns()
    assert bench.camera.watched == ["preview"]
    bench.camera.show("main")
    assert (await taking).width_px == 640


async def test_an_old_keyframe_is_not_taken_for_now(bench):
    bench.camera.show("preview", age_us=FRESH_US + 1)
    taking = asyncio.create_task(bench.stills.take())
    await bench.turns()
    assert bench.camera.keyframes, "another is asked for"
    bench.camera.show("preview")
    await taking


async def test_a_machine_that_is_late_still_gets_its_picture(bench):
    """However old the picture is by the time it is looked at: it is newer than the wish."""
    taking = asyncio.create_task(bench.stills.take())
    await bench.turns()
    bench.camera.now_us += 3 * FRESH_US
    bench.camera.show("preview", age_us=2 * FRESH_US)
    await taking


async def test_a_pi_that_has_just_started_is_waited_for_until_it_sees(bench):
    camera, settling = bench.camera, SETTLING["picamera"]
    camera.kind = "picamera"
    taking = asyncio.create_task(bench.stills.take())
    await bench.turns()
    camera.keyframes.clear()
    camera.show("preview")  # black
    for _ in range(settling.pictures - 2):
        camera.now_us += 50_000
        camera.show("preview", key=False)
    await bench.turns()
    assert (taking.done(), camera.keyframes) == (False, []), "a keyframe now would cost, and show nothing"
    camera.now_us += int(settling.seconds * 1e6)
    camera.show("preview", key=False)
    assert camera.keyframes == ["preview"]
    camera.show("preview")
    await taking


async def test_a_pi_that_has_run_for_a_while_is_not_waited_for(bench):
    camera = bench.camera
    camera.kind = "picamera"
    for _ in range(20):
        camera.show("main", key=False)
        camera.now_us += 100_000
    camera.show("preview")
    await bench.stills.take()
    camera.start()
    camera.now_us += 2 * SHARED_US["small"] + FRESH_US
    camera.show("preview")
    again = asyncio.create_task(bench.stills.take())
    await bench.turns()
    assert not again.done(), "another start is another exposure"
    again.cancel()


def test_in_the_dark_time_decides_alone():
    exposure, settling = Exposure(), Settling(1.0, 10, at_most_s=4.0)
    for at_s in range(4):
        exposure.note(Unit(b"", int(at_s * 1e6), 0, is_keyframe=False))
        assert not exposure.is_settled(settling)
    exposure.note(Unit(b"", 4_000_000, 0, is_keyframe=False))
    assert exposure.is_settled(settling)


async def test_who_asks_together_gets_the_same_and_it_is_made_once(bench):
    takings = [asyncio.create_task(bench.stills.take()) for _ in range(5)]
    await bench.turns()
    assert bench.camera.watched == ["preview"]
    bench.camera.show("preview")
    stills = await asyncio.gather(*takings)
    assert len({id(still) for still in stills}) == 1
    assert bench.encoded == ["small"]


async def test_who_asks_a_moment_later_gets_the_same_and_who_asks_later_another(bench):
    bench.camera.show("preview")
    first = await bench.stills.take()
    bench.camera.now_us += SHARED_US["small"] - 1
    assert await bench.stills.take() is first
    bench.camera.now_us += 1
    bench.camera.show("preview")
    assert await bench.stills.take() is not first


async def test_who_goes_does_not_take_the_picture_from_the_others(bench):
    first, second = (asyncio.create_task(bench.stills.take()) for _ in range(2))
    await bench.turns()
    first.cancel()
    await bench.turns()
    bench.camera.show("preview")
    assert (await second).jpeg


async def test_a_camera_without_pictures_is_told_in_time_with_its_problem(bench):
    clock = LoopClock()
    bench.camera.problem = "there is no Pi camera 0: check its cable"
    taking = asyncio.create_task(bench.stills.take())
    await clock.after(PATIENCE_S - 1)
    assert not taking.done()
    await clock.until(taking.done)
    with pytest.raises(CameraError, match="no picture came within 15 s: there is no Pi camera 0"):
        await taking
    assert bench.camera.watched == []


async def test_a_damaged_picture_is_an_error_and_the_next_one_is_good(bench):
    bench.camera.streams["preview"].push(Unit(b"\0\0\0\1\x65\1\2", bench.camera.now_us, 0, is_keyframe=True))
    with pytest.raises(CameraError, match="cannot be decoded"):
        await bench.stills.take()
    bench.camera.show("preview")
    assert (await bench.stills.take()).jpeg


async def test_at_the_end_nothing_is_being_made(bench):
    running = asyncio.create_task(bench.stills.run())
    taking = asyncio.create_task(bench.stills.take())
    await bench.turns()
    running.cancel()
    await bench.turns()
    assert taking.done()
    assert bench.camera.watched == []


async def test_what_was_seen_before_a_mask_is_in_no_still_after_it(bench):
    bench.camera.show("preview", age_us=1000)
    bench.camera.show("main", age_us=1000)
    await bench.stills.take("small")
    bench.stills.begin_anew()
    for size in ("small", "full"):
        taking = asyncio.create_task(bench.stills.take(size))
        await bench.turns()
        assert not taking.done(), size
        stream = "main" if size == "full" else "preview"
        bench.camera.show(stream, age_us=500)  # was under way
        await bench.turns()
        assert not taking.done(), size
        bench.camera.show(stream)
        await taking


async def test_a_still_that_was_being_made_when_a_mask_came_is_made_again(bench):
    bench.camera.show("preview", age_us=1000)
    taking = asyncio.create_task(bench.stills.take("small"))
    while not bench.encoded:
        await asyncio.sleep(0)
    bench.stills.begin_anew()
    while not bench.camera.watched:
        await asyncio.sleep(0)
    bench.camera.show("preview")
    await taking
    assert len(bench.encoded) == 2
