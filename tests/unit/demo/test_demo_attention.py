"""Whether the demo looks for motion: only where no camera of somebody's own would have to run for it."""

import sys

import pytest

from agent.demo.supervisor import _shows_nobody, _write_settings


@pytest.mark.parametrize(
    ("camera", "exit_code", "shows_nobody"),
    [
        ("auto", 0, False),  # a camera is attached
        ("auto", 1, True),
        ("synthetic", 0, True),
        ("replay:garden.mp4", 0, True),
        ("picamera", 1, False),
        ("v4l2:/dev/video0", 1, False),
    ],
)
async def test_auto_is_a_test_picture_where_the_agent_would_find_no_camera(
    monkeypatch, tmp_path, camera, exit_code, shows_nobody
):
    asked = tmp_path / "python"
    asked.write_text(f'#!/bin/sh\n[ "$*" = "-m agent.camera.select" ] && exit {exit_code}\nexit 77\n')
    asked.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(asked))
    assert await _shows_nobody(camera, tmp_path) is shows_nobody


@pytest.mark.parametrize("is_attentive", [True, False])
def test_only_then_it_looks_for_motion_and_records(tmp_path, is_attentive):
    (tmp_path / "broker-password").touch(mode=0o600)
    settings = _write_settings(tmp_path, 1883, 8080, "synthetic", is_attentive=is_attentive)
    assert settings.motion.enabled is is_attentive
    assert (settings.record.mode == "event") is is_attentive
