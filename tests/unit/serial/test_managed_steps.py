"""What is asked of ModemManager, and what follows where it does not answer or refuses."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from dbus_fast import ErrorType, Message, MessageFlag, MessageType

from agent.errors import ModemError
from agent.model.tasks import STOP_TIMEOUT_S
from agent.serial.modem import modem_manager, wire
from agent.serial.modem.bus import MAX_UNANSWERED, Bus, NobodyError, RefusedError, SlowError, UnsupportedError
from agent.serial.modem.data import Counted
from agent.serial.modem.modem_manager import ManagedModem
from agent.serial.modem.recovery import ACT_S
from agent.serial.modem.status import ModemStatus

PATH = "/org/freedesktop/ModemManager1/Modem/0"
CORE = "org.freedesktop.ModemManager1.Error.Core"


class Asked:
    """A bus that refuses what `refuses` says, by member and how often it was asked."""

    def __init__(self, refuses):
        self.calls, self._refuses = [], refuses

    async def call(self, _service, _path, method, *body, **_rest):
        member = method.rpartition(".")[2]
        self.calls.append((member, *body))
        if error := self._refuses(member, *body):
            raise error
        return []


def managed(bus, monkeypatch):
    """A modem that was found on this bus; another connection to it is the same."""
    bus.limits_s = []

    @contextlib.asynccontextmanager
    async def open_bus(_address, limit_s=None):
        bus.limits_s.append(limit_s)
        yield bus

    monkeypatch.setattr(modem_manager, "open_bus", open_bus)
    monkeypatch.setattr(modem_manager, "AGAIN_PAUSE_S", 0)
    modem = ManagedModem(None)
    modem._bus, modem._path = bus, PATH
    return modem


async def test_a_radio_that_was_not_switched_off_is_switched_on(monkeypatch):
    bus = Asked(lambda member, value: ModemError("in use") if (member, value) == ("Enable", False) else None)
    with pytest.raises(ModemError, match="in use"):
        await managed(bus, monkeypatch).cycle_radio()
    assert bus.calls[-1] == ("Enable", True)


async def test_a_radio_that_is_slow_to_go_off_is_switched_on_and_has_its_proof(monkeypatch):
    bus = Asked(lambda member, value: SlowError("8 s") if (member, value) == ("Enable", False) else None)
    await managed(bus, monkeypatch).cycle_radio()
    assert bus.calls[-1] == ("Enable", True)


class Bearers(Asked):
    """Bearers that take their time to end, or refuse it."""

    def __init__(self, refusal, *, has_keeper):
        super().__init__(lambda member, *_: refusal if member == "Disconnect" else None)
        self.deadlines, self._has_keeper = [], has_keeper

    async def call(self, *args, **rest):
        await super().call(*args, **rest)
        match self.calls[-1][0]:
            case "NameHasOwner":
                return self._has_keeper
            case "Disconnect":
                self.deadlines.append(rest["deadline_s"])
        return {"Bearers": ["/bearer/0", "/bearer/1", "/bearer/2"]}


@pytest.mark.parametrize("has_keeper", [True, False])
async def test_a_connection_that_is_slow_to_end_has_its_proof(monkeypatch, has_keeper):
    bus = Bearers(SlowError("6 s"), has_keeper=has_keeper)
    await managed(bus, monkeypatch).renew_bearer()
    assert bus.calls[-1] == (("Disconnect",) if has_keeper else ("Connect",))


async def test_a_connection_is_made_again_as_soon_as_the_old_one_has_ended(monkeypatch):
    class Ending(Bearers):
        async def call(self, *args, **rest):
            answer = await super().call(*args, **rest)
            if self.calls[-3:] == 3 * [("Connect",)] or self.calls[-1] != ("Connect",):
                return answer
            raise ModemError("Bearer currently being disconnected")

    bus = Ending(SlowError("6 s"), has_keeper=False)
    await managed(bus, monkeypatch).renew_bearer()
    assert bus.calls[-4:] == [("Disconnect",), ("Connect",), ("Connect",), ("Connect",)]


async def test_a_connection_that_is_not_made_in_time_is_a_fault_with_its_reason(monkeypatch):
    monkeypatch.setattr(modem_manager, "CONNECT_S", 0)
    bus = Asked(lambda member, *_: SlowError("Connect: no answer") if member == "Connect" else None)
    monkeypatch.setattr(modem_manager, "bearers_of", lambda _modem: ["/bearer/0"])
    with pytest.raises(SlowError, match="Connect"):
        await managed(bus, monkeypatch).renew_bearer()


async def test_a_connection_that_does_not_end_is_a_fault(monkeypatch):
    with pytest.raises(ModemError, match="no"):
        await managed(Bearers(ModemError("no"), has_keeper=True), monkeypatch).renew_bearer()


async def test_all_connections_have_one_deadline(monkeypatch):
    now_s = iter([100.0, 100.0, 104.0, 109.0])
    monkeypatch.setattr(modem_manager, "time", SimpleNamespace(monotonic=lambda: next(now_s)))
    bus = Bearers(None, has_keeper=True)
    await managed(bus, monkeypatch).renew_bearer()
    assert bus.deadlines == [6.0, 2.0, 0.0]


async def test_a_radio_is_switched_on_where_it_is_cut_off(monkeypatch):
    is_off = asyncio.Event()

    class Slow(Asked):
        async def call(self, *args, **rest):
            await super().call(*args, **rest)
            if self.calls[-1] == ("SetPowerState", 2):
                is_off.set()
                await asyncio.Event().wait()

    bus = Slow(lambda *_: None)
    task = asyncio.create_task(managed(bus, monkeypatch).cycle_radio())
    await is_off.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert bus.calls[-1] == ("Enable", True)
    assert bus.limits_s[-1] <= modem_manager.CUT_OFF_S, "a bus that hangs holds up no end of the agent"


async def test_an_end_of_the_agent_is_no_fault_of_a_modem_that_does_not_switch_on(monkeypatch):
    is_off = asyncio.Event()

    class Hangs(Asked):
        async def call(self, *args, **rest):
            await super().call(*args, **rest)
            is_off.set()
            await asyncio.Event().wait()

    bus = Hangs(lambda member, value: ModemError("no") if (member, value) == ("Enable", True) else None)
    for bound in ("ON_S", "CUT_OFF_S"):
        monkeypatch.setattr(modem_manager, bound, 0.01, raising=False)
    task = asyncio.create_task(managed(bus, monkeypatch).cycle_radio())
    await is_off.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert bus.calls[-1] == ("Enable", True)
    assert task.cancelled()


def test_who_ends_meanwhile_has_time_to_switch_on():
    assert modem_manager.CUT_OFF_S <= STOP_TIMEOUT_S / 2
    assert wire.CUT_OFF_S <= STOP_TIMEOUT_S / 2


async def test_a_radio_that_still_goes_off_is_told_again(monkeypatch):
    refusals = [ModemError("it is being disabled")] * 2
    bus = Asked(
        lambda member, value: refusals.pop() if refusals and (member, value) == ("Enable", True) else None
    )
    await managed(bus, monkeypatch).cycle_radio()
    assert bus.calls[-3:] == [("Enable", True)] * 3


class Count:
    """Nothing was sent."""

    counted = Counted()

    def add(self, *_): ...

    def close(self): ...


async def test_where_it_hung_is_known_after_it_has_gone(monkeypatch):
    objects = [{PATH: {modem_manager.MODEM: {"Device": "/sys/devices/usb1/1-1"}}}, {}]

    class Told(Asked):
        async def call(self, *args, **rest):
            await super().call(*args, **rest)
            return objects.pop(0) if self.calls[-1] == ("GetManagedObjects",) else {}

    bus = Told(lambda *_: None)
    modem = managed(bus, monkeypatch)
    modem._count = Count()
    for _ in range(2):
        await modem._look(bus)
    assert modem.status.reason.startswith("ModemManager knows no modem")
    assert modem.device == Path("/sys/devices/usb1/1-1")


async def test_how_warm_it_is_is_said_beside_modemmanager(monkeypatch):
    modem, bus = modem_with(monkeypatch, {modem_manager.MODEM: {"State": 11}})
    modem._temperature_c = lambda: 36.0
    await modem._look(bus)
    assert (modem.status.state, modem.status.temperature_c) == ("connected", 36.0)
    modem._lose("it is gone")
    assert modem.status.temperature_c is None


RECEIVER = {"Capabilities": 1 | 2 | 4 | 16, "Enabled": 1, "SignalsLocation": False}


@pytest.mark.parametrize(
    ("said", "is_read", "asked"),
    [
        (RECEIVER, True, [("Setup", 1 | 16, False)]),
        (RECEIVER | {"SignalsLocation": True}, True, [("Setup", 1 | 16, True)]),
        (RECEIVER, False, []),
        (RECEIVER | {"Enabled": 1 | 16}, True, []),
        (RECEIVER | {"Enabled": 1 | 4}, True, []),  # ModemManager reads it for somebody else
        (RECEIVER | {"Capabilities": 1}, True, []),
        ({}, True, []),
    ],
)
async def test_its_satellite_receiver_is_switched_on_for_who_reads_it(monkeypatch, said, is_read, asked):
    own = {"Device": "/sys/devices/usb1/1-1", "State": 8}
    modem, bus = modem_with(monkeypatch, {modem_manager.MODEM: own, modem_manager.LOCATION: said})
    places = []
    modem._has_receiver = lambda place: places.append(place) or is_read
    for _ in range(2):  # as after a reset: ModemManager says anew that it is off
        await modem._look(bus)
    assert [call for call in bus.calls if call[0] == "Setup"] == 2 * asked
    assert set(places) <= {Path("/sys/devices/usb1/1-1")}
    own["State"] = 3
    bus.calls.clear()
    await modem._look(bus)
    assert ("Setup", 1 | 16, False) not in bus.calls, "ModemManager refuses it before the modem is enabled"


async def test_a_receiver_that_stays_off_is_told_once_and_costs_nothing_else(monkeypatch, caplog):
    said = {
        modem_manager.MODEM: {"Device": "/sys/devices/usb1/1-1", "State": 11},
        modem_manager.LOCATION: RECEIVER,
    }
    modem, bus = modem_with(
        monkeypatch, said, lambda member, *_: RefusedError("no") if member == "Setup" else None
    )
    modem._has_receiver = lambda _: True
    for _ in range(2):
        await modem._look(bus)
    assert caplog.text.count("receiver stays off") == 1
    assert modem.status.state == "connected"


def modem_with(monkeypatch, interfaces, refuses=lambda *_: None):
    """A modem of which ModemManager says this, and its bus."""

    class Told(Asked):
        async def call(self, *args, **rest):
            await super().call(*args, **rest)
            return {PATH: interfaces} if self.calls[-1] == ("GetManagedObjects",) else {}

    bus = Told(refuses)
    modem = managed(bus, monkeypatch)
    modem._count = Count()
    return modem, bus


async def test_a_fault_of_our_own_leaves_nothing_of_it_to_be_believed(monkeypatch):
    async def fail(_bus):
        modem.status = ModemStatus("modemmanager", "connected")
        raise RuntimeError

    modem = managed(Asked(lambda *_: None), monkeypatch)
    modem._count, modem._serve = Count(), fail
    with pytest.raises(RuntimeError):
        await modem.run()
    assert modem.status.state == "absent"
    with pytest.raises(ModemError, match="nobody looks for it"):
        await modem.reset_modem()


def test_each_step_fits_into_what_recovery_waits_for_it():
    mm = modem_manager
    assert ACT_S["cycle-radio"] > mm.OFF_S + 2 * mm.POWER_S + mm.ON_S
    assert ACT_S["renew-bearer"] > mm.DISCONNECT_S + mm.CONNECT_S
    assert ACT_S["reset-modem"] > mm.RESET_S


@pytest.mark.parametrize(("error", "asked"), [(ModemError("time-out"), 2), (UnsupportedError("never"), 1)])
async def test_the_cell_is_asked_for_again_unless_the_modem_never_tells(monkeypatch, error, asked):
    monkeypatch.setattr(modem_manager, "CELL_S", 0.0)
    bus = Asked(lambda _: error)
    modem = managed(bus, monkeypatch)
    for _ in range(2):
        await modem._ask_for_cells(bus, PATH)
    assert len(bus.calls) == asked


class Wire:
    """A connection of dbus-fast's."""

    def __init__(self, reply=None):
        self._reply, self.is_open = reply, True

    async def call(self, _message):
        if self._reply is None:
            await asyncio.Event().wait()
        return self._reply

    def disconnect(self):
        self.is_open = False


async def lost_never():
    await asyncio.Event().wait()


async def test_a_connection_with_too_many_unanswered_calls_is_given_up():
    wire, lost = Wire(), asyncio.create_task(lost_never())
    bus = Bus(wire, lost)
    for _ in range(MAX_UNANSWERED):
        assert wire.is_open
        with pytest.raises(SlowError, match="did not answer"):
            await bus.call("a.b", "/", "a.b.Get", deadline_s=0)
    assert not wire.is_open
    lost.cancel()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (ErrorType.UNKNOWN_METHOD.value, UnsupportedError),
        (f"{CORE}.Unsupported", UnsupportedError),
        (f"{CORE}.WrongState", ModemError),
        (f"{CORE}.Unauthorized", RefusedError),
        (ErrorType.ACCESS_DENIED.value, RefusedError),
        (ErrorType.SERVICE_UNKNOWN.value, NobodyError),
    ],
)
async def test_what_is_refused_for_ever_is_an_error_of_its_own(name, error):
    reply = Message(
        message_type=MessageType.ERROR, flags=MessageFlag.NONE, error_name=name, reply_serial=1,
        signature="s", body=["no"],
    )  # fmt: skip
    lost = asyncio.create_task(lost_never())
    with pytest.raises(ModemError, match="Get: no") as caught:
        await Bus(Wire(reply), lost).call("a.b", "/", "a.b.Get")
    assert type(caught.value) is error
    lost.cancel()
