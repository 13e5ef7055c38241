"""A path to the broker's host is one whatever runs there."""

import socket

import pytest

from agent.mqtt.reach import is_reached


class Host:
    """A dialer that finds what it is told to."""

    def __init__(self, fault=None):
        self.fault, self.tries, self.sockets = fault, 0, []

    async def open(self):
        self.tries += 1
        if self.fault:
            raise self.fault
        self.sockets.append(socket.socket())
        return self.sockets[-1]


async def test_who_takes_the_connection_is_reached_and_hears_no_more():
    host = Host()
    assert await is_reached([host])
    assert host.sockets[0].fileno() == -1


async def test_a_refusal_is_an_answer():
    assert await is_reached([Host(ConnectionRefusedError())])


@pytest.mark.parametrize(
    "fault",
    [
        TimeoutError(),
        OSError(101, "Network is unreachable"),
        socket.gaierror(),
        UnicodeError("label empty or too long"),  # what the IDNA codec says of a..b
    ],
)
async def test_silence_is_none_but_the_second_address_may_answer(fault):
    away = Host(fault)
    assert not await is_reached([away])
    assert await is_reached([away, Host()])
    assert not await is_reached([away, Host(fault)])


async def test_the_second_is_asked_only_where_the_first_is_silent():
    second = Host()
    assert await is_reached([Host(), second])
    assert second.tries == 0
