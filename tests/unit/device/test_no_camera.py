"""A service that finds no camera says so wherever somebody looks; one whose camera obeys proves itself."""

import asyncio
import contextlib

import pytest
from parts.trust import key_set

from agent.app import Agent
from agent.camera import select
from agent.camera.select import open_camera
from agent.config import CameraSettings, Settings
from agent.device import release
from agent.device.changes import RemoteSettings
from agent.doctor.visit import Check, Visit
from agent.errors import CameraError
from agent.signaling.identity import load_or_make_key, save_portal_keys

BROKEN = "picamera2 is installed and does not import: ValueError: numpy.dtype size changed"


class Quiet:
    def started(self, check, subject):
        pass

    def ended(self, finding):
        pass


@pytest.fixture(params=["", BROKEN], ids=["nothing attached", "picamera2 broken"])
def problem(request, monkeypatch):
    """What keeps the camera away; a part of the words that tell it."""

    def attached():
        if request.param:
            raise CameraError(request.param, "what to do")
        return []

    monkeypatch.setattr(select.picamera, "attached", attached)
    monkeypatch.setattr(select.v4l2, "usb_cameras", list)
    return request.param or "no Pi camera: libcamera sees none"


async def test_state_status_line_and_trial_say_so(problem, tmp_path):
    settings = Settings.model_validate({"device": {"id": "door", "state_dir": tmp_path}})
    assert settings.camera.source == "auto"
    load_or_make_key(tmp_path)
    save_portal_keys(tmp_path, key_set())
    agent = Agent(settings, RemoteSettings(tmp_path / "settings.json", settings))
    running = asyncio.create_task(agent.run())
    async with asyncio.timeout(10):
        while agent.capture.state != "failed":
            await asyncio.sleep(0)
    state = agent._state()
    assert (state.camera, state.camera_kind, state.streams) == ("failed", "", ())
    assert problem in state.problem
    assert agent._vitals().words.startswith("degraded; ")
    assert problem in agent._vitals().words
    assert agent._stand().frames == 0, "and so a release on trial is not good"
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_the_doctor_says_so(problem):
    async def ask():
        return open_camera(CameraSettings())

    visit = Visit(Quiet())
    await visit.check(Check("camera", "", 5, ask, lambda _: None, "see the cable"))
    (finding,) = visit.findings
    assert finding.verdict == "fault"
    assert problem in finding.message
    assert "0 attached" not in finding.message
    assert finding.advice in ("what to do", "check the cable and its connectors")


async def test_a_camera_that_obeys_proves_a_release(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "INTERVAL_S", 0)
    camera = {
        "source": "synthetic",
        "width_px": 64,
        "height_px": 64,
        "fps": 30,
        "preview": {"enabled": False},
    }
    settings = Settings.model_validate({"device": {"id": "door", "state_dir": tmp_path}, "camera": camera})
    load_or_make_key(tmp_path)
    save_portal_keys(tmp_path, key_set())
    agent = Agent(settings, RemoteSettings(tmp_path / "settings.json", settings))
    agent.releases._trial = tmp_path / "trial"
    agent.releases._trial.touch()
    running = asyncio.create_task(agent.run())
    async with asyncio.timeout(30):
        while not agent._stand().frames:
            await asyncio.sleep(0)
    assert agent.capture.forced_keyframes == 1
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
