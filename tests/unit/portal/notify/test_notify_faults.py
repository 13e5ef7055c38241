"""Whatever one address, one rule or the database brings about: the portal goes on, and tells the others."""

import asyncio

import pytest

from agent.portal.accounts.access import Access
from agent.portal.notify import notifier as notifier_module
from agent.portal.notify.deliveries import Taken
from agent.portal.notify.mail import check_address, letter
from agent.portal.notify.notifier import Notifier
from agent.portal.notify.outside import ChannelError
from agent.portal.notify.words import compose
from agent.portal.store import StoreError

TAKEN = Taken(1, "l", "test", 1, "mail", "", b"", "ann", 1, Access("viewer"), (), 0, "UTC", 1, 1e12)


async def outcome_of(error):
    async def send(_taken, _message):
        raise error

    return await Notifier(None, send, dict)._try(TAKEN)


async def test_what_a_library_makes_of_an_address_fails_one_message_for_good():
    outcome = await outcome_of(IndexError("list index out of range"))
    assert outcome.is_final
    assert "log says why" in outcome.error


async def test_a_database_that_is_away_while_a_message_is_sent_has_it_tried_again():
    outcome = await outcome_of(StoreError("the database failed"))
    assert outcome.error
    assert not outcome.is_final


@pytest.mark.parametrize("error", [StoreError("locked"), ValueError("a row that nobody can read")])
async def test_the_notifier_outlives_whatever_a_look_meets(error, monkeypatch, caplog):
    looks = asyncio.Queue()

    class Broken:
        hears = False

        async def run(self, _work):
            looks.put_nowait(None)
            raise error

        def version(self, *, sure):  # noqa: ARG002
            return None

    monkeypatch.setattr(notifier_module, "RETRY_S", 0.0)
    task = asyncio.create_task(Notifier(Broken(), None, dict).run())
    try:
        async with asyncio.timeout(60):
            for _ in range(3):
                await looks.get()
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "nobody is told of anything for now" in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?=0A?=@example.com", "=?utf-8?q?=41?=@example.com", "=?utf-8?q??=))'@.", "(@example.com",
        "a(b)@x.org", '"a"@x.org', "a..b@x.org", "[@x", "a@x.", "a@x..y", "a(@b@x",
    ],
)  # fmt: skip
def test_an_address_that_a_header_reads_otherwise_is_refused(address):
    with pytest.raises(ChannelError) as caught:
        check_address(address)
    assert caught.value.is_final


@pytest.mark.parametrize("address", ["ann@example.net", "a+b@example.org", "o'neil@x.org", "a.b-c_d@mail.x"])
def test_an_address_of_somebody_is_taken_and_stands_in_the_letter_as_it_is(address):
    check_address(address)
    mail = letter("cams@example.org", address, compose(1, "test", (), 0, {}, "UTC", "", 0.0), None)
    assert [one.addr_spec for one in mail["To"].addresses] == [address]
    assert bytes(mail)
