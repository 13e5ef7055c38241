"""Heads that turn: bytes in, bytes out, and a position that integrates the velocity. Time is an argument.

What they do is as the manuals of the protocols say: Pelco-D (frames with a wrong sum are ignored, nothing is
acknowledged, a preset's way is ended by a stop), VISCA (two sockets, `buffer full` where both are busy, a
drive is done at once and an absolute move takes time, cancel frees a socket).
"""

import math
from random import Random

PELCO_D, PELCO_P, VISCA = "pelco-d", "pelco-p", "visca"
MAX_DEG_S = 60.0
GONE_S = 8.0
"""How long an ordered move takes, wherever it goes."""


class PtzHead:
    """What all have: velocities in shares of the highest, a position, and a log of stops."""

    def __init__(self, *, loss=0.0, random=None, travels=False, lag_s=0.0, deg_s=MAX_DEG_S):
        """`loss` is the share of frames that do not arrive.

        One that `travels` takes its time to a place that was ordered; else it is there at once. `lag_s` is
        the time constant with which its speed follows what it was told: it has a mass.
        """
        self.velocity = (0.0, 0.0, 0.0)
        self.position = [0.0, 0.0, 0.0]
        self.is_on = True
        self.motions = 0
        """How often it began to move."""
        self.frames = []
        """Every frame that arrived whole, with its time."""
        self.lost = []
        """And when others were lost."""
        self._travels, self._goals = travels, {}
        self._deg_s = deg_s
        self._lag_s, self._speed = lag_s, [0.0, 0.0, 0.0]
        self._loss, self._random = loss, random or Random(0)
        self._at_s = 0.0
        self._kept = b""

    @property
    def is_moving(self):
        return any(self.velocity) or bool(self._goals)

    def pass_to(self, now_s):
        """Let time pass."""
        passed_s, self._at_s = max(0.0, now_s - self._at_s), max(self._at_s, now_s)
        rest = math.exp(-passed_s / self._lag_s) if self._lag_s else 0.0
        for axis, share in enumerate(self.velocity):
            behind = self._speed[axis] - share
            self.position[axis] += (share * passed_s + behind * self._lag_s * (1 - rest)) * self._deg_s
            self._speed[axis] = share + behind * rest
        for axis, goal in list(self._goals.items()):
            beyond, most = goal - self.position[axis], self._deg_s * passed_s
            self.position[axis] += max(-most, min(most, beyond))
            if self.position[axis] == goal:
                del self._goals[axis]

    def due(self, _now_s):
        """What it says by itself by now."""
        return b""

    def _go(self, **axes):
        """To a place that was ordered: `pan`, `tilt`, `zoom` in degrees."""
        for name, goal in axes.items():
            axis = ("pan", "tilt", "zoom").index(name)
            if self._travels:
                self._goals[axis] = goal
            else:
                self.position[axis] = goal

    def _go_to(self, place):
        self._go(**dict(zip(("pan", "tilt", "zoom"), place, strict=True)))

    def feed(self, data, now_s):
        """Bytes from the wire; what it answers at once."""
        self.pass_to(now_s)
        if not self.is_on:
            return b""
        self._kept += data
        answers = b""
        while (frame := self._next_frame()) is not None:
            if self._random.random() < self._loss:
                self.lost.append(now_s)
                continue
            self.frames.append((now_s, frame))
            was_moving = self.is_moving
            answers += self._do(frame, now_s)
            self.motions += self.is_moving and not was_moving
        return answers


class PelcoHead(PtzHead):
    """Pelco-D or Pelco-P; with `answers` it tells its position (Pelco-D)."""

    def __init__(self, protocol=PELCO_D, *, address=1, answers=False, echo=False, **how):
        super().__init__(**how)
        self._is_d, self._address = protocol == PELCO_D, address
        self._answers, self._echo = answers, echo
        self.presets = {}

    def _next_frame(self):
        start, length = (0xFF, 7) if self._is_d else (0xA0, 8)
        at = self._kept.find(bytes((start,)))
        if at < 0 or len(self._kept) < at + length:
            self._kept = self._kept[at:] if at >= 0 else b""
            return None
        frame, self._kept = self._kept[at : at + length], self._kept[at + length :]
        return frame

    def _do(self, frame, _now_s):
        echoed = frame if self._echo else b""
        if self._is_d:
            address, body, is_right = frame[1], frame[2:6], sum(frame[1:6]) % 256 == frame[6]
        else:
            check = 0
            for byte in frame[:7]:
                check ^= byte
            address, body, is_right = frame[1] + 1, frame[2:6], check == frame[7]
        if not is_right or address != self._address:
            return echoed
        bits, pan, tilt = body[1], body[2] / 0x3F, body[3] / 0x3F
        match bits:
            case 0x03:
                self.presets[body[3]] = tuple(self.position)
            case 0x05:
                self.presets.pop(body[3], None)
            case 0x07:
                self.velocity = (0.0, 0.0, 0.0)
                self._go_to(self.presets.get(body[3], self.position))
            case 0x51 | 0x53:
                return echoed + self._tell(bits)
            case 0x4B | 0x4D:
                angle = (body[2] << 8 | body[3]) / 100
                angle = angle - 360 if angle > 180 else angle
                self._go(**({"pan": angle} if bits == 0x4B else {"tilt": -angle}))
            case _:
                self._goals.clear()
                self.velocity = (
                    pan * (bool(bits & 2) - bool(bits & 4)),
                    tilt * (bool(bits & 8) - bool(bits & 16)),
                    1.0 * (bool(bits & 0x20) - bool(bits & 0x40)),
                )
        return echoed

    def _tell(self, asked):
        if not self._answers:
            return b""
        angle = self.position[0] if asked == 0x51 else -self.position[1]
        value = round(angle * 100) % 36000
        body = bytes((self._address, 0, asked + 8, value >> 8, value & 0xFF))
        return bytes((0xFF, *body, sum(body) % 256))


class ViscaCamera(PtzHead):
    """VISCA, as a PTZOptics or a Sony answers it."""

    units_per_deg = 14.4

    def __init__(self, *, address=1, numbered=True, **how):
        """Not `numbered`: it takes no command before the address was set."""
        super().__init__(**how)
        self._address, self._is_numbered = address, numbered
        self.sockets = {}
        """Busy ones, and until when."""
        self.presets = {}
        self.refused = 0

    def pass_to(self, now_s):
        super().pass_to(now_s)
        self.position[2] = max(0.0, min(60.0, self.position[2]))

    def due(self, now_s):
        """Completions."""
        done = [socket for socket, ends_s in self.sockets.items() if now_s >= ends_s]
        for socket in done:
            del self.sockets[socket]
        return b"".join(bytes((0x90, 0x50 | socket, 0xFF)) for socket in done)

    def _next_frame(self):
        frame, end, rest = self._kept.partition(b"\xff")
        if not end:
            return None
        self._kept = rest
        return frame + end

    def _do(self, frame, now_s):
        if frame[0] == 0x88:
            return self._set_up(frame)
        if frame[0] != 0x80 | self._address or not self._is_numbered:
            return b""
        body = frame[1:-1]
        if body[0] != 0x01:
            return self._tell(body) if body[0] == 0x09 else self._cancel(body[0] & 0x0F)
        free = [socket for socket in (1, 2) if socket not in self.sockets]
        if not free:
            self.refused += 1
            return bytes.fromhex("906003ff")
        return self._run(body, free[0], now_s)

    def _set_up(self, frame):
        if frame[1] == 0x30:
            self._is_numbered = True
            return bytes.fromhex("883002ff")
        self.sockets.clear()
        return frame

    def _run(self, body, socket, now_s):
        took, done = bytes((0x90, 0x40 | socket, 0xFF)), bytes((0x90, 0x50 | socket, 0xFF))
        match body[:3], len(body):
            case b"\x01\x06\x01", 7:
                self._goals.clear()
                pan = body[3] / 0x18 * ((body[5] == 2) - (body[5] == 1))
                tilt = body[4] / 0x14 * ((body[6] == 1) - (body[6] == 2))
                self.velocity = (pan, tilt, self.velocity[2])
            case b"\x01\x04\x07", 4:
                self._goals.pop(2, None)
                way, speed = body[3] & 0xF0, (1 + (body[3] & 0x0F)) / 8
                self.velocity = (*self.velocity[:2], speed * ((way == 0x20) - (way == 0x30)))
            case b"\x01\x06\x02", 13:
                pan, tilt = (value / self.units_per_deg for value in _units(body[5:]))
                self._go(pan=pan, tilt=tilt)
                return self._hold(socket, now_s)
            case b"\x01\x04\x47", 7:
                self._go(zoom=_units(body[3:])[0] / 0x4000 * 60)
                return self._hold(socket, now_s)
            case b"\x01\x06\x04", 3:
                self._go(pan=0.0, tilt=0.0)
                return self._hold(socket, now_s)
            case b"\x01\x04\x3f", 5 if body[3] == 2:
                self._go_to(self.presets.get(body[4], self.position))
                return self._hold(socket, now_s)
            case b"\x01\x04\x3f", 5:
                self.presets[body[4]] = tuple(self.position)
            case _:
                return bytes.fromhex("906002ff")
        return took + done

    def _hold(self, socket, now_s):
        self.velocity = (0.0, 0.0, 0.0)
        way_s = (
            max((abs(goal - self.position[axis]) for axis, goal in self._goals.items()), default=0)
            / MAX_DEG_S
        )
        self.sockets[socket] = now_s + (way_s if self._travels else GONE_S)
        return bytes((0x90, 0x40 | socket, 0xFF))

    def _cancel(self, socket):
        if self.sockets.pop(socket, None) is None:
            return bytes((0x90, 0x60 | socket, 0x05, 0xFF))
        self._goals.clear()
        return bytes((0x90, 0x60 | socket, 0x04, 0xFF))

    def _tell(self, body):
        if body == b"\x09\x06\x12":
            units = [round(angle * self.units_per_deg) for angle in self.position[:2]]
        elif body == b"\x09\x04\x47":
            units = [round(self.position[2] / 60 * 0x4000)]
        else:
            return bytes.fromhex("906002ff")
        told = b"".join(bytes(value >> shift & 15 for shift in (12, 8, 4, 0)) for value in units)
        return b"\x90\x50" + told + b"\xff"


def _units(nibbles):
    values = [
        nibbles[at] << 12 | nibbles[at + 1] << 8 | nibbles[at + 2] << 4 | nibbles[at + 3]
        for at in range(0, len(nibbles), 4)
    ]
    return [value - 0x10000 if value & 0x8000 else value for value in values]
