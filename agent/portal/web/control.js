// The data channel "control": clock, statistics and keyframe requests, as JSON.

import { nowMs } from "./stamp.js";

const SAMPLES = 8;
const MAX_TEXT = 16_384;

/** Wraps the channel of one session. */
export class Control {
  #channel;
  #sent = new Map();
  #samples = [];
  #nextId = 0;
  deviceStats = null;

  constructor(channel) {
    this.#channel = channel;
    channel.onmessage = (event) => this.#onMessage(event.data);
  }

  /** What to add to this browser's clock to get the camera's, in ms; null until the first pong. */
  get clockOffsetMs() {
    // The quickest exchange has the least room for error (as in RFC 5905 section 10).
    const best = this.#samples.reduce((a, b) => (a && a.rtt <= b.rtt ? a : b), null);
    return best ? best.offset : null;
  }

  ping() {
    if (this.#sent.size > SAMPLES) this.#sent.clear();
    const id = this.#nextId++;
    this.#sent.set(id, nowMs());
    this.#send({ type: "ping", id });
  }

  askStats() {
    this.#send({ type: "stats" });
  }

  askKeyframe() {
    this.#send({ type: "keyframe" });
  }

  /** @param {"main" | "preview"} name the stream to get, from its next keyframe on. */
  wantStream(name) {
    this.#send({ type: "stream", name });
  }

  #send(message) {
    if (this.#channel.readyState === "open") this.#channel.send(JSON.stringify(message));
  }

  #onMessage(text) {
    const message = parse(text);
    if (message?.type === "pong" && this.#sent.has(message.id) && Number.isFinite(message.unix_ms)) {
      const now = nowMs();
      const rtt = now - this.#sent.get(message.id);
      this.#sent.delete(message.id);
      this.#samples.push({ rtt, offset: message.unix_ms - (now - rtt / 2) });
      if (this.#samples.length > SAMPLES) this.#samples.shift();
      else if (this.#samples.length < SAMPLES) this.ping(); // at once at the start: one exchange may be slow
    } else if (message?.type === "stats") {
      this.deviceStats = message;
    }
  }
}

function parse(text) {
  if (typeof text !== "string" || text.length > MAX_TEXT) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null; // nothing depends on one message
  }
}
