"""A gateway with a camera, its browsers, and time that stands still."""

import json

from fakes.bus import FakeBus, state

from agent.model.signal import Answer, Bye, IceServer, Offer, Reject, Renew
from agent.portal.accounts.access import Access, Identity
from agent.portal.client import Clock
from agent.portal.gateway import Gateway
from agent.portal.turn import IceServers, TurnSecret

STUN = IceServer(("stun:s.example:3478",))
TURN = IceServers((STUN,), TurnSecret(("turn:t.example:3478",), "hush", 3600))
EVERYTHING = Access("viewer")
FOREVER = 1e12


def identity(user="viewer", access=EVERYTHING, expires_at=FOREVER):
    return Identity(f"session of {user}", user, access, expires_at, user_id=sum(user.encode()))


class Browser:
    """One client of a gateway, and what it was told."""

    def __init__(self, gateway, user="viewer", access=EVERYTHING):
        self.gateway = gateway
        self.client = gateway.join(identity(user, access))
        self.stream = self.client.outbox.stream()

    def say(self, **message):
        self.gateway.receive(self.client, json.dumps(message))

    def offer(self, session="a" * 32, device="front", **fields):
        self.say(type="offer", session=session, device=device, sdp="v=0 offer", **fields)
        return session

    async def heard(self):
        """Everything queued by now."""
        self.client.outbox.put('"mark"')
        messages = []
        async for text in self.stream:
            message = json.loads(text)
            if message == "mark":
                break
            messages.append(message)
        return messages


class World:
    """A gateway with a camera `front`, a broker that is there, and time that stands still."""

    def __init__(self, ice=TURN):
        self.now = 10_000.0
        self.step_s = 0.0
        """How far the wall clock has stepped."""
        self.bus = FakeBus()
        clock = Clock(unix_s=lambda: self.now + self.step_s, mono_s=lambda: self.now)
        self.gateway = Gateway(self.bus.send, ice, "1.2.3", clock)
        self.gateway.on_broker(connected=True)
        self.gateway.on_state("front", state())

    async def browser(self):
        browser = Browser(self.gateway)
        await browser.heard()
        return browser

    def pass_time(self, seconds):
        self.now += seconds
        self.gateway.tick()

    def answer(self, session, seq, sdp, device="front"):
        """To the newest offer of the session."""
        offers = [offer for _, to, offer in self.sent(Offer) if to == session]
        self.gateway.on_signal(device, session, Answer(seq, offers[-1].nonce, sdp))

    def questions(self):
        """What the device was asked to find out whether it has begun anew."""
        return [asked for asked in self.sent(Offer) if asked[2].user == "portal"]

    def reborn(self, new):
        """The device begins anew, and says so when it is asked."""
        self.gateway.on_state("front", new)
        _, asked, question = self.questions()[-1]
        assert question.restart
        self.gateway.on_signal("front", asked, Reject(0, "session-over", "no such session"))

    def sent(self, kind):
        return [(device, session, m) for device, session, m in self.bus.sent if isinstance(m, kind)]


async def playing(world):
    browser = await world.browser()
    session = browser.offer()
    world.answer(session, 0, "v=0")
    await browser.heard()
    return browser, session


FRONT = Access(cameras={"front": "viewer"})


def allow(world, *identities):
    """The accounts say who may still come in."""
    world.gateway.apply({each.session: each for each in identities}, world.gateway.live_sessions())


CHALLENGE = "c" * 22


class LeasingWorld(World):
    """Its camera understands leases."""

    def __init__(self):
        super().__init__()
        self.gateway.on_state("front", state(understands=("lease",)))

    async def watching(self, session="a" * 32):
        browser = await self.browser()
        browser.offer(session)
        self.answer(session, 0, "v=0")
        await browser.heard()
        return browser

    def run(self, seconds):
        for _ in range(int(2 * seconds)):
            self.pass_time(0.5)

    def renewals(self):
        return [renewal for _, _, renewal in self.sent(Renew)]

    def byes(self):
        return [bye for _, _, bye in self.sent(Bye)]

    def restarted(self):
        """Another portal, with what the broker retains."""
        other = LeasingWorld()
        other.now = self.now
        return other


def resume(browser, session="a" * 32, device="front", **fields):
    browser.say(type="resume", session=session, device=device, **fields)
