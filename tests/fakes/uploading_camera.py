"""A camera that offers files for the store, and sends what it gets URLs for."""

from dataclasses import replace

from fakes.bus import state

from agent.model.command import COMMANDS, parse_arguments
from agent.model.sections import SectionsMessage, fields_of
from agent.model.signal import Command, Result
from agent.model.upload import MAX_WANTED, MIN_PART_BYTES, UploadNext, UploadSection, part_count, part_size

BEGAN = 1_795_946_100.0
"""2026-11-29 at 09:55:00, UTC."""


def offered(size_bytes, number=1, **more):
    """A file as a camera offers it."""
    fields = {
        "file": f"000000/{number:09}-main.mp4",
        "bytes": size_bytes,
        "start_unix_s": BEGAN + 60 * number,
        "stream": "main",
        "part_bytes": MIN_PART_BYTES,
    }
    return UploadNext(**(fields | more))


class UploadingCamera:
    """Speaks to a gateway over its bus; `put(url, data)` sends a part."""

    def __init__(self, gateway, bus, put, *sizes, name="front"):
        self.gateway, self.put, self.name = gateway, put, name
        self.files = {
            offered(size, number).file: bytes([number]) * size for number, size in enumerate(sizes, 1)
        }
        self.offers = [offered(size, number) for number, size in enumerate(sizes, 1)]
        self.boot, self.seq, self.sent = 0, 0, set()
        self.told: list[tuple[str, object]] = []
        """Each command that came, with its arguments as their type."""
        self.is_mute = False
        """It takes commands, and does nothing."""
        bus.devices[name] = self.on_message

    def start(self):
        """Its agent begins, or begins anew: it knows of nothing that was sent."""
        self.boot += 1
        self.sent = set()
        understands = ("lease", "command", "recordings")
        self.gateway.on_state(self.name, state(boot_id=f"boot-{self.boot}", understands=understands))
        self.say()

    def leave(self):
        self.gateway.on_state(self.name, state(boot_id=f"boot-{self.boot}", online=False))

    def say(self, section=None):
        """Its section, as it is or as a liar has it."""
        self.seq += 1
        said = fields_of(self.section()) if section is None else section
        self.gateway.on_sections(self.name, SectionsMessage(f"boot-{self.boot}", self.seq, {"upload": said}))

    def section(self):
        if not self.offers:
            return UploadSection("idle")
        one = self.offers[0]
        count = part_count(one.bytes, one.part_bytes)
        missing = [number for number in range(1, count + 1) if number not in self.sent]
        one = replace(one, is_sent=not missing)
        return UploadSection("sending", waiting=len(self.offers), next=one, want=tuple(missing[:MAX_WANTED]))

    def on_message(self, session, message):
        if not isinstance(message, Command):
            return
        wish = parse_arguments(COMMANDS[message.name], message.arguments)
        self.told.append((message.name, wish))
        result = Result(0, session, message.name, ok=True, code="done")
        self.gateway.on_signal(self.name, session, result)
        if self.is_mute or not self.offers or wish.file != self.offers[0].file:
            return
        one = self.offers[0]
        if message.name == "uploaded":
            self.offers.pop(0)
            self.sent = set()
        else:
            for part in wish.parts:
                size = part_size(part.number, one.bytes, one.part_bytes)
                at = (part.number - 1) * one.part_bytes
                self.put(part.url, self.files[one.file][at : at + size])
                self.sent.add(part.number)
            self.sent |= set(wish.have)
        self.say()

    @property
    def commands(self):
        return [name for name, _ in self.told]
