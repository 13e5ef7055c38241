"""Who may move the head, and what they have it do: over the data channel `ptz`, and by commands."""

import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.config import PtzSettings
from agent.model.command import CommandError
from agent.model.sections import PtzPreset, PtzSection
from agent.model.signal import Result
from agent.serial.ptz.aim import magnification
from agent.serial.ptz.head import DEAD_MAN_S, Head
from agent.serial.ptz.holder import LEASE_S, Holder, Person
from agent.serial.ptz.memory import Memory, Store
from agent.serial.ptz.motion import GoHome, GoPreset, Order, shape
from agent.serial.ptz.routine import Routine
from agent.serial.ptz.wish import Wishes, encode_refusal, encode_status

log = logging.getLogger(__name__)

AGAIN_S = (0.2, 1.0)
"""How things stand is told again so long after each change: the channel loses messages."""
REFUSAL_GAP_S = 0.5
MAX_CHANNELS = 64
TELL_GAP_S = 2.0
"""The state is said anew so often at most: holders may change with every command."""

RIGHT_S = 0.5
"""Whether viewers still have the right to move it is looked at so often while it moves, or tours."""

TellAudit = Callable[[str, Result], None]
"""`tell(session, result)` has the portal note what a viewer did."""


@dataclass(slots=True)
class Channel:
    """One viewer's data channel."""

    desk: "Desk"
    person: Person
    may_control: Callable[[], bool]
    send: Callable[[str], None]
    wishes: Wishes = field(default_factory=Wishes)
    refused_s: float = -REFUSAL_GAP_S
    had_right: bool = True
    """When it was looked at last."""
    is_held: bool = False
    """Its stick was out of the middle, by its last word."""
    must_rest: bool = False
    """The head was stopped, or taken over, with the stick held: it counts after it was let go."""
    heard_s: float = -math.inf

    def on_message(self, message: str | bytes) -> None:
        """How the stick stands."""
        self.desk.on_message(self, message)

    def on_closed(self) -> None:
        """The channel is gone, or its session."""
        self.desk.on_closed(self)


class Desk:
    """Everything that persons want of one head goes through here. Time is monotonic."""

    def __init__(
        self,
        settings: PtzSettings,
        head: Head,
        store: Store,
        *,
        clock: Callable[[], float],
        wake: Callable[[], None],
        tell: TellAudit,
        on_change: Callable[[], None],
        on_fault: Callable[[str], None],
        picture_at: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        """`wake` has the head looked after now; `on_change` says the section again.

        `picture_at` is the Unix time of a preset's picture, 0 where it has none.
        """
        self.settings, self.head, self.clock = settings, head, clock
        self._store, self.memory = store, store.load() or Memory()
        self._wake, self._tell = wake, tell
        self._on_change, self._on_fault, self._picture_at = on_change, on_fault, picture_at
        head.at.where = lambda number: self.memory.where(number)  # noqa: PLW0108  # whatever the memory is then
        head.at.on_kept = lambda number, position: self.remember(self.memory.locate(number, position))
        self.holder = Holder()
        self.routine = Routine(settings.idle_return_s, self.home)
        self._channels: list[Channel] = []
        self._began: Person | None = None
        """Who ordered what it does now, also long after: a tour, a way to a preset."""
        self._left: dict[str, float] = {}
        """By user, the last word of a stick that had yet to be let go when its channel closed."""
        self._said: tuple[str | None, bool] = (None, False)
        self._again: list[float] = []
        """When how things stand is told again."""
        self._section = self.section()
        self._section_s = -math.inf
        self._was_silent = False

    @property
    def home(self) -> Order | None:
        """Where it goes to rest: a preset, or the head's own home where its protocol has one."""
        if self.settings.home_preset:
            return GoPreset(self.settings.home_preset)
        return GoHome() if self.settings.protocol.startswith("visca") else None

    @property
    def magnified(self) -> float:
        """By the lens, as far as it is known."""
        share, most = self.head.driver.zoom_share, self.settings.zoom_max
        return 1.0 if share is None or most is None else magnification(share, most)

    def section(self) -> PtzSection:
        """For the state."""
        driver, held = self.head.driver, self.holder.of(self.clock())
        can_position = driver.position is not None
        is_calibrated = all(each.pulse_s(0) for each in (self.memory.pan, self.memory.tilt))
        state = "absent" if not self.head.is_open else "silent" if driver.is_silent else "ready"
        return PtzSection(
            protocol=self.settings.protocol,
            state=state,
            holder=held.user if held else None,
            can_position=can_position,
            can_move=can_position or is_calibrated,
            can_zoom_to=can_position and driver.zoom_share is not None and self.settings.zoom_max is not None,
            zoom_max=self.settings.zoom_max,
            touring=self.routine.is_touring,
            presets=tuple(
                PtzPreset(each.number, each.name, self._picture_at(each.number))
                for each in self.memory.presets
            ),
        )

    # ---- data channels

    def open(
        self, session: str, user: str, may_control: Callable[[], bool], send: Callable[[str], None]
    ) -> Channel | None:
        """A viewer's channel; None where it may have none."""
        if len(self._channels) >= MAX_CHANNELS or not may_control():
            return None
        channel = Channel(self, Person(user, session), may_control, send)
        channel.heard_s = self._stuck_s(user)
        channel.must_rest = channel.heard_s > -math.inf
        self._channels.append(channel)
        self._send_status(channel)
        return channel

    def on_message(self, channel: Channel, message: str | bytes) -> None:
        """A viewer's word."""
        now_s = self.clock()
        if not self._has_right(channel):
            self._refuse(channel, "not-allowed", now_s)
            return
        wish = channel.wishes.take(message, now_s)
        if wish is None:
            return
        speed = shape(wish.stick, self.settings.max_speed, self.magnified)
        was_away = now_s >= channel.heard_s + LEASE_S
        channel.must_rest &= not (speed.is_still or was_away)
        was_held, channel.is_held, channel.heard_s = channel.is_held, not speed.is_still, now_s
        if speed.is_still:  # said three times: the later ones must not end what was ordered meanwhile
            if was_held and self.holder.of(now_s) == channel.person:
                self.head.stop(now_s)
                self._hold(channel.person, now_s)
        elif not self.head.is_open:
            self._refuse(channel, "absent", now_s)
        elif not self.holder.may_take(channel.person, now_s) or self._is_moved_elsewhere(channel, now_s):
            self._refuse(channel, "ptz-busy", now_s)
        elif channel.must_rest:
            self._refuse(channel, "let-go", now_s)
        else:
            self._hold(channel.person, now_s)
            self.head.drive(speed, now_s)
            self.note_move(channel.person, now_s)
        self._wake()

    def on_closed(self, channel: Channel) -> None:
        """Nobody's hand is on the stick any more; a tour goes on."""
        if channel in self._channels:
            self._channels.remove(channel)
            self._keep_stuck(channel, self.clock())
        if self.holder.leave(channel.person.session):
            if self.head.is_driven:
                self.head.stop(self.clock())
            self._wake()

    def _has_right(self, channel: Channel) -> bool:
        """Whether its viewer may move the head now; who no longer may has nothing go on that he began."""
        has_right = channel.may_control()
        if has_right != channel.had_right:
            channel.had_right = has_right
            if has_right:
                self._send_status(channel)
            else:
                self.on_right_lost(channel.person.session)
        return has_right

    def on_right_lost(self, session: str) -> None:
        """Nothing that its viewer began goes on; with a channel or without, and whether it holds the head."""
        now_s = self.clock()
        was_held = self.holder.leave(session)
        has_begun = bool(session) and self._began is not None and self._began.session == session
        if (was_held or has_begun) and self._is_busy(now_s):
            self.routine.touched(now_s)
            self.head.stop(now_s)
        self._wake()

    def _is_busy(self, now_s: float) -> bool:
        return self.head.is_moving(now_s) or self.routine.is_touring

    # ---- commands

    def claim(self, person: Person, now_s: float) -> None:
        """Hold the head for a command. Raises CommandError `absent`, `silent` or `ptz-busy`."""
        if not self.head.is_open:
            raise CommandError("absent", "the head's port is away: see its state")
        if self.head.driver.is_silent:
            words = "VISCA gets no answer: see ptz.protocol, address, baud and wires"
            raise CommandError("silent", words)
        if not self.holder.may_take(person, now_s):
            held = self.holder.of(now_s)
            raise CommandError("ptz-busy", f"{held.user if held else 'somebody'} moves this camera")
        self._hold(person, now_s)
        self._began = person
        self._wake()

    def take(self, person: Person, now_s: float) -> None:
        """Hold it, whoever did; what others' hands still hold gets it back only after they let go."""
        self._want_rest(spared=person.user)
        if self._began not in (None, person) and self._is_busy(now_s):
            self.head.stop(now_s)  # whose way began it may be long, and its lease over
        self._hold(person, now_s)
        self._began = person
        self._wake()

    def stop(self, now_s: float) -> None:
        """Stand still, whoever wanted what: a stick that is held counts only after it was let go."""
        self._want_rest()
        self.routine.touched(now_s)
        self.head.stop(now_s)

    def remember(self, memory: Memory) -> None:
        """On disk too."""
        self.memory = memory
        self._store.keep(memory, self.clock(), is_urgent=True)
        self._wake()

    def note_move(self, person: Person, now_s: float) -> None:
        """For the audit log: who moves it, once a minute."""
        if person.session and self.holder.is_news(person.user, now_s):
            log.info(f"{person.user!a} moves the head")
            done = Result(0, secrets.token_hex(16), "ptz-move", ok=True, code="done")
            self._tell(person.session, done)

    def tick(self, now_s: float) -> float:
        """What is due; when the next thing will be."""
        for channel in self._channels:
            self._has_right(channel)
        if (order := self.routine.due(now_s)) is not None:
            self.head.order(order, now_s=now_s)
        self._store.try_again(now_s)
        self._tell_fault()
        self._announce(now_s)
        say_s = self._say_section(now_s)
        ends_s = self.holder.ends_s if self.holder.of(now_s) else math.inf
        is_busy = self._is_busy(now_s)
        if not is_busy:
            self._began = None
        look_s = now_s + (RIGHT_S if is_busy else 10)
        return min(ends_s, self.routine.wake_s(now_s), *self._again, look_s, say_s)

    def _is_moved_elsewhere(self, channel: Channel, now_s: float) -> bool:
        """Whether the holder's hand is on a stick in another tab: each word of either would stop the head."""
        held = self.holder.of(now_s)
        return any(
            each.is_held and not each.must_rest and now_s < each.heard_s + DEAD_MAN_S
            for each in self._channels
            if each is not channel and each.person == held
        )

    def _stuck_s(self, user: str) -> float:
        """The last word of this user's stick that must be let go: who connects anew still holds it."""
        open_s = (each.heard_s for each in self._channels if each.must_rest and each.person.user == user)
        return max((self._left.pop(user, -math.inf), *open_s))

    def _keep_stuck(self, channel: Channel, now_s: float) -> None:
        self._left = {user: heard_s for user, heard_s in self._left.items() if now_s < heard_s + LEASE_S}
        if channel.must_rest:
            self._left[channel.person.user] = channel.heard_s

    def _want_rest(self, spared: str | None = None) -> None:
        for channel in self._channels:
            channel.must_rest |= channel.is_held and channel.person.user != spared

    def _hold(self, person: Person, now_s: float) -> None:
        self.routine.touched(now_s)
        if self.holder.take(person, now_s):
            self.head.stop(now_s)

    def _refuse(self, channel: Channel, code: str, now_s: float) -> None:
        if now_s >= channel.refused_s + REFUSAL_GAP_S:
            channel.refused_s = now_s
            held = self.holder.of(now_s) if channel.had_right else None
            channel.send(encode_refusal(code, held.user if held else None))

    def _tell_fault(self) -> None:
        is_silent = self.head.is_open and self.head.driver.is_silent
        if is_silent and not self._was_silent:
            self._on_fault("the head does not answer: is it switched on, and are its wires right?")
        self._was_silent = is_silent

    def _announce(self, now_s: float) -> None:
        held = self.holder.of(now_s)
        now = held.user if held else None, self.head.is_moving(now_s)
        if now != self._said:
            self._said, self._again = now, [now_s + after_s for after_s in AGAIN_S]
        elif self._again and now_s >= self._again[0]:
            self._again.pop(0)
        else:
            return
        for channel in self._channels:
            if channel.had_right:
                self._send_status(channel)

    def _send_status(self, channel: Channel) -> None:
        now_s = self.clock()
        held = self.holder.of(now_s)
        is_mine = held == channel.person
        user = held.user if held else None
        channel.send(encode_status(user, is_mine=is_mine, is_moving=self.head.is_moving(now_s)))

    def _say_section(self, now_s: float) -> float:
        """Say it where it is another; when to look again because it was said just now."""
        section = self.section()
        if section == self._section:
            return math.inf
        if now_s < self._section_s + TELL_GAP_S:
            return self._section_s + TELL_GAP_S
        self._section, self._section_s = section, now_s
        self._on_change()
        return math.inf
