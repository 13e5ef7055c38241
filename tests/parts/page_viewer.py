"""A browser's own RTCPeerConnection, as a viewer of the device in `stock_viewer`."""

import asyncio
import json
import secrets
from contextlib import asynccontextmanager

from parts.stock_viewer import offer_of

_OFFER = """async (policy, sections) => {
  const tone = () => {
    const context = new AudioContext();
    const source = new OscillatorNode(context, { frequency: 1000 });
    const voice = new MediaStreamAudioDestinationNode(context);
    source.connect(voice);
    source.start();
    return voice.stream.getAudioTracks()[0];
  };
  window.pc = new RTCPeerConnection({ bundlePolicy: policy });
  window.channel = null;
  window.video = document.body.appendChild(document.createElement("video"));
  video.muted = true;
  pc.ontrack = (event) => { video.srcObject = event.streams[0]; video.play(); };
  for (const section of sections) {
    if (section === "data") window.channel = pc.createDataChannel("control");
    else if (section === "voice") pc.addTransceiver(tone(), { direction: "sendrecv" });
    else pc.addTransceiver(section, { direction: "recvonly" });
  }
  window.opened = new Promise((resolve) => { if (channel) channel.onopen = resolve; });
  window.replied = new Promise((resolve) => {
    if (channel) channel.onmessage = (event) => resolve(event.data);
  });
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""
_ANSWER = """async (sdp) => { await pc.setRemoteDescription({ type: "answer", sdp }); }"""
_ASK = """async (text) => { await opened; channel.send(text); return await replied; }"""
_RECEIVED = """async () => {
  const all = [...(await pc.getStats()).values()].filter((stats) => stats.type === "inbound-rtp");
  const [video, audio] = ["video", "audio"].map((kind) => all.find((stats) => stats.kind === kind));
  return {
    pictures: video?.framesDecoded ?? 0,
    packets: video?.packetsReceived ?? 0,
    sounds: audio?.packetsReceived ?? 0,
    lost: (video?.packetsLost ?? 0) + (audio?.packetsLost ?? 0),
    plis: video?.pliCount ?? 0,
    energy: audio?.totalAudioEnergy ?? 0,
  };
}"""
POLL_S = 0.1


class PageViewer:
    """See `offering`."""

    def __init__(self, device, call):
        self.session = secrets.token_hex(8)
        self.answer = asyncio.get_running_loop().create_future()
        self._device, self._call = device, call
        device.viewers[self.session] = self

    async def connect(self, *sections, policy="max-bundle", change=lambda sdp: sdp):
        """Offer these sections, in this order, and take the answer; the offer."""
        offered = change(await self._call(_OFFER, policy, sections))
        self._device.sessions.on_offer(self.session, offer_of(offered))
        await self._call(_ANSWER, await self.answer)
        return offered

    async def ask(self, message):
        """Send on the control channel, and the reply."""
        return json.loads(await self._call(_ASK, json.dumps(message)))

    async def received(self, **wanted):
        """Wait until so many `pictures` were decoded, `packets` and `sounds` received; all that is known."""
        found = {}
        while any(found.get(what, -1) < least for what, least in wanted.items()):
            await asyncio.sleep(POLL_S)
            found = await self._call(_RECEIVED)
        return found

    # What the device says.

    def on_answer(self, sdp):
        self.answer.set_result(sdp)

    def on_candidate(self, _line):
        """Those in the answer will do on loopback."""

    def on_restart_wanted(self, reason):
        """Nobody restarts."""

    def on_end(self, code, message):
        if not self.answer.done():
            self.answer.set_exception(AssertionError(f"{code}: {message}"))


@asynccontextmanager
async def offering(device, call):
    """A viewer in a page; `call` runs a JavaScript function there, with arguments."""
    one = PageViewer(device, call)
    try:
        yield one
    finally:
        device.sessions.on_bye(one.session, "left")
