"""The agent's side of a release: its status, its proof, and what the portal is told."""

import asyncio
import contextlib
import json
import os

import pytest

from agent.device import release
from agent.device.release import ReleaseDesk, parse_state, stand

GIVEN_BACK = {"version": "1.1", "reason": "no picture", "at": 5.0, "serial": 2}


@pytest.fixture
def desk(tmp_path):
    watching = []

    @contextlib.contextmanager
    def watch():
        watching.append(True)
        try:
            yield
        finally:
            watching.clear()

    made = ReleaseDesk(
        lambda: stand("1.0", made.frames, made.forced_keyframes, is_connected=True),
        watch,
        lambda: made.asked.append(made.frames),
        lambda: made.changes.append(made.release),
        {"RUNTIME_DIRECTORY": str(tmp_path)},
        tmp_path / "trial",
        tmp_path / "state.json",
    )
    made.frames, made.forced_keyframes, made.asked = 0, 0, []
    made.changes, made.watching, made.folder = [], watching, tmp_path
    return made


def status(desk):
    return json.loads((desk.folder / "status.json").read_text())


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_status_is_there_to_be_read(desk):
    desk.look()
    assert status(desk) == {
        "pid": os.getpid(), "version": "1.0", "broker": True, "frames": 0,
        "lacks": "it did not capture a picture",
    }  # fmt: skip


def test_a_status_that_was_not_written_is_written_again(desk, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(release, "write_whole", refuse)
        desk.look()
        desk.look()
    assert caplog.messages == ["cannot write our status: [Errno 28] No space left on device"]
    desk.look()
    assert status(desk)["broker"], "though nothing has changed"


def test_pictures_without_a_keyframe_when_asked_are_no_proof(desk):
    desk.frames = 9
    desk.look()
    assert (status(desk)["frames"], status(desk)["lacks"]) == (
        0, "its camera made no keyframe when it was asked for one",
    )  # fmt: skip
    desk.forced_keyframes = 1
    desk.look()
    assert (status(desk)["frames"], status(desk)["lacks"]) == (1, "")


async def test_on_trial_the_camera_runs_until_a_keyframe_came_when_asked(desk, monkeypatch):
    monkeypatch.setattr(release, "INTERVAL_S", 0)
    (desk.folder / "trial").touch()
    task = asyncio.create_task(desk.run())
    await turns()
    desk.frames = 9
    await turns()
    assert desk.watching
    assert desk.asked[-1] == 9, "it asks again: a camera that has begun anew has forgotten"
    desk.forced_keyframes = 1
    await turns()
    assert not desk.watching
    asked = len(desk.asked)
    await turns()
    assert len(desk.asked) == asked
    task.cancel()


async def test_without_a_trial_the_camera_rests(desk):
    task = asyncio.create_task(desk.run())
    await asyncio.sleep(0)
    assert not desk.watching
    assert not desk.asked
    task.cancel()


def test_a_release_that_was_given_back_is_told_once(desk):
    (desk.folder / "state.json").write_text(json.dumps({"trial": None, "given_back": [GIVEN_BACK]}))
    (desk.folder / "current").symlink_to("releases/1.0")
    os.utime(desk.folder / "current", (9.0, 9.0), follow_symlinks=False)
    desk.look()
    desk.look()
    (told,) = desk.changes
    assert (told.given_back, told.reason, told.on_trial) == ("1.1", "no picture", False)
    assert told.since == 9.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trial": null}', '{"trial": null, "given_back": [3]}'])
def test_a_damaged_state_is_no_reason_to_fail(desk, text):
    (desk.folder / "state.json").write_text(text)
    desk.look()
    assert desk.changes == []


def test_long_words_fit_the_message():
    release = parse_state({"trial": {}, "given_back": [GIVEN_BACK | {"reason": "x" * 9999}]}, 7.0)
    assert release.on_trial
    assert len(release.reason) <= 512
