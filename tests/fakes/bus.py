"""The broker, in memory: keeps what a gateway sends, and hands it to the devices that listen."""

from collections.abc import Callable

from agent.model.signal import State, ToDevice


class FakeBus:
    """`send` fits `Gateway`; `devices` maps a device id to the function that gets its messages."""

    def __init__(self):
        self.up = True
        self.sent: list[tuple[str, str, ToDevice]] = []
        self.devices: dict[str, Callable[[str, ToDevice], None]] = {}

    def send(self, device, session, message):
        if not self.up:
            return False
        self.sent.append((device, session, message))
        listener = self.devices.get(device)
        if listener is not None:
            listener(session, message)
        return True


def state(**changes):
    """An online, idle 720p camera, but for the changes."""
    fields = {"boot_id": "boot-1", "online": True, "since": 1000.0, "name": "Front door", "version": "1.2.3"}
    return State(**(fields | changes))
