"""A camera at a gateway that answers what it is asked for pictures."""

import base64
import time

from agent.camera.picture import TestPicture
from agent.model.signal import Command, Result
from agent.model.still import MAX_SMALL_BYTES, MAX_THUMBNAIL_BYTES
from agent.record.jpeg import make_jpeg


class Photographer:
    """`on_message` goes into `FakeBus.devices`; `asked` are the names of the commands that came."""

    def __init__(self, gateway, device, *, age_s=0.0):
        self.gateway, self.device, self.age_s = gateway, device, age_s
        self.asked = []
        picture = TestPicture(640, 360, 30).draw(0, 1_800_000_000_000)
        self.jpeg, *_ = make_jpeg(picture, 640, MAX_SMALL_BYTES)
        self._thumbnail, *_ = make_jpeg(picture, 320, MAX_THUMBNAIL_BYTES)

    def on_message(self, session, message):
        if not isinstance(message, Command):
            return
        self.asked.append(message.name)
        is_small = message.name == "snapshot"
        jpeg = self.jpeg if is_small else self._thumbnail
        value = {"jpeg": base64.b64encode(jpeg).decode(), "taken_at": time.time() - self.age_s}
        if is_small:
            value |= {"width_px": 640, "height_px": 360}
        self.gateway.on_signal(
            self.device, session, Result(0, session, message.name, ok=True, code="done", value=value)
        )
