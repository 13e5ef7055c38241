"""gpsd's JSON lines: any program may listen on its port."""

from fuzz.target import Target, join, steps

from agent.serial.gnss.gpsd import MAX_DEVICES, Gpsd

FLOOR_UNIX_S = 1_793_491_200.0


def check(data: bytes) -> None:
    """A place on Earth or none, and a bounded list of ports."""
    gpsd = Gpsd(FLOOR_UNIX_S)
    for second, line in enumerate(steps(data)):
        gpsd.take(line, float(second))
        fix = gpsd.fix(float(second))
        if fix is not None:
            assert abs(fix.place.latitude_deg) <= 90
            assert abs(fix.place.longitude_deg) <= 180
            assert fix.dimensions in (2, 3)
            assert 0 <= fix.satellites < 100
            assert fix.time_unix_s is None or fix.time_unix_s >= FLOOR_UNIX_S
        assert len(gpsd.devices) <= MAX_DEVICES
        assert all(isinstance(path, str) for path in gpsd.devices)


def seeds() -> list[bytes]:
    """A connection's lines."""
    return [
        join(
            b'{"class":"VERSION","release":"3.25","proto_major":3,"proto_minor":15}',
            b'{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyUSB1"}]}',
            b'{"class":"SKY","uSat":9}',
            b'{"class":"TPV","mode":3,"status":1,"time":"2026-11-29T06:00:00Z","lat":47.4,"lon":8.5}',
        )
    ]


TARGET = Target("gpsd", "What gpsd says.", check, seeds)
