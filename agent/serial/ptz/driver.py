"""What the head's core needs of a protocol: frames for what is wanted, and what its answers say."""

from typing import Protocol

from agent.serial.ptz.motion import Axis, Order, Position, Velocity


class Driver(Protocol):
    """One protocol with one head behind it. Nothing here waits, and nothing reads a clock."""

    confirms: bool
    """The head says whether it took a command."""
    asks_while_moving: bool
    """An inquiry costs the bus little enough to ask during each motion; else only limits are worth it."""
    position: Position | None
    """None where the head has not told it."""
    told: set[Axis]
    """Which of its axes the last `feed` told."""
    zoom_share: float | None
    """How far the lens is in, 0 to 1; None where nobody knows."""
    is_full: bool
    """It refused for lack of room, which the next stop makes."""
    has_taken: bool
    """The head said that it took the last order, and not since that it gave it up."""
    answers: int
    """How many there were since the port was opened."""

    @property
    def is_silent(self) -> bool:
        """It should have answered, and has not for some time."""

    @property
    def is_stopped(self) -> bool:
        """The head has taken a stop since the last `begin_stop`; never where it confirms nothing."""

    @property
    def is_free(self) -> bool:
        """Nothing waits for an answer, and the head does nothing that takes time."""

    def begin(self) -> None:
        """The port was opened: all that was known counts no more."""

    def opening(self) -> tuple[bytes, ...]:
        """What is sent after the first stop of an open port."""

    def begin_stop(self) -> None:
        """From now on only what answers a stop shows that the head stands."""

    def stop(self) -> tuple[bytes, ...]:
        """The frames that stop all axes."""

    def drive(self, velocity: Velocity, again: bool, /) -> tuple[bytes, ...]:
        """The frames by which the head moves so; those that changed, and all of them `again`."""

    def order(self, order: Order) -> tuple[bytes, ...]:
        """The frames of one order, none where the protocol has it not. Never of a Pulse."""

    def retry(self) -> tuple[bytes, ...]:
        """What of the last order has to be sent again."""

    def ask(self) -> tuple[bytes, float] | None:
        """The next inquiry, and how long the bus is left alone for its answer."""

    def sent(self, frame: bytes, now_s: float, /) -> None:
        """A frame went out."""

    def feed(self, data: bytes, now_s: float, /) -> bool:
        """Take what was read; whether the head asks to be opened anew."""

    def wait(self, now_s: float, /) -> None:
        """Note what has not been answered in time."""
