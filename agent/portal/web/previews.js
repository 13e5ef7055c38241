// Live previews on the cards: of the cameras that are in sight, while the page is.

import { el } from "./dom.js";
import { savePoster } from "./posters.js";
import { Viewer } from "./viewer.js";

const STORED = "pinhole-previews";
const MAX_LIVE = 9;
const LOOK_MS = 60_000; // for newer stills of those that do not play
const SETTLE_MS = 800; // who only passes by, or clicks at once, starts no camera

/** Live unless switched off here, or the browser is asked to save data. */
export function wantsPreviews() {
  const chosen = localStorage.getItem(STORED);
  return chosen ? chosen === "on" : !navigator.connection?.saveData;
}

export class Previews {
  #signal;
  #iceServers;
  #onPoster;
  #onRest;
  #clock;
  #cards = new Map(); // id to {video, poster, isInSight, isReady, viewer}
  #observer;
  #timer = 0;
  #isOn = wantsPreviews();
  #onVisibility = () => this.#settle();

  /**
   * @param {() => RTCIceServer[]} iceServers
   * @param {(id: string) => void} onPoster called when a card has a newer last picture.
   * @param {(id: string) => void} onRest called now and then for a card that is in sight and does not play.
   */
  constructor({ signal, iceServers, onPoster, onRest }) {
    this.#signal = signal;
    this.#iceServers = iceServers;
    this.#onPoster = onPoster;
    this.#onRest = onRest;
    this.#clock = setInterval(() => this.#arrange(), LOOK_MS);
    this.#observer = new IntersectionObserver((entries) => this.#onSight(entries), { threshold: 0.4 });
    document.addEventListener("visibilitychange", this.#onVisibility);
  }

  get isOn() {
    return this.#isOn;
  }

  /** Those that are open now. */
  get viewers() {
    return [...this.#cards.values()].map((card) => card.viewer).filter(Boolean);
  }

  toggle() {
    this.#isOn = !this.#isOn;
    localStorage.setItem(STORED, this.#isOn ? "on" : "off");
    this.#arrange();
    return this.#isOn;
  }

  /** @param {HTMLElement} poster the part of the card that holds the picture. */
  add(id, poster) {
    const video = el("video", { autoplay: true, playsinline: true, disableremoteplayback: true, "aria-hidden": "true", hidden: true });
    video.muted = true;
    poster.prepend(video);
    this.#cards.set(id, { video, poster, isInSight: false, isReady: false, viewer: null });
    poster.dataset.previewOf = id;
    this.#observer.observe(poster);
  }

  drop(id) {
    const card = this.#cards.get(id);
    if (!card) return;
    this.#observer.unobserve(card.poster);
    this.#stop(id, card);
    this.#cards.delete(id);
  }

  /** @param {boolean} isReady whether the camera could serve a viewer. */
  update(id, isReady) {
    const card = this.#cards.get(id);
    if (!card || card.isReady === isReady) return;
    card.isReady = isReady;
    this.#settle();
  }

  close() {
    clearTimeout(this.#timer);
    clearInterval(this.#clock);
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#observer.disconnect();
    for (const [id, card] of this.#cards) this.#stop(id, card);
    this.#cards.clear();
  }

  #onSight(entries) {
    for (const entry of entries) {
      const card = this.#cards.get(entry.target.dataset.previewOf);
      if (card) card.isInSight = entry.isIntersecting;
    }
    this.#settle();
  }

  #settle() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#arrange(), SETTLE_MS);
  }

  #arrange() {
    const isWanted = (card) => this.#isOn && !document.hidden && card.isInSight && card.isReady;
    for (const [id, card] of this.#cards) if (!isWanted(card)) this.#stop(id, card);
    let room = MAX_LIVE - this.viewers.length;
    for (const [id, card] of this.#cards) if (room > 0 && isWanted(card) && !card.viewer) room -= this.#start(id, card);
    if (!document.hidden) for (const [id, card] of this.#cards) if (card.isInSight && !card.viewer) this.#onRest(id);
  }

  #start(id, card) {
    const viewer = new Viewer({ signal: this.#signal, device: id, video: card.video, iceServers: this.#iceServers, stream: "preview" });
    // A preview that does not come, or goes, leaves the poster: the camera's own page says why.
    viewer.addEventListener("change", () => {
      const shows = viewer.state.phase === "playing" || viewer.state.phase === "stalled";
      if (!shows) this.#keep(id, card);
      card.video.hidden = !shows;
    });
    card.viewer = viewer;
    viewer.start();
    return 1;
  }

  /** The last picture stays on the card. */
  #keep(id, card) {
    if (card.video.hidden) return;
    savePoster(id, card.video);
    this.#onPoster(id);
  }

  #stop(id, card) {
    this.#keep(id, card);
    card.viewer?.stop();
    card.viewer = null;
    card.video.hidden = true;
    card.video.srcObject = null;
  }
}
