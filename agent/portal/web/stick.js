// What moves a camera's head: velocities over the data channel "ptz", ten times a second while anything is held.

import { parseSaid } from "./said.js";

const EVERY_MS = 100; // the camera stops its head 400 ms after the last one
const STOPS = 3; // the channel may lose two
const STOP_EVERY_MS = 50;
const MAX_WAITING_BYTES = 512; // what waits on a slow link is old, and would move the head after its end
const REFUSED_MS = 3_000;
const MAX_TEXT = 1_024;

const within = (value) => Math.min(1, Math.max(-1, value));

/** Events: "change" when `holder`, `isMine`, `isMoving` or `refusal` has. */
export class Stick extends EventTarget {
  /** Who moves the head: a name, or null. */
  holder = null;
  isMine = false;
  isMoving = false;
  /** Why the head does not follow: "ptz-busy", "not-allowed", "absent", "let-go", or "". */
  refusal = "";
  #channel = null;
  #seq = 0;
  #held = new Map();
  #timer = 0;
  #stops = 0;
  #refused = 0;

  /** The channel of this session, or null without one. */
  use(channel) {
    if (channel === this.#channel) return;
    this.release();
    this.#channel = channel;
    this.#seq = 0;
    Object.assign(this, { holder: null, isMine: false, isMoving: false, refusal: "" });
    if (channel) channel.onmessage = ({ data }) => channel === this.#channel && this.#onMessage(data);
    this.#changed();
  }

  /** Something is held, so far to the right, up and in, each from -1 to 1. Of several the sum counts. */
  hold(source, { pan = 0, tilt = 0, zoom = 0 }) {
    const isFirst = !this.#held.size;
    this.#held.set(source, { pan, tilt, zoom });
    if (isFirst) this.#beat();
  }

  /** It is no longer held; the last one that is let go stops the head. */
  letGo(source) {
    if (this.#held.delete(source) && !this.#held.size) this.#stop();
  }

  /** Whatever is held is let go: the page lost the keyboard, the pointer, or is not seen any more. */
  release() {
    if (!this.#held.size) return;
    this.#held.clear();
    this.#stop();
  }

  #beat() {
    clearTimeout(this.#timer);
    if (!this.#held.size) return;
    const held = [...this.#held.values()];
    const [pan, tilt, zoom] = ["pan", "tilt", "zoom"].map((axis) => within(held.reduce((sum, one) => sum + one[axis], 0)));
    this.#send(pan, tilt, zoom);
    this.#timer = setTimeout(() => this.#beat(), EVERY_MS);
  }

  #stop() {
    this.#stops = STOPS;
    this.#sayStop();
  }

  #sayStop() {
    clearTimeout(this.#timer);
    this.#send(0, 0, 0);
    this.#stops -= 1;
    if (this.#stops) this.#timer = setTimeout(() => this.#sayStop(), STOP_EVERY_MS);
  }

  #send(pan, tilt, zoom) {
    const channel = this.#channel;
    const isStop = !pan && !tilt && !zoom;
    if (channel?.readyState !== "open" || (channel.bufferedAmount > MAX_WAITING_BYTES && !isStop)) return;
    this.#seq += 1;
    const rounded = (value) => Math.round(value * 1000) / 1000;
    channel.send(JSON.stringify({ seq: this.#seq, pan: rounded(pan), tilt: rounded(tilt), zoom: rounded(zoom) }));
  }

  #onMessage(text) {
    const message = parseSaid(text, MAX_TEXT);
    if (!message) return;
    if (typeof message.refused === "string") {
      this.refusal = message.refused;
      this.holder = nameIn(message);
      clearTimeout(this.#refused);
      this.#refused = setTimeout(() => this.#forgetRefusal(), REFUSED_MS);
    } else if (typeof message.mine === "boolean") {
      Object.assign(this, { holder: nameIn(message), isMine: message.mine, isMoving: message.moving === true });
      if (this.isMine) this.refusal = "";
    } else return;
    this.#changed();
  }

  #forgetRefusal() {
    this.refusal = "";
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const nameIn = ({ holder }) => (typeof holder === "string" ? holder : null);
