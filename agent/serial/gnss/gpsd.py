"""What gpsd says, as JSON lines (gpsd_json(5)): no more of it than where we are. Sans-IO."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from agent.serial.gnss.fix import STALE_S, Fix, corrected
from agent.serial.gnss.nmea import Place

HOST, PORT = "127.0.0.1", 2947
WATCH = b'?WATCH={"enable":true,"json":true};\n'
"""Also asks again what it reads, and has it open what it had to let go (`awaken` in its gpsd.c)."""
SILENT_S = 30.0
"""A receiver speaks each second, also without a fix."""
MAX_LINE_BYTES = 16 * 1024
"""gpsd's own bound of one answer is 10240 (GPS_JSON_RESPONSE_MAX)."""
MAX_DEVICES = 16
_NOT_MEASURED = (5, 8)
"""`status` of a TPV: dead reckoning alone, and simulated."""

Json = Mapping[str, Any]


class Gpsd:
    """One connection's lines, and the fix that comes of them."""

    def __init__(self, floor_unix_s: float, is_ours: Callable[[str], bool] = lambda _: True) -> None:
        """`floor_unix_s`: no right date is before it. `is_ours`: gpsd tells of every port it reads."""
        self._floor_unix_s, self._is_ours = floor_unix_s, is_ours
        self.is_gpsd = False
        """It has said so: any program may listen on a port."""
        self.lists = 0
        """How often it has said which ports it reads."""
        self.devices: tuple[str, ...] = ()
        """Those of them that are ours."""
        self.heard_s = -math.inf
        """When it last told of our receiver, on `take`'s clock."""
        self._satellites = 0
        self._fix: Fix | None = None
        self._fixed_s = -math.inf

    def take(self, line: bytes, now_s: float) -> None:
        """One line; what is no JSON object, or about something else, is passed over. `now_s` is monotonic."""
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return
        if (
            isinstance(said, dict)
            and isinstance(device := said.get("device"), str)
            and not self._is_ours(device)
        ):
            return
        match said:
            case {"class": "VERSION"}:
                self.is_gpsd = True
            case {"class": "DEVICES", "devices": list(devices)}:
                self.devices = tuple(filter(self._is_ours, _paths(devices)))
                self.lists += 1
            case {"class": "SKY"}:
                self.heard_s, used = now_s, said.get("uSat")
                if isinstance(used, int) and not isinstance(used, bool) and 0 <= used < 100:
                    self._satellites = used
            case {"class": "TPV"}:
                self.heard_s = now_s
                self._fix, self._fixed_s = self._fix_of(said), now_s

    def begin(self, now_s: float) -> None:
        """From now on silence counts."""
        self.heard_s = now_s

    def is_silent(self, now_s: float) -> bool:
        """It hears nothing of ours, as where it holds on to a port that has hung up."""
        return now_s - self.heard_s > SILENT_S

    def fix(self, now_s: float) -> Fix | None:
        """Where it is; None where it does not know, or has been silent for STALE_S."""
        return self._fix if now_s - self._fixed_s <= STALE_S else None

    def _fix_of(self, said: Json) -> Fix | None:
        mode, latitude, longitude = said.get("mode"), _degrees(said, "lat", 90), _degrees(said, "lon", 180)
        if mode not in (2, 3) or said.get("status") in _NOT_MEASURED or latitude is None or longitude is None:
            return None
        time_unix_s, rollovers = corrected(_time(said.get("time")), self._floor_unix_s)
        return Fix(Place(latitude, longitude), int(mode), self._satellites, time_unix_s, rollovers)


def _paths(devices: list[Any]) -> list[str]:
    paths = [device.get("path") for device in devices[:MAX_DEVICES] if isinstance(device, dict)]
    return [path for path in paths if isinstance(path, str)]


def _degrees(said: Json, key: str, most: int) -> float | None:
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
        return None
    return float(value)


def _time(value: object) -> float | None:
    """ISO 8601, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
