"""How much one user, share link or WebSocket may have."""

from parts.gateway import EVERYTHING, FOREVER, Browser, identity

from agent.model.signal import Offer
from agent.portal.accounts.access import Access, Identity
from agent.portal.limits import (
    MAX_CLIENTS,
    MAX_CLIENTS_PER_OWNER,
    MAX_LINK_CLIENTS,
    MAX_SESSIONS,
    MESSAGES_AT_ONCE,
    OFFERS_PER_MINUTE,
)


async def test_a_user_who_asks_too_often_waits(world):
    browser, other = await world.browser(), Browser(world.gateway, "other")
    session = browser.offer()
    world.answer(session, 0, "v=0")
    for _ in range(OFFERS_PER_MINUTE - 1):
        world.pass_time(0.1)
        browser.offer(session=session, restart=True)
    await browser.heard()
    browser.offer(session=session, restart=True)
    assert [m["code"] for m in await browser.heard()] == ["too-many-offers"]
    other.offer(session="f" * 32)
    assert [m["type"] for m in await other.heard()] == ["hello"], "nobody else waits"
    world.pass_time(60)
    browser.offer(session=session, restart=True)
    assert len(world.sent(Offer)) == OFFERS_PER_MINUTE + 2


async def test_a_flood_is_closed(world):
    browser = await world.browser()
    for _ in range(int(MESSAGES_AT_ONCE)):
        browser.say(type="bye", session="f" * 32)
    assert browser.client.outbox.close_code is None
    browser.say(type="bye", session="f" * 32)
    assert browser.client.outbox.close_code == 1008


async def test_a_steady_talker_is_not_a_flood(world):
    browser = await world.browser()
    for _ in range(2000):
        world.now += 0.02
        browser.say(type="bye", session="f" * 32)
    assert browser.client.outbox.close_code is None


async def test_sessions_of_a_socket_are_bounded(world):
    browser = await world.browser()
    for number in range(MAX_SESSIONS):
        browser.offer(session=f"{number:032x}")
    assert await browser.heard() == []
    browser.offer(session="f" * 32)
    [reject] = await browser.heard()
    assert reject["code"] == "too-many-sessions"
    assert len(world.sent(Offer)) == MAX_SESSIONS


async def test_sockets_are_bounded(world):
    clients = [world.gateway.join(identity(f"user{n // 30}")) for n in range(MAX_CLIENTS)]
    assert world.gateway.join(identity("ann")) is None
    world.gateway.leave(clients[0])
    assert world.gateway.join(identity("ann")) is not None


async def test_one_user_cannot_take_every_socket(world):
    clients = [world.gateway.join(identity("greedy")) for _ in range(MAX_CLIENTS_PER_OWNER)]
    assert world.gateway.join(identity("greedy")) is None
    assert world.gateway.join(identity("ann")) is not None
    world.gateway.leave(clients[0])
    assert world.gateway.join(identity("greedy")) is not None


async def test_an_administrator_finds_room_whoever_else_came(world):
    admin = Access("admin")
    joined = [world.gateway.join(identity(f"user{n // 30}")) for n in range(MAX_CLIENTS - 1)]
    first = world.gateway.join(identity("boss", admin))
    assert world.gateway.join(identity("ann")) is None
    second = world.gateway.join(identity("boss", admin))
    assert second is not None
    [gone] = [client for client in joined if client.outbox.close_code is not None]
    assert (gone, gone.outbox.close_code) == (joined[239], 1013)
    assert first.outbox.close_code is None
    for _ in range(2 * MAX_CLIENTS_PER_OWNER):
        world.gateway.join(identity("boss", admin))
    ended = [client for client in joined if client.outbox.close_code is not None]
    assert len(ended) == MAX_CLIENTS_PER_OWNER - 1, "no more than one may have"


async def test_share_links_cannot_take_every_socket(world):
    def guest(number):
        return Identity(f"guest {number}", f"link:{number}", EVERYTHING, FOREVER, share_id=number // 30)

    clients = [world.gateway.join(guest(number)) for number in range(MAX_LINK_CLIENTS)]
    assert None not in clients
    assert world.gateway.join(guest(10_000)) is None
    assert world.gateway.join(identity("ann")) is not None
    world.gateway.leave(clients[0])
    assert world.gateway.join(guest(10_001)) is not None


async def test_who_asks_for_too_much_is_told_what_is_the_matter(world, monkeypatch):
    monkeypatch.setattr("agent.portal.limits.MAX_SESSIONS", 2)
    monkeypatch.setattr("agent.portal.limits.MAX_SESSIONS_PER_OWNER", 3)
    browser, second = await world.browser(), await world.browser()
    for number in range(3):
        browser.offer(f"{number:032x}")
    for number in range(4, 6):
        second.offer(f"{number:032x}")
    assert [(m["code"], m["message"]) for m in (*await browser.heard(), *await second.heard())] == [
        ("too-many-sessions", "This page already has 2 sessions open; close some cameras."),
        ("too-many-sessions", "You already have 3 sessions open; close some cameras."),
    ]
    other = Browser(world.gateway, "other")
    await other.heard()
    assert other.offer("f" * 32)
    assert await other.heard() == [], "nobody else's"
    monkeypatch.setattr(world.gateway.sessions._limit._rate, "admits", lambda _owner, _now_s: False)
    session = other.offer("e" * 32)
    assert await other.heard() == [
        {
            "type": "reject",
            "session": session,
            "code": "too-many-offers",
            "message": "Too many requests in a minute: wait a little.",
            "retry_after_s": 60.0,
        }
    ]
