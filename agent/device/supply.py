"""The board's supply, as its firmware judges it."""

from pathlib import Path

HWMON = Path("/sys/class/hwmon")


def is_voltage_low(folder: Path = HWMON) -> bool:
    """Whether a Pi's supply fell below 4.63 V within the last two seconds; False where nobody measures.

    The kernel's `rpi_volt` asks the firmware every two seconds, and clears its flag: `vcgencmd get_throttled`
    beside it says less.
    """
    for sensor in folder.glob("hwmon*"):
        try:
            if (sensor / "name").read_text().strip() == "rpi_volt":
                return (sensor / "in0_lcrit_alarm").read_text().strip() == "1"
        except OSError:
            continue
    return False
