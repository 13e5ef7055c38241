// The WebSocket to the portal: comes back by itself, with full jitter so that a restarted portal is not stormed.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const PONG_WITHIN_MS = 1_500;

/**
 * Events: "up" (open), "down", "signed-out", and "message" with `detail` the parsed JSON.
 * Messages are only sent while open: what they are about belongs to this connection.
 */
export class Signal extends EventTarget {
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #stopped = true;
  #url;
  #heardAt = 0;
  #onOnline = () => (this.#socket ? this.check() : this.#retryNow());

  constructor(url) {
    super();
    this.#url = url;
  }

  get isUp() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    window.addEventListener("online", this.#onOnline);
    this.#open();
  }

  stop() {
    this.#stopped = true;
    window.removeEventListener("online", this.#onOnline);
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }

  send(message) {
    if (!this.isUp) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Is this connection alive? One that does not answer is left for a new one: TCP would take minutes to notice. */
  check() {
    const socket = this.#socket;
    const askedAt = performance.now();
    if (!this.send({ type: "ping" })) return;
    setTimeout(() => {
      if (socket !== this.#socket || this.#heardAt >= askedAt) return;
      socket.onclose = null; // its own close would wait for the other side
      socket.close();
      this.#attempt = 0;
      this.dispatchEvent(new Event("down"));
      if (!this.#stopped) this.#open(); // at once: it is our network that changed, not the portal that stopped
    }, PONG_WITHIN_MS);
  }

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      this.dispatchEvent(new Event("up"));
    };
    socket.onmessage = (event) => {
      this.#heardAt = performance.now();
      this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(event.data) }));
    };
    socket.onclose = () => this.#onClose();
  }

  async #onClose() {
    this.#socket = null;
    this.dispatchEvent(new Event("down"));
    if (this.#stopped) return;
    // A refused upgrade looks to a page like a dead portal: ask which it is.
    const answer = await fetch("api/session", { cache: "no-store" }).catch(() => null);
    if (this.#stopped) return;
    if (answer?.status === 401) {
      this.stop();
      this.dispatchEvent(new Event("signed-out"));
      return;
    }
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.#open(), Math.random() * ceiling);
  }

  #retryNow() {
    if (this.#stopped || this.#socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), Math.random() * FIRST_PAUSE_MS);
  }
}
