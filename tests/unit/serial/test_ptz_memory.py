"""What a card may have made of the file of a head."""

import pytest
from pydantic import TypeAdapter

from agent.device.ledger import Ledger
from agent.serial.ptz.memory import Memory

SOUND = b'{"pan": {"points": [{"seconds": 0.5, "moved": 0.1}, {"seconds": 1.0, "moved": 0.3}]}}'


def loaded(tmp_path, data):
    file = tmp_path / "ptz.json"
    file.write_bytes(data)
    return Ledger(file, TypeAdapter(Memory)).load()


def test_a_sound_calibration_is_read(tmp_path):
    memory = loaded(tmp_path, SOUND)
    assert memory.pan.pulse_s(0.2) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "data",
    [
        SOUND.replace(b"1.0", b"0.5"),
        SOUND.replace(b"1.0", b"NaN"),
        SOUND.replace(b"0.3", b"Infinity"),
        SOUND.replace(b"1.0", b"-1"),
        SOUND.replace(b"]", b', {"seconds": 2, "moved": 1}]'),
    ],
    ids=["equal", "nan", "infinite", "negative", "three"],
)
def test_a_damaged_one_is_put_aside(tmp_path, data):
    assert loaded(tmp_path, data) is None
    assert (tmp_path / "ptz.damaged").read_bytes() == data
