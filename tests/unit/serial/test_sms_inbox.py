"""Messages that ModemManager has: each is read once, deleted, and answered where there is an answer."""

import pytest
from dbus_fast import Variant

from agent.errors import ModemError
from agent.serial.modem.bus import RefusedError
from agent.serial.modem.inbox import MAX_AT_ONCE, Inbox

NAME = "org.freedesktop.ModemManager1"
MESSAGING = f"{NAME}.Modem.Messaging"
MODEM = f"/{NAME.replace('.', '/')}/Modem/0"


class Daemon:
    """ModemManager's messages, by their paths."""

    def __init__(self):
        self.messages, self.sent, self.fault = {}, [], ""
        self.error = ModemError

    def get(self, text, number="+4915140075573", state=3):
        path = f"/sms/{len(self.messages)}"
        self.messages[path] = {"Text": text, "Number": number, "State": state}
        return path

    async def call(self, service, path, method, *body, signature="", **_deadline):
        assert service == NAME
        member = method.rpartition(".")[2]
        if member == self.fault:
            raise self.error(f"{member}: refused")
        match member:
            case "GetAll":
                assert (body, signature) == ((f"{NAME}.Sms",), "s")
                return self.messages[path]
            case "Delete":
                assert (path, method, signature) == (MODEM, f"{MESSAGING}.Delete", "o")
                del self.messages[body[0]]
            case "Create":
                assert (path, signature) == (MODEM, "a{sv}")
                assert all(isinstance(each, Variant) and each.signature == "s" for each in body[0].values())
                self.messages["/sms/out"] = {key: each.value for key, each in body[0].items()}
                return "/sms/out"
            case "Send":
                self.sent.append(self.messages[path])
            case _:
                raise AssertionError(method)
        return None

    async def look(self, on_sms):
        async def heard(text):
            return on_sms(text)

        await self.take(Inbox(heard))

    async def take(self, inbox):
        await inbox.take(self, MODEM, {MESSAGING: {"Messages": list(self.messages)}})


@pytest.fixture
def daemon():
    return Daemon()


async def test_an_answer_goes_to_the_number_that_asked(daemon):
    daemon.get("PH1 …")
    await daemon.look(lambda text: f"door heard {text[:3]}")
    assert daemon.sent == [{"number": "+4915140075573", "text": "door heard PH1"}]
    assert daemon.messages == {}


async def test_what_is_not_answered_is_deleted_all_the_same(daemon):
    daemon.get("Your bill is ready")
    await daemon.look(lambda _: None)
    assert (daemon.messages, daemon.sent) == ({}, [])


async def test_what_has_yet_to_come_whole_is_left(daemon):
    heard = []
    daemon.get("PH1 first half", state=2)
    await daemon.look(heard.append)
    assert heard == []
    assert len(daemon.messages) == 1


async def test_one_that_cannot_be_deleted_is_not_done_again_and_again(daemon):
    heard = []
    daemon.get("PH1 reboot")
    daemon.fault = "Delete"
    await daemon.look(heard.append)
    assert heard == []


async def test_who_may_not_read_messages_is_told_so_once(daemon, caplog):
    for number in range(3):
        daemon.get(f"PH1 {number}")
    daemon.fault, daemon.error = "Delete", RefusedError
    heard = []
    inbox = Inbox(heard.append)
    for _ in range(2):
        await daemon.take(inbox)
    assert caplog.text.count("`modem_sms` of the role modem grants it") == 1
    assert heard == []


@pytest.mark.parametrize("fault", ["Create", "Send"])
async def test_an_answer_that_cannot_be_sent_is_told_in_the_log(daemon, fault, caplog):
    daemon.get("PH1 status")
    daemon.fault = fault
    await daemon.look(lambda _: "fine")
    assert "was not sent" in caplog.text


@pytest.mark.parametrize(("text", "number"), [(b"PH1", "+49"), (None, "+49"), ("PH1", ""), ("PH1", None)])
async def test_data_and_numbers_that_are_none_are_no_fault(daemon, text, number):
    daemon.get(text, number)
    await daemon.look(lambda _: "fine")
    assert (daemon.messages, daemon.sent) == ({}, [])


async def test_a_card_full_of_messages_is_read_in_turns(daemon):
    for number in range(MAX_AT_ONCE + 8):
        daemon.get(f"spam {number}")
    heard = []
    await daemon.look(heard.append)
    assert len(heard) == MAX_AT_ONCE
