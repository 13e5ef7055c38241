"""A change of address is told once, and silence is not a change."""

from agent.device.link import LinkMonitor


def monitor(history):
    told = []
    steps = iter(history)
    return LinkMonitor(lambda: next(steps), told.append), told


async def test_the_same_addresses_in_another_order_are_no_change():
    it, told = monitor([["192.0.2.1", "2001:db8::1"], ["2001:db8::1", "192.0.2.1"]])
    it.check()
    assert told == []


async def test_a_change_is_told_once():
    it, told = monitor([["192.0.2.1"], ["198.51.100.1"], ["198.51.100.1"]])
    it.check()
    it.check()
    assert told == [["198.51.100.1"]]


async def test_losing_every_address_is_told_when_one_comes_back():
    it, told = monitor([["192.0.2.1"], [], ["192.0.2.1"]])
    it.check()
    assert told == []
    it.check()
    assert told == [["192.0.2.1"]]
