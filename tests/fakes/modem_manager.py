"""ModemManager on a bus, as far as our back end asks it, with a modem that speaks QMI.

The real one cannot be given such a modem. Names and types are checked against the real one's by
`tests/integration/test_modem_manager.py`.
"""

from contextlib import asynccontextmanager

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

NAME, ROOT = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1"
OBJECTS, PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
PATH, BEARER = f"{ROOT}/Modem/0", f"{ROOT}/Bearer/0"
SIGNAL = f"{NAME}.Modem.Signal"
MODEM = {
    f"{NAME}.Modem": {
        "State": Variant("i", 11),
        "StateFailedReason": Variant("u", 0),
        "UnlockRequired": Variant("u", 3),  # PIN2 keeps nobody away
        "Model": Variant("s", "EG25-G"),
        "AccessTechnologies": Variant("u", 1 << 14),
        "CurrentBands": Variant("au", [31, 33, 50]),
        "Bearers": Variant("ao", [BEARER]),
        "EquipmentIdentifier": Variant("s", "867962042149685"),
        "OwnNumbers": Variant("as", ["4915140075573"]),
    },
    f"{NAME}.Modem.Modem3gpp": {
        "RegistrationState": Variant("u", 1),
        "OperatorName": Variant("s", "Net"),
        "OperatorCode": Variant("s", "26202"),
        "Imei": Variant("s", "867962042149685"),
    },
    SIGNAL: {
        "Rate": Variant("u", 0),
        "Lte": Variant(
            "a{sv}",
            {
                "rsrp": Variant("d", -97),
                "rsrq": Variant("d", -11),
                "rssi": Variant("d", -68),
                "snr": Variant("d", 8.4),
            },
        ),
        "Nr5g": Variant("a{sv}", {}),
    },
}
CELLS = [
    {
        "cell-type": Variant("u", 5), "serving": Variant("b", True), "operator-id": Variant("s", "26202"),
        "tac": Variant("s", "2B6C"), "ci": Variant("s", "01A2D003"), "earfcn": Variant("u", 6300),
    },
    {"cell-type": Variant("u", 5), "serving": Variant("b", False), "earfcn": Variant("u", 1300)},
]  # fmt: skip


class Scripted:
    """What it was asked, and what it says."""

    def __init__(self, bus):
        self.bus, self.is_there = bus, True
        self.asked, self.rates, self.modem = [], [], dict(MODEM)
        self.count(received_bytes=5000, sent_bytes=70_000)

    def count(self, *, received_bytes, sent_bytes):
        """Of the one connection."""
        stats = {"rx-bytes": Variant("t", received_bytes), "tx-bytes": Variant("t", sent_bytes)}
        self.bearer = {
            "Connected": Variant("b", True),
            "Stats": Variant("a{sv}", stats),
            "Properties": Variant("a{sv}", {"apn": Variant("s", "internet.example")}),
        }

    def vanish(self):
        self.is_there = False
        self.signal("InterfacesRemoved", "oas", [PATH, list(MODEM)])

    def appear(self):
        self.is_there = True
        self.signal("InterfacesAdded", "oa{sa{sv}}", [PATH, self.modem])

    def signal(self, member, signature, body):
        self.bus.send(Message.new_signal(ROOT, OBJECTS, member, signature, body))

    def answer(self, message):
        """A handler of the bus."""
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self.asked.append(message.member)
        match message.member:
            case "GetManagedObjects":
                return Message.new_method_return(
                    message, "a{oa{sa{sv}}}", [{PATH: self.modem} if self.is_there else {}]
                )
            case "GetAll":
                return Message.new_method_return(message, "a{sv}", [self.bearer])
            case "GetCellInfo":
                return Message.new_method_return(message, "aa{sv}", [CELLS])
            case "Setup":
                self.rates += message.body
                self.modem[SIGNAL] = self.modem[SIGNAL] | {"Rate": Variant("u", 10)}
                return Message.new_method_return(message)
            case _:
                return Message.new_method_return(message)


@asynccontextmanager
async def scripted(address):
    """It has ModemManager's name on this bus."""
    bus = await MessageBus(address, BusType.SESSION).connect()
    made = Scripted(bus)
    bus.add_message_handler(made.answer)
    await bus.request_name(NAME)
    try:
        yield made
    finally:
        bus.disconnect()
