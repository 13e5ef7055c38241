// One camera, full screen.

import { badge, stateOf, updateBadge } from "./badge.js";
import { announce, el, icon, iconButton, setText } from "./dom.js";
import { size } from "./format.js";
import { Overlay } from "./overlay.js";
import { savePoster } from "./posters.js";
import { Viewer } from "./viewer.js";
import { PROGRESS } from "./words.js";

const POSTER_EVERY_MS = 10_000;
const HIDE_BARS_AFTER_MS = 3_500;
const STEPS = Object.keys(PROGRESS);

export class CameraView {
  #id;
  #viewer;
  #timers = [];
  #idle = 0;
  #said = "";

  constructor({ id, signal, iceServers, poster, showHelp, isShared = false }) {
    this.#id = id;
    this.video = el("video", { autoplay: true, playsinline: true, disableremoteplayback: true, "aria-label": "Live picture" });
    this.video.muted = true; // the property: the attribute alone does not allow autoplay
    this.still = el("canvas", { class: "still", "aria-hidden": "true" });
    this.overlay = new Overlay();
    this.title = el("h1", {});
    this.detail = el("p", { class: "detail" });
    this.badge = badge();
    this.message = el("div", { class: "message" });
    this.statsButton = iconButton("stats", "Statistics (i)", () => this.#toggleStats(), { "aria-pressed": "false" });
    this.smallButton = iconButton("small", "Small picture, which saves data (d)", () => this.#toggleSmall(), { "aria-pressed": "false", hidden: true });
    this.snapshotButton = iconButton("snapshot", "Save a snapshot (s)", () => this.#snapshot());
    this.pipButton = iconButton("pip", "Picture in picture", () => this.#pictureInPicture());
    if (!document.pictureInPictureEnabled) this.pipButton.hidden = true;
    this.element = this.#layout(showHelp, isShared);
    if (poster) this.#showPoster(poster);
    this.#viewer = new Viewer({ signal, device: id, video: this.video, iceServers });
    this.#viewer.addEventListener("change", () => this.#onChange());
    this.#viewer.addEventListener("stats", () => this.overlay.update(this.#viewer.stats, this.#viewer.hasStamp));
  }

  get viewer() {
    return this.#viewer;
  }

  get viewers() {
    return [this.#viewer];
  }

  start() {
    this.#viewer.start();
    this.#timers = [setInterval(() => this.#keepPoster(), POSTER_EVERY_MS), setInterval(() => this.#countDown(), 250)];
    this.#wake();
  }

  /** @param {object | undefined} device undefined where the portal does not know it. */
  update(device) {
    setText(this.title, device?.name ?? this.#id);
    document.title = `${device?.name ?? this.#id} – Pinhole`;
    this.deviceState = device ? stateOf(device) : "offline";
    this.#viewer.hasStamp = device?.has_stamp ?? false;
    const stream = device?.streams.find((one) => one.name === "main") ?? device?.streams[0];
    this.smallButton.hidden = !device?.streams.some((one) => one.name === "preview");
    this.#viewer.fps = stream?.fps ?? 0;
    setText(this.detail, stream ? `${size(stream.width_px, stream.height_px)} · ${Math.round(stream.fps)} fps` : "");
    this.overlay.updateHealth(device?.health);
    this.problem = device?.camera === "failed" ? device.problem : "";
    this.#onChange();
  }

  focus() {
    this.element.focus({ preventScroll: true });
  }

  close() {
    this.#keepPoster();
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#idle);
    this.#viewer.stop();
    if (document.fullscreenElement) document.exitFullscreen();
    if (document.pictureInPictureElement === this.video) document.exitPictureInPicture();
  }

  onKey(key) {
    const actions = { i: () => this.#toggleStats(), d: () => this.#toggleSmall(), s: () => this.#snapshot(), f: () => this.#fullscreen(), p: () => this.#pictureInPicture() };
    if (!actions[key]) return false;
    actions[key]();
    return true;
  }

  #layout(showHelp, isShared) {
    const back = isShared ? null : el("a", { class: "icon-button", href: "#/", "aria-label": "All cameras", title: "All cameras (Esc)" }, icon("back"));
    const fullscreen = iconButton("fullscreen", "Full screen (f)", () => this.#fullscreen());
    const help = iconButton("help", "Keyboard shortcuts (?)", showHelp, { class: "icon-button wide-only" });
    const buttons = el("div", { class: "controls" }, this.statsButton, this.smallButton, this.snapshotButton, this.pipButton, fullscreen, help);
    const names = el("div", { class: "names" }, this.title, this.detail);
    return el(
      "main",
      { class: "stage", tabindex: "-1", onpointermove: () => this.#wake(), onpointerdown: () => this.#wake(), onfocusin: () => this.#wake(), ondblclick: (event) => event.target === this.video && this.#fullscreen() },
      this.still,
      this.video,
      el("div", { class: "bar" }, ...(back ? [back] : []), names, this.badge, buttons),
      this.overlay.element,
      this.message,
    );
  }

  #onChange() {
    const { phase, title, advice, retryAt } = this.#viewer.state;
    this.element.dataset.phase = phase;
    const playing = phase === "playing";
    updateBadge(this.badge, playing ? "live" : (this.deviceState === "live" ? "starting" : this.deviceState ?? "starting"));
    this.snapshotButton.disabled = this.pipButton.disabled = !playing;
    if (playing) this.message.replaceChildren();
    else if (PROGRESS[phase]) this.#showProgress(phase);
    else this.#showProblem(title, this.problem || advice, retryAt, phase === "unsupported");
    if (phase === "retrying") this.#holdStill();
    this.#say(playing ? "Live" : PROGRESS[phase] ?? title);
  }

  #showProgress(phase) {
    const steps = STEPS.map((step) => el("li", { "aria-current": step === phase ? "step" : null, class: STEPS.indexOf(step) < STEPS.indexOf(phase) ? "done" : "" }, PROGRESS[step]));
    this.message.replaceChildren(el("div", { class: "panel progress" }, el("div", { class: "spinner", "aria-hidden": "true" }), el("ol", {}, ...steps)));
  }

  #showProblem(title, advice, retryAt, isFinal) {
    this.countdown = el("span", { class: "countdown" });
    const retry = el("button", { type: "button", class: "button primary", onclick: () => this.#viewer.retryNow() }, "Retry now");
    const again = isFinal ? null : el("div", { class: "again" }, retry, this.countdown);
    this.message.replaceChildren(el("div", { class: "panel problem" }, icon("alert"), el("h2", {}, title), advice ? el("p", {}, advice) : null, again));
    this.retryAt = retryAt;
    this.#countDown();
  }

  #countDown() {
    if (!this.countdown?.isConnected) return;
    const seconds = Math.max(0, Math.ceil((this.retryAt - Date.now()) / 1000));
    setText(this.countdown, this.retryAt ? `Trying again in ${seconds} s` : "Starts by itself");
  }

  /** Keep showing the last picture while the next session comes up. */
  #holdStill() {
    if (!this.video.videoWidth) return;
    this.still.width = this.video.videoWidth;
    this.still.height = this.video.videoHeight;
    this.still.getContext("2d").drawImage(this.video, 0, 0);
    this.video.srcObject = null;
  }

  #showPoster(poster) {
    const image = new Image();
    image.onload = () => {
      if (this.still.dataset.kind) return;
      [this.still.width, this.still.height] = [image.naturalWidth, image.naturalHeight];
      this.still.getContext("2d").drawImage(image, 0, 0);
    };
    image.src = poster.url;
  }

  #keepPoster() {
    if (this.#viewer.state.phase === "playing") savePoster(this.#id, this.video);
  }

  /** Between the full picture and the small one, within the session. */
  #toggleSmall() {
    if (this.smallButton.hidden) return;
    this.#viewer.want(this.#viewer.stream === "main" ? "preview" : "main");
    this.smallButton.setAttribute("aria-pressed", String(this.#viewer.stream === "preview"));
  }

  #toggleStats() {
    this.statsButton.setAttribute("aria-pressed", String(this.overlay.toggle()));
  }

  async #fullscreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    if (this.element.requestFullscreen) return this.element.requestFullscreen().catch(() => {});
    return this.video.webkitEnterFullscreen?.(); // iPhones have it for video alone
  }

  async #pictureInPicture() {
    if (document.pictureInPictureElement) return document.exitPictureInPicture();
    return this.video.requestPictureInPicture?.().catch(() => {}); // refused: the page plays on
  }

  #snapshot() {
    if (this.#viewer.state.phase !== "playing") return;
    const canvas = el("canvas", { width: this.video.videoWidth, height: this.video.videoHeight });
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const name = `${this.#id}-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}Z.jpg`;
    canvas.toBlob((blob) => download(blob, name), "image/jpeg", 0.92);
    this.element.classList.remove("flash");
    void this.element.offsetWidth; // restarts the animation
    this.element.classList.add("flash");
    announce("Snapshot saved");
  }

  /** Show the bars, and hide them again while nobody moves and the picture plays. */
  #wake() {
    this.element.classList.remove("quiet");
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.element.classList.add("quiet"), HIDE_BARS_AFTER_MS);
  }

  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    announce(text);
  }
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
