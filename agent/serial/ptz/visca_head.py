"""A head that speaks VISCA: sockets, acknowledgements, and inquiries that tell where it points. Pure."""

from collections import deque

from agent.serial.ptz import visca
from agent.serial.ptz.motion import (
    STILL,
    Axis,
    ForgetPreset,
    GoHome,
    GoPreset,
    GoTo,
    KeepPreset,
    Order,
    Position,
    Velocity,
    ZoomTo,
)

ACK_S = 0.15
"""A camera acknowledges within a picture's time, 40 ms; a network takes some more."""
LATE_S = 1.0
"""Acknowledgements name no command. One that comes later than this is of none that is still known."""
DONE_S = 20.0
"""The longest way from one end to the other; what is not done by then counts as done."""
TRIES = 3
"""Of an order that is not acknowledged. Of a motion there is one: a newer one follows, or a stop."""
SILENT_AFTER = 6
"""So many in a row without an answer: it is switched off, or the wires are."""
MAX_WAITING = 8
_COMMAND, _INQUIRY = 0x01, 0x09


class ViscaHead:
    """A `Driver`."""

    confirms = True
    asks_while_moving = True

    def __init__(self, address: int, units_per_deg: float) -> None:
        self._address, self._units = address, units_per_deg
        self._pan_tilt_stop, self._zoom_stop = visca.drive(address, STILL), visca.zoom(address, STILL)
        self.begin()

    def begin(self) -> None:
        """Also after it was lost: another head may be there."""
        self._decoder = visca.Decoder()
        self.position: Position | None = None
        self.told: set[Axis] = set()
        self.zoom_share: float | None = None
        self._unanswered: deque[tuple[bytes, float]] = deque(maxlen=MAX_WAITING)
        """Commands without an acknowledgement, in their order, and when they went out. What is overdue stays:
        its late acknowledgement must not count for the stop that followed it."""
        self._overdue = 0
        """The first so many of them were missed already."""
        self._busy: dict[int, float] = {}
        """Sockets that run something, and since when."""
        self._asked: tuple[bytes, float] | None = None
        self._asks_zoom = False
        self._missed = 0
        self._order: tuple[bytes, int] | None = None
        """What was ordered last, and how often it went out; until it is taken or given up."""
        self._is_due_again = False
        self.has_taken = False
        self._to_stop = {self._pan_tilt_stop, self._zoom_stop}
        self.is_full = False
        self._last: dict[bool, bytes] = {}
        self.answers = 0

    @property
    def is_silent(self) -> bool:
        """Nothing came back for the last few of what went out."""
        return self._missed >= SILENT_AFTER

    @property
    def is_stopped(self) -> bool:
        """Both stops were acknowledged."""
        return not self._to_stop

    @property
    def is_free(self) -> bool:
        """One thing that takes time at a time: the second socket is for what stops it."""
        return self._order is None and not self._busy and len(self._unanswered) <= self._overdue

    def opening(self) -> tuple[bytes, ...]:
        """The stop before this reaches a camera that has its address, the stops after it every other."""
        return visca.ADDRESS_SET, visca.IF_CLEAR

    def begin_stop(self) -> None:
        """What was ordered is not tried again."""
        self._to_stop = {self._pan_tilt_stop, self._zoom_stop}
        self._order = None
        self._last.clear()

    def stop(self) -> tuple[bytes, ...]:
        """Both, and what sockets hold is cancelled: it takes time, or keeps the stops out."""
        stops = self._pan_tilt_stop, self._zoom_stop
        if self.is_full:
            self.is_full = False
            return visca.cancel(self._address, 1), visca.cancel(self._address, 2), *stops
        return *stops, *(visca.cancel(self._address, socket) for socket in sorted(self._busy))

    def drive(self, velocity: Velocity, again: bool) -> tuple[bytes, ...]:
        """Pan and tilt are one frame, zoom another."""
        frames = visca.drive(self._address, velocity), visca.zoom(self._address, velocity)
        wanted = tuple(frame for frame in frames if again or self._last.get(frame == frames[1]) != frame)
        self._last = {False: frames[0], True: frames[1]}
        return wanted

    def order(self, order: Order) -> tuple[bytes, ...]:
        """One frame each."""
        frame = self._encode(order)
        self._order, self._is_due_again = (frame, 0) if frame else None, False
        self.has_taken = False
        return (frame,) if frame else ()

    def retry(self) -> tuple[bytes, ...]:
        """All orders may be said twice: none of them is relative."""
        if self._order is None or not self._is_due_again:
            return ()
        self._is_due_again = False
        return (self._order[0],)

    def ask(self) -> tuple[bytes, float] | None:
        """Position and zoom in turn, one at a time."""
        if self._asked:
            return None
        frame = visca.ask_zoom(self._address) if self._asks_zoom else visca.ask_position(self._address)
        self._asks_zoom = not self._asks_zoom
        return frame, 0.0

    def sent(self, frame: bytes, now_s: float) -> None:
        """Commands are acknowledged, inquiries answered; cancels and broadcasts are neither here."""
        if frame[0] == 0x88:
            return
        if frame[1] == _INQUIRY:
            self._asked = frame, now_s
        elif frame[1] == _COMMAND:
            if len(self._unanswered) == MAX_WAITING:
                self._pop()
            self._unanswered.append((frame, now_s))
            if self._order and self._order[0] == frame:
                self._order = frame, self._order[1] + 1

    def feed(self, data: bytes, now_s: float) -> bool:
        """Whatever is an answer shows that the head is there."""
        is_renumbered = False
        self.told.clear()
        for reply in self._decoder.feed(data):
            self.answers += 1
            self._missed = 0
            match reply:
                case visca.Ack(socket):
                    self._take()
                    self._busy[socket] = now_s
                case visca.Done(socket):
                    # Some acknowledge nothing, and say at once that it is done.
                    if self._busy.pop(socket, None) is None:
                        self._take()
                case visca.Refused(socket, fault):
                    self._refuse(socket, fault)
                case visca.Answer(told):
                    self._learn(told)
                case visca.Renumber():
                    is_renumbered = True
        return is_renumbered

    def wait(self, now_s: float) -> None:
        """Count what is overdue; an order is then due again."""
        waiting = list(self._unanswered)
        for frame, sent_s in waiting[self._overdue :]:
            if now_s - sent_s < ACK_S:
                break
            self._overdue += 1
            self._missed += 1
            self._try_again(frame)
        while self._unanswered and now_s - self._unanswered[0][1] >= LATE_S:
            self._pop()
        if self._asked and now_s - self._asked[1] >= ACK_S:
            self._asked = None
            self._missed += 1
        for socket in [socket for socket, since_s in self._busy.items() if now_s - since_s >= DONE_S]:
            del self._busy[socket]
            self.has_taken = False  # it counts as done, and nobody has said so

    def _take(self) -> None:
        """The oldest that waits was taken."""
        if not self._unanswered:
            return
        frame = self._pop()
        self._to_stop.discard(frame)
        if self._order and self._order[0] == frame:
            self._order, self.has_taken = None, True

    def _pop(self) -> bytes:
        self._overdue = max(0, self._overdue - 1)
        return self._unanswered.popleft()[0]

    def _try_again(self, frame: bytes) -> None:
        if self._order and self._order[0] == frame:
            self._is_due_again = self._order[1] < TRIES
            if not self._is_due_again:
                self._order = None

    def _refuse(self, socket: int, fault: visca.Fault) -> None:
        if fault in ("cancelled", "no-socket"):
            self.has_taken = False
            self._busy.pop(socket, None)
        elif self._unanswered:
            frame = self._pop()
            self.is_full = fault == "full"
            if self.is_full:
                self._try_again(frame)
            if fault in ("syntax", "not-now"):
                # It will not be otherwise the next time: a head without zoom refuses to stop it.
                self._to_stop.discard(frame)
                self._order = None

    def _learn(self, told: bytes) -> None:
        values, asked = visca.parse_units(told), self._asked
        self._asked = None
        if asked is None:
            return
        if asked[0] == visca.ask_position(self._address) and len(values) == 2:
            self.position = Position(values[0] / self._units, values[1] / self._units)
            self.told |= {"pan", "tilt"}
        elif asked[0] == visca.ask_zoom(self._address) and len(values) == 1:
            self.zoom_share = max(0.0, min(1.0, values[0] / visca.ZOOM_TELE))
            self.told.add("zoom")

    def _encode(self, order: Order) -> bytes:
        address, frame = self._address, b""
        match order:
            case GoPreset(number) | KeepPreset(number) | ForgetPreset(number) if number > visca.MAX_PRESET:
                pass  # kept while its head spoke another protocol
            case GoPreset(number):
                frame = visca.preset(address, 2, number)
            case KeepPreset(number):
                frame = visca.preset(address, 1, number)
            case ForgetPreset(number):
                frame = visca.preset(address, 0, number)
            case GoHome():
                frame = visca.home(address)
            case GoTo(position):
                pan, tilt = round(position.pan_deg * self._units), round(position.tilt_deg * self._units)
                frame = visca.turn_to(address, pan, tilt)
            case ZoomTo(share):
                frame = visca.zoom_to(address, share)
        return frame
