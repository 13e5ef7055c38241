// What went wrong, in words: a title, and what to do about it.

const BY_CODE = {
  offline: ["The camera is offline", "Check its power and its network. Playback starts by itself when it is back."],
  "unknown-camera": ["There is no such camera here", "It was removed or never enrolled, or you may not watch it. Ask whoever runs the portal."],
  "broker-away": ["The portal cannot reach the cameras", "It has lost the MQTT broker and keeps trying. Playback starts by itself."],
  "no-answer": ["The camera did not answer", "Its link may be down or very slow."],
  "portal-away": ["The portal cannot be reached", "Check your own connection. Playback starts by itself when the portal is back."],
  "no-path": ["No network path to the camera", "A firewall may block UDP at one end. A TURN server gets through; ask whoever runs the portal."],
  "server-silent": ["No path, and a STUN or TURN server did not answer", ""],
  "turn-refused": ["The TURN server refused this browser", ""],
  "no-picture": ["Connected, but no picture came", "The camera may be stuck starting up."],
  lost: ["The connection was lost", "The network at one end may have changed or dropped."],
  stalled: ["The picture stopped", "Looking for another path to the camera. Its link may be weak, or one end's network changed."],
  "uplink-full": ["The camera's link has no room for another viewer", ""],
  "too-many-viewers": ["The camera has all the viewers it can take", ""],
  expired: ["The request came too late, or the camera's clock is wrong", ""],
  "gave-up": ["The camera gave up", ""],
  ended: ["The camera ended the stream", ""],
  unsupported: ["This browser cannot play H.264", "Use a current Chrome, Edge or Safari, or add H.264 support to this browser."],
  "no-webrtc": ["This browser cannot play live video", "WebRTC is missing or switched off. Use a current browser."],
};

/** @returns {{title: string, advice: string}} Words for a code; `message` is what the other side said about it. */
export function wordsFor(code, message = "") {
  const [title, advice] = BY_CODE[code] ?? ["The camera refused", message];
  return { title, advice: advice || message };
}

/** What stands between a camera and the internet, by the names of `agent/model/health.py`. */
export const NATS = {
  open: "No NAT",
  firewall: "Firewall, no NAT",
  "full-cone": "Full-cone NAT",
  restricted: "Restricted NAT",
  "port-restricted": "Port-restricted NAT",
  cone: "Cone NAT",
  symmetric: "Symmetric NAT",
  "udp-blocked": "UDP is blocked",
  unknown: "Not known",
};

export const PROGRESS = {
  asking: "Asking the camera",
  connecting: "Finding a path",
  waiting: "Waiting for the first picture",
};
