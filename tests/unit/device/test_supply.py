"""The supply's voltage, as the kernel tells it."""

import pytest

from agent.device.supply import is_voltage_low


def sensor(folder, number, name, alarm=None):
    place = folder / f"hwmon{number}"
    place.mkdir()
    (place / "name").write_text(f"{name}\n")
    if alarm is not None:
        (place / "in0_lcrit_alarm").write_text(f"{alarm}\n")


@pytest.mark.parametrize(("alarm", "low"), [("0", False), ("1", True), (None, False)])
def test_the_pis_own_sensor_is_asked(tmp_path, alarm, low):
    sensor(tmp_path, 0, "cpu_thermal")
    sensor(tmp_path, 1, "rpi_volt", alarm)
    assert is_voltage_low(tmp_path) is low


def test_another_sensors_alarm_is_not_the_supplys(tmp_path):
    sensor(tmp_path, 0, "nct6775", "1")
    assert not is_voltage_low(tmp_path)
    assert not is_voltage_low(tmp_path / "none")
