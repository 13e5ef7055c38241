from pathlib import Path

from agent.camera.board import read_model


def test_the_model_is_read_without_its_nul(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert read_model(tmp_path / "model") == "Raspberry Pi 5 Model B Rev 1.0"


def test_a_machine_that_is_no_pi_has_no_model(tmp_path: Path) -> None:
    assert read_model(tmp_path / "none") == ""
