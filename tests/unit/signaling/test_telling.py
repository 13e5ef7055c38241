"""When events are told: never two messages at once, never fast, and never given up."""

import asyncio

from fakes.clock import LoopClock

from agent.model.event import Event
from agent.signaling.telling import FIRST_RETRY_S, MAX_RETRY_S, PAUSE_S, SPREAD_S, Pace, Telling


def event(number):
    return Event(f"b-{number}", "camera-failed", "error", "camera", 1.0, "", "running")


class World:
    """A device with events that wait, and a broker that comes and goes."""

    def __init__(self, count):
        self.waiting = [event(number) for number in range(count)]
        self.is_connected = False
        self.told = []
        self.clock = LoopClock()
        self.telling = Telling(self.oldest, self.tell, lambda: self.is_connected)
        self.task = asyncio.create_task(self.telling.run())

    def oldest(self):
        return tuple(self.waiting[:2])

    def tell(self, events):
        self.told.append((self.clock.now_s, events))

    def connect(self):
        self.is_connected = True
        self.telling.on_connected()

    def confirm(self):
        del self.waiting[:2]
        self.telling.on_confirmed()

    async def end(self):
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_the_next_message_follows_the_confirmation():
    world = World(6)
    world.telling.on_events()
    await world.clock.after(1)
    assert world.told == [], "nobody hears it"
    world.connect()
    for number in (1, 2, 3):
        await world.clock.until(lambda number=number: len(world.told) == number)
        world.confirm()
    await world.clock.after(30)
    assert [events[0].id for _, events in world.told] == ["b-0", "b-2", "b-4"]
    assert world.told[2][0] - world.told[0][0] >= 2 * PAUSE_S
    world.waiting = [event(9)]
    world.telling.on_events()
    before = world.clock.now_s
    await world.clock.until(lambda: len(world.told) == 4)
    assert world.told[3][0] - before < 1, "what happens now is told now"
    await world.end()


async def test_without_a_word_of_any_portal_the_same_goes_again_seldom():
    world = World(4)
    world.connect()
    await world.clock.after(80)
    assert len(world.told) == 4, "at once, after 10 s, 30 s and 70 s"
    assert all(events == world.oldest() for _, events in world.told)
    await world.end()


def test_the_pace():
    pace = Pace()
    pace.on_connected(100.0, 0.5)
    assert pace.next_s == 100 + SPREAD_S / 2, "a fleet that comes back does not speak at once"
    for _ in range(20):
        pace.on_told(200.0)
    assert pace.next_s == 200 + MAX_RETRY_S
    pace.on_confirmed(300.0)
    assert pace.next_s == 300 + PAUSE_S
    pace.on_told(400.0)
    assert pace.next_s == 400 + FIRST_RETRY_S
