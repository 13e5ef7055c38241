"""One head: which frame goes out next, and that it stands still unless somebody wants it to move. Pure.

The time is an argument, in seconds of any steady clock. Velocities are coalesced; a stop overtakes all.
Whoever moves it has to say so again and again: 400 ms after the last word it stops, whatever happened to the
viewer, the link, or whoever sits between. A stop is sent three times at least, and for as long as a head that
answers has not taken it; it is the first frame of each open port too.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.serial.ptz.approach import Approach
from agent.serial.ptz.asking import COASTS_S, RESTING_S, Asking
from agent.serial.ptz.bus import Bus
from agent.serial.ptz.driver import Driver
from agent.serial.ptz.motion import STILL, ForgetPreset, KeepPreset, Limits, Order, Position, Pulse, Velocity
from agent.serial.ptz.place import Place
from agent.serial.ptz.stopping import STOPS, Stopping

DEAD_MAN_S = 0.4
"""Four words of a viewer's, at 10 Hz."""
MAX_DRIVE_S = 30.0
"""The longest motion without a pause: a stuck key, or a cat on the keyboard."""
STOP_AGAIN_S = 0.5
"""A viewer says stop three times: the head is not told nine times."""
DRIVE_GAP_S = 1 / 9
"""Between two frames that move it; with six stops the bus then carries 15 frames in a second at most."""
REFRESH_S = 0.3
"""All axes are said again: a frame may have been lost."""
ORDER_S = 20.0
"""A preset is reached by then."""
SETTLES_S = 1.0
"""A head that has told nothing yet is asked so long after a stop."""
WAIT_S, LEAST_S = 0.05, 0.005
"""How often it is seen whether an answer is overdue; and how soon it is worth to look again at all."""
MAX_ORDERS = 8


@dataclass(slots=True)
class _Drive:
    """A motion that is under way."""

    wanted: Velocity
    since_s: float
    ends_s: float
    is_pulse: bool = False
    is_dirty: bool = True
    held: Velocity = STILL
    """What was said last: less than what is wanted, where a limit is near."""
    said_s: float = 0.0
    """When all axes were said last."""


class Head:
    """Everything that goes to one head goes through here."""

    def __init__(self, driver: Driver, bus: Bus, limits: Limits, on_change: Callable[[], None]) -> None:
        """`on_change` is called when it begins to move or comes to rest, or its port comes or goes."""
        self.driver = driver
        self.limits, self._approach = limits, Approach(limits)
        self._bus, self._on_change = bus, on_change
        self.is_open = False
        self.is_shut = False
        self._burst: deque[bytes] = deque()
        """Frames of a stop, which nothing may come between."""
        self._queue: deque[bytes] = deque()
        """Frames of an order or a motion that has begun."""
        self._openings: deque[bytes] = deque()
        """Frames that set the head up; they go between the first stops, which may not be heard without."""
        self._orders: deque[Order] = deque(maxlen=MAX_ORDERS)
        self._drive: _Drive | None = None
        self._stopping: Stopping | None = None
        self._asking = Asking()
        self._free_s = self._drive_s = self._answer_s = 0.0
        self._ordered_s = -ORDER_S
        self._stopped_s = -STOP_AGAIN_S
        self._heard_s = 0.0
        """When a viewer last wanted a motion."""
        self._is_capped = False
        self.at = Place()

    @property
    def is_driven(self) -> bool:
        """Somebody's word moves it, or pulses that were wished for; without, it would stand."""
        return self._drive is not None or any(isinstance(order, Pulse) for order in self._orders)

    def is_moving(self, now_s: float) -> bool:
        """By somebody's word, or on its way to a preset or a position."""
        return self._drive is not None or bool(self._orders) or self._is_ordered(now_s)

    def place(self, now_s: float) -> int | None:
        """The preset at which it stands, if it heard; None on any way, and where nobody knows."""
        return None if self.is_moving(now_s) else self.at.preset

    def proven_place(self, now_s: float) -> int | None:
        """The preset at which it stands by its own word; never of a head that tells nothing."""
        return None if self.is_moving(now_s) else self.at.proven(now_s)

    def opened(self, now_s: float) -> bytes:
        """The port was opened: the frame that goes out before all else, which stops."""
        self.is_open = True
        self._forget()
        self.driver.begin()
        self._stop(now_s)
        frame = self.next_frame(now_s)
        self._openings.extend(self.driver.opening())
        assert frame is not None
        self._on_change()
        return frame

    def lost(self) -> None:
        """The port is away; what was under way counts no more."""
        self.is_open = False
        self._forget()
        self._on_change()

    def feed(self, data: bytes, now_s: float) -> None:
        """What was read."""
        was_free, was_silent, position = self.driver.is_free, self.driver.is_silent, self.driver.position
        answers, proven = self.driver.answers, self.proven_place(now_s)
        if self.driver.feed(data, now_s) or (was_silent and not self.driver.is_silent):
            self._openings.clear()
            self._openings.extend(self.driver.opening())
            self.at.leave()  # it was switched off, or another one is there
            self._stop(now_s)
        if self.driver.answers != answers:
            self.at.hear(now_s)
            self._answer_s = min(self._answer_s, now_s + self._bus.gap_s)
            if self.driver.position is None:
                self._asking.hurry(now_s)
            else:
                self._approach.tell(self.driver.position, self.driver.told, now_s)
                self._note_arrival(position or self.driver.position, now_s)
        if self.driver.is_full and self._stopping:
            self._stopping.due_s = now_s
        if not was_free and self.driver.is_free and not self._drive:
            self._end_order(now_s)
        if self.driver.answers != answers:
            self._note_place(now_s)
        if self._drive and self.driver.position != position:
            self._drive.is_dirty = True  # a limit may be reached
        if self.proven_place(now_s) != proven:
            self._on_change()

    def drive(self, velocity: Velocity, now_s: float) -> None:
        """A fresh word of who holds it: move so, for 400 ms at most."""
        if velocity.is_still:
            self.stop(now_s)
            return
        if not self.is_open or self.is_shut:
            return
        if self._is_capped and now_s < self._heard_s + DEAD_MAN_S:
            self._heard_s = now_s
            return
        self._heard_s, self._is_capped = now_s, False
        drive = self._drive
        if drive is None or drive.is_pulse:
            if self.is_moving(now_s):
                self._stop(now_s)
            drive = _Drive(velocity, now_s, now_s)
            self._begin_drive(drive)
            self._on_change()
        drive.is_dirty |= drive.wanted != velocity or not self.driver.confirms
        drive.wanted, drive.ends_s = velocity, now_s + DEAD_MAN_S

    def order(self, *orders: Order, now_s: float) -> None:
        """Do these, one after the other, instead of whatever is under way."""
        if not self.is_open or self.is_shut:
            return
        if self.is_moving(now_s):
            self._stop(now_s)
        if not all(isinstance(order, KeepPreset | ForgetPreset) for order in orders):
            self.at.leave()
        self._orders.clear()
        self._orders.extend(orders)
        self._on_change()

    def stop(self, now_s: float) -> None:
        """Stand still, before all else."""
        self._is_capped = False
        is_at_rest = not self.is_moving(now_s)
        if self.is_open and not (is_at_rest and now_s < self._stopped_s + STOP_AGAIN_S):
            self._stop(now_s)

    def shut(self, now_s: float) -> None:
        """Stand still for good: nothing else goes out any more."""
        self.is_shut = True
        if self.is_open:
            self._stop(now_s)

    @property
    def is_told_to_stop(self) -> bool:
        """The stops that there have to be went out, or nothing can."""
        if not self.is_open or self._stopping is None:
            return True
        return self._stopping.count >= STOPS and not self._burst

    def next_frame(self, now_s: float) -> bytes | None:
        """What goes out now; None where nothing may, or nothing has to."""
        if not self.is_open:
            return None
        self.driver.wait(now_s)
        self._confirm_place()
        self._end_drive(now_s)
        if now_s < self._free_s:
            return None
        frame = self._next_stop(now_s)
        if frame is None and self._openings and not self.is_shut:
            frame = self._openings.popleft()
        if frame is None and now_s >= self._answer_s and not self.is_shut and not self._is_stopping_first:
            frame = self._next_other(now_s)
        if frame is not None:
            self._free_s = now_s + self._bus.taken_s(frame)
            self.driver.sent(frame, now_s)
        return frame

    def wake_s(self, now_s: float) -> float:
        """When to ask `next_frame` again, if nothing happens before."""
        if not self.is_open:
            return now_s + RESTING_S
        times = [self._asking.due_s]
        if self._burst or self._openings or self._queue or (self._orders and self.driver.is_free):
            times.append(now_s)
        if not self.driver.is_free:
            times.append(now_s + WAIT_S)
        if self._stopping:
            times.append(self._stopping.due_s)
        if self._drive:
            next_s = now_s if self._drive.is_dirty or self._must_be_held else self._drive.said_s + REFRESH_S
            times += (self._drive.ends_s, max(self._drive_s, next_s))
        return max(min(times), self._free_s, now_s + LEAST_S)

    @property
    def _is_stopping_first(self) -> bool:
        """Whether nothing else may go out yet."""
        stopping = self._stopping
        return stopping is not None and stopping.is_first(self.driver)

    @property
    def _must_be_held(self) -> bool:
        """It is driven, and a limit may be reached: where it points is asked between two frames."""
        is_limited = self.limits.pan_deg is not None or self.limits.tilt_deg is not None
        return self._drive is not None and is_limited and self.driver.position is not None

    @property
    def _is_followed(self) -> bool:
        """It goes somewhere by itself and can tell where it is: nothing else needs the bus meanwhile."""
        return self._drive is None and self.driver.position is not None

    @property
    def _settles_s(self) -> float:
        return SETTLES_S if self.driver.position is None else COASTS_S

    def _forget(self) -> None:
        self.at.leave()
        self._drive = self._stopping = None
        self._burst.clear()
        self._openings.clear()
        self._queue.clear()
        self._orders.clear()
        self._ordered_s = -ORDER_S
        self._free_s = self._answer_s = self._drive_s = 0.0
        self._asking = Asking()
        self._approach.forget()

    def _end_order(self, now_s: float) -> None:
        if not self._orders and self._is_ordered(now_s):
            self._ordered_s = -ORDER_S
            self._asking.rest(now_s)
            self._on_change()

    def _is_ordered(self, now_s: float) -> bool:
        """On its way to a preset or a position."""
        return now_s < self._ordered_s + ORDER_S

    def _note_arrival(self, before: Position, now_s: float) -> None:
        """Of a head that says where it points, and not that it is there."""
        position = self.driver.position
        if self.driver.confirms or position is None or not self._is_ordered(now_s):
            return
        turned_deg = max(abs(position.pan_deg - before.pan_deg), abs(position.tilt_deg - before.tilt_deg))
        if self._asking.has_arrived(turned_deg, now_s - self._ordered_s):
            self._end_order(now_s)

    def _confirm_place(self) -> None:
        if self.at.is_awaited and self.driver.confirms and self.driver.is_free and not self._queue:
            self.at.confirm(is_taken=self.driver.has_taken)

    def _note_place(self, now_s: float) -> None:
        """Of a head that answered: whether it is where it should be, where that is the same for some time."""
        self._confirm_place()
        if self.driver.position and not self.is_moving(now_s) and now_s >= self._stopped_s + COASTS_S:
            self.at.tell(self.driver.position, self.driver.zoom_share, self.driver.told)

    def _stop(self, now_s: float) -> None:
        if self.is_moving(now_s):
            self.at.leave()
        self._drive = None
        self._burst.clear()
        self._queue.clear()
        self._orders.clear()
        self._ordered_s = -ORDER_S
        self._stopping = Stopping(now_s)
        self._stopped_s = now_s
        self._asking.rest(now_s)
        self.driver.begin_stop()
        self._on_change()

    def _begin_drive(self, drive: _Drive) -> None:
        """Where it points is asked from its first moment on, not when it is a resting head's turn."""
        self._drive = drive
        self.at.leave()
        self._asking.begin(drive.since_s)

    def _end_drive(self, now_s: float) -> None:
        """The dead man's switch, the longest motion, and the end of a pulse."""
        drive = self._drive
        if drive is None:
            return
        if not drive.is_pulse and now_s >= drive.since_s + MAX_DRIVE_S:
            self._is_capped = True
        elif now_s < drive.ends_s:
            return
        orders = list(self._orders)
        self._stop(now_s)
        if drive.is_pulse:
            self._orders.extend(orders)

    def _next_stop(self, now_s: float) -> bytes | None:
        if not self._burst and self._stopping and now_s >= self._stopping.due_s:
            self._burst.extend(self.driver.stop())
            self._approach.say(STILL, now_s)
            if not self._stopping.plan(self.driver, now_s):
                self._stopping = None
        return self._burst.popleft() if self._burst else None

    def _next_other(self, now_s: float) -> bytes | None:
        if self._queue or self._next_order(now_s):
            return self._queue.popleft()
        if (drive := self._drive) is not None:
            return self._next_drive(drive, now_s) or self._next_question(now_s)
        return self._next_question(now_s)

    def _next_order(self, now_s: float) -> bool:
        """Whether frames of an order wait in the queue now."""
        again = self.driver.retry()
        if again:
            self._queue.extend(again)
            return True
        if not self._orders or self._drive or not self.driver.is_free:
            return False
        self._stopping = None
        order = self._orders.popleft()
        if isinstance(order, Pulse):
            self._drive_s = now_s
            self._begin_drive(_Drive(order.velocity, now_s, now_s + order.seconds, is_pulse=True))
            return False
        self._confirm_place()
        self.at.begin(order, now_s)
        if not isinstance(order, KeepPreset | ForgetPreset):
            self._ordered_s = now_s
            self._asking.begin(now_s)
        else:
            self._asking.rest(now_s)  # where that is
        self._queue.extend(self.driver.order(order))
        return bool(self._queue)

    def _next_drive(self, drive: _Drive, now_s: float) -> bytes | None:
        is_due_again = now_s >= drive.said_s + REFRESH_S
        if now_s < self._drive_s or not (drive.is_dirty or is_due_again or self._must_be_held):
            return None
        velocity = self._approach.hold(drive.wanted, now_s)
        if not (drive.is_dirty or is_due_again or velocity != drive.held):
            self._drive_s = now_s + DRIVE_GAP_S
            return None
        self._stopping = None
        self._approach.say(velocity, now_s)
        first, *rest = self.driver.drive(velocity, is_due_again) or (None,)
        drive.is_dirty, drive.held = False, velocity
        if is_due_again:
            drive.said_s = now_s
        self._queue.extend(rest)
        self._drive_s = now_s + DRIVE_GAP_S * (1 + len(rest))
        return first

    def _next_question(self, now_s: float) -> bytes | None:
        if now_s < self._asking.due_s:
            return None
        is_moving = self.is_moving(now_s) or now_s < self._stopped_s + self._settles_s
        self._asking.plan(now_s, is_moving=is_moving)
        if is_moving and not (self.driver.asks_while_moving or self._must_be_held or self._is_followed):
            return None
        asked = self.driver.ask()
        if asked is None:
            return None
        frame, answer_s = asked
        self._answer_s = now_s + self._bus.taken_s(frame) + answer_s
        return frame
