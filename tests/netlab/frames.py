"""What a person at the dashboard sees: when pictures came, and whether it is still the same stream."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from playwright.async_api import Page

FREEZE_S = 0.5
"""A longer gap between two pictures is a freeze."""

# Times are Unix milliseconds: the page and the tests run on one machine.
_WATCH_PEERS = """() => {
  window.probe = { frames: [], peers: [], transport: null };
  const Native = RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...settings) {
      super(...settings);
      probe.peers.push(this);
    }
  };
}"""
_WATCH_FRAMES = """() => {
  const video = document.querySelector("video");
  const onFrame = () => {
    probe.frames.push(performance.timeOrigin + performance.now());
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
  probe.transport = probe.peers.at(-1).getReceivers()[0].transport;
}"""
_LOOK = """() => ({
  frames: probe.frames,
  isSame: probe.peers.at(-1).getReceivers()[0]?.transport === probe.transport,
  isConnected: probe.transport.state === "connected",
  isInformed: pinhole.state.portal && pinhole.state.broker,
  phase: pinhole.state.phase,
})"""
_FORGET = """() => {
  probe.frames = probe.frames.slice(-1);
  probe.transport = probe.peers.at(-1).getReceivers()[0].transport;
}"""


@dataclass(frozen=True, slots=True)
class Glance:
    """What the page knows at `now_s`; times are Unix seconds."""

    now_s: float
    frames_s: tuple[float, ...]
    is_same_dtls: bool
    """Whether the DTLS transport is the one of the beginning, and connected."""
    is_informed: bool
    """Whether the dashboard reaches the portal, and the portal the broker."""
    phase: str

    @property
    def frozen_s(self) -> float:
        """The longest gap between two pictures; one that still lasts counts."""
        return max((end - start for start, end in self._gaps()), default=0.0)

    def back_s(self, since_s: float) -> float | None:
        """How long after `since_s` the last freeze ended: 0 where none did, None where one still lasts."""
        last_end_s = since_s
        for start_s, end_s in self._gaps():
            if end_s - start_s > FREEZE_S:
                if end_s == self.now_s:
                    return None
                last_end_s = max(last_end_s, end_s)
        return last_end_s - since_s

    def _gaps(self) -> list[tuple[float, float]]:
        times = (*self.frames_s, self.now_s)
        return list(pairwise(times))


async def watch_peers(page: Page) -> None:
    """Note every peer connection that the page makes from now on."""
    await page.evaluate(_WATCH_PEERS)


async def watch_frames(page: Page) -> None:
    """Note every picture from now on, and the DTLS transport by which they come."""
    await page.evaluate(_WATCH_FRAMES)


async def look(page: Page, now_s: float) -> Glance:
    """Return all since the last `forget`. Fails where the page was loaded anew."""
    said: dict[str, Any] = await page.evaluate(_LOOK)
    frames_s = tuple(at_ms / 1000 for at_ms in said["frames"])
    return Glance(now_s, frames_s, said["isSame"] and said["isConnected"], said["isInformed"], said["phase"])


async def forget(page: Page) -> None:
    """Begin anew: with the last picture, and the transport in use now."""
    await page.evaluate(_FORGET)
