"""Whether what moves can be labelled, as the doctor tells it."""

import pytest
from parts.tflite import write_detector

from agent.camera import picamera
from agent.config.settings import MotionSettings
from agent.doctor.labels import NetworkFacts, judge_network, read_network


@pytest.fixture
def motion(tmp_path):
    (tmp_path / "classes.txt").write_text("person\n")

    def make(file):
        return MotionSettings(enabled=True, network=file, classes=tmp_path / "classes.txt")

    return make


def test_a_network_that_works_is_good_and_says_how_long_it_takes(tmp_path, motion):
    settings = motion(write_detector(tmp_path / "n.tflite", [(0, 0, 1, 1)], [0]))
    found = read_network(settings)
    assert found.fault == ""
    assert found.look_ms > 0
    assert judge_network(settings, NetworkFacts(look_ms=90.0)).message == "it takes 90 ms for a picture"
    assert judge_network(settings, NetworkFacts(look_ms=90.0)).verdict == "good"
    assert judge_network(settings, NetworkFacts(look_ms=900.0)).verdict == "warning"


def test_what_is_wrong_is_a_warning_with_its_words(tmp_path, motion):
    (tmp_path / "bad.tflite").write_bytes(b"none")
    for file, words in {"bad.tflite": "cannot be used", "gone.tflite": "No such file"}.items():
        settings = motion(tmp_path / file)
        finding = judge_network(settings, read_network(settings))
        assert finding.verdict == "warning"
        assert words in finding.message
        assert "motion.network" in finding.advice


@pytest.mark.parametrize(("model", "verdict"), [("imx500", "good"), ("imx708", "warning")])
def test_a_network_for_the_sensor_wants_its_camera(tmp_path, motion, monkeypatch, model, verdict):
    monkeypatch.setattr(picamera, "attached", lambda: [model])
    (tmp_path / "n.rpk").touch()
    settings = motion(tmp_path / "n.rpk")
    finding = judge_network(settings, read_network(settings))
    assert finding.verdict == verdict
    assert "AI Camera" in finding.message
