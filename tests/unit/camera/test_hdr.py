"""The sensor's own high dynamic range: found by the sensor's place in the device tree."""

import pytest

from agent.camera import hdr, videodev
from agent.camera.hdr import set_sensor_hdr

ID = "/base/soc/i2c0mux/i2c@1/imx708@1a"


@pytest.fixture
def board(tmp_path, monkeypatch):
    """Two sensors; the controls of each by its node's name."""
    held = {"v4l-subdev0": 0, "v4l-subdev1": 0}
    (tmp_path / "dev").mkdir()
    for name, place in (("v4l-subdev0", "/base/soc/i2c0mux/i2c@0/imx708@1a"), ("v4l-subdev1", ID)):
        tree = tmp_path / "tree" / place[1:]
        tree.mkdir(parents=True)
        (tmp_path / "sys" / name / "device").mkdir(parents=True)
        (tmp_path / "sys" / name / "device" / "of_node").symlink_to(tree)
        (tmp_path / "dev" / name).touch()
    name_of = lambda node: node.name.rpartition("/")[2]  # noqa: E731
    monkeypatch.setattr(videodev, "get_control", lambda node, _: held[name_of(node)])
    monkeypatch.setattr(videodev, "set_control", lambda node, _, value: held.update({name_of(node): value}))
    return held, lambda wanted: set_sensor_hdr(
        ID, wanted=wanted, sysfs=tmp_path / "sys", devices=tmp_path / "dev"
    )


def test_only_this_cameras_sensor_is_told_and_only_what_is_new(board):
    held, tell = board
    assert tell(False) is False
    assert tell(True) is True
    assert held == {"v4l-subdev0": 0, "v4l-subdev1": 1}
    assert tell(True) is False


def test_a_sensor_without_it_is_known(board, tmp_path):
    held, tell = board
    held["v4l-subdev1"] = None
    assert tell(True) is None
    assert set_sensor_hdr(ID, wanted=True, sysfs=tmp_path / "none") is None
    assert hdr.SYSFS.name == "video4linux"
