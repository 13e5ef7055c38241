// The data channel "control": clock, statistics and keyframe requests, as JSON.

import { parseSaid } from "./said.js";
import { nowMs } from "./stamp.js";

const SAMPLES = 8;
const MAX_TEXT = 65_536; // a picture in base64
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_WAITING = 32;

/** 128 random bits: what was done under an id is not done again. */
export const commandId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const UNTOLD = Object.freeze({ ok: false, code: "no-answer", message: "The camera has not answered." });

/** Wraps the channel of one session. */
export class Control {
  #channel;
  #sent = new Map();
  #samples = [];
  #nextId = 0;
  #waiting = new Map();
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

  /** Has the camera do one of the table of commands: `{ok, code, message, value}`, whatever becomes of the session. */
  command(name, wish = {}) {
    if (this.#channel.readyState !== "open" || this.#waiting.size >= MAX_WAITING) return Promise.resolve(UNTOLD);
    const id = commandId();
    return new Promise((resolve) => {
      const settle = (told) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(told);
      };
      const timer = setTimeout(settle, ANSWER_TIMEOUT_MS, UNTOLD);
      this.#waiting.set(id, settle);
      this.#send({ type: "command", id, name, arguments: wish });
    });
  }

  #send(message) {
    if (this.#channel.readyState === "open") this.#channel.send(JSON.stringify(message));
  }

  #onMessage(text) {
    const message = parseSaid(text, MAX_TEXT);
    if (message?.type === "pong" && this.#sent.has(message.id) && Number.isFinite(message.unix_ms)) {
      const now = nowMs();
      const rtt = now - this.#sent.get(message.id);
      this.#sent.delete(message.id);
      this.#samples.push({ rtt, offset: message.unix_ms - (now - rtt / 2) });
      if (this.#samples.length > SAMPLES) this.#samples.shift();
      else if (this.#samples.length < SAMPLES) this.ping(); // at once at the start: one exchange may be slow
    } else if (message?.type === "result") {
      this.#waiting.get(message.id)?.(message);
    } else if (message?.type === "stats") {
      this.deviceStats = { ...message, receivedAt: performance.now() };
    }
  }
}
