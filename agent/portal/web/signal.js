// The WebSocket to the portal: comes back by itself, with full jitter so that a restarted portal is not stormed.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const RIVAL_AFTER_MS = 300;
const GIVE_UP_AFTER_MS = 1_500;

/**
 * Events: "up" (open), "down", "signed-out", "second-factor-needed", and "message" with `detail` the parsed JSON.
 * Messages are only sent while open: what they are about belongs to this connection.
 */
export class Signal extends EventTarget {
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #stopped = true;
  #url;
  #isSignedInUrl;
  #heardAt = 0;
  #rival = null;
  #onNetwork = () => (this.#socket ? this.check() : this.#retryNow());

  /** `isSignedInUrl` answers 401 to who may no longer come in. */
  constructor(url, isSignedInUrl) {
    super();
    this.#url = url;
    this.#isSignedInUrl = isSignedInUrl;
  }

  get isUp() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    window.addEventListener("online", this.#onNetwork);
    navigator.connection?.addEventListener("change", this.#onNetwork);
    this.#adopt(new WebSocket(this.#url));
  }

  stop() {
    this.#stopped = true;
    window.removeEventListener("online", this.#onNetwork);
    navigator.connection?.removeEventListener("change", this.#onNetwork);
    clearTimeout(this.#timer);
    this.#dropRival();
    this.#socket?.close(1000);
  }

  send(message) {
    if (!this.isUp) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /**
   * Is this connection alive? Where it does not answer at once, another is opened beside it, and who speaks first
   * stays: TCP would take minutes to notice that our own network changed.
   */
  check() {
    const socket = this.#socket;
    const askedAt = performance.now();
    if (this.#rival || !this.send({ type: "ping" })) return;
    const isOver = () => this.#stopped || socket !== this.#socket || this.#heardAt >= askedAt;
    setTimeout(() => {
      if (isOver() || this.#rival) return;
      const rival = (this.#rival = new WebSocket(this.#url));
      const replace = () => {
        if (rival !== this.#rival || isOver()) return;
        this.#rival = socket.onclose = socket.onmessage = null; // its own close would wait for the other side
        socket.close();
        this.#attempt = 0;
        this.#adopt(rival);
        this.dispatchEvent(new Event("down"));
        if (rival.readyState === WebSocket.OPEN) rival.onopen();
      };
      rival.onopen = replace;
      rival.onclose = () => this.#dropRival();
      setTimeout(replace, GIVE_UP_AFTER_MS - RIVAL_AFTER_MS);
    }, RIVAL_AFTER_MS);
  }

  #dropRival() {
    this.#rival?.close();
    this.#rival = null;
  }

  #adopt(socket) {
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      this.dispatchEvent(new Event("up"));
    };
    socket.onmessage = (event) => {
      this.#heardAt = performance.now();
      this.#dropRival();
      this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(event.data) }));
    };
    socket.onclose = () => this.#onClose();
  }

  async #onClose() {
    this.#socket = null;
    this.dispatchEvent(new Event("down"));
    if (this.#stopped) return;
    // A refused upgrade looks to a page like a dead portal: ask which it is.
    const answer = await fetch(this.#isSignedInUrl, { cache: "no-store" }).catch(() => null);
    if (this.#stopped) return;
    const me = answer?.ok ? await answer.json().catch(() => ({})) : {};
    if (this.#stopped) return;
    if (answer?.status === 401 || me.second_factor_needed) {
      this.stop();
      this.dispatchEvent(new Event(me.second_factor_needed ? "second-factor-needed" : "signed-out"));
      return;
    }
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.#adopt(new WebSocket(this.#url)), Math.random() * ceiling);
  }

  #retryNow() {
    if (this.#stopped || this.#socket) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#adopt(new WebSocket(this.#url)), Math.random() * FIRST_PAUSE_MS);
  }
}
