// One camera, full screen.

import { badge, motionOf, sinceOf, stateOf, updateBadge, watchersOf } from "./badge.js";
import { CommandMenu } from "./commands.js";
import { nameOf, streamOf } from "./device.js";
import { announce, download, el, icon, setText, tool } from "./dom.js";
import { clock, moment, size } from "./format.js";
import { EventMenu } from "./events.js";
import { ModemMenu } from "./modem.js";
import { LookBack } from "./lookback.js";
import { Notice } from "./notice.js";
import { Overlay } from "./overlay.js";
import { savePoster } from "./posters.js";
import { Ptz } from "./ptz.js";
import { Viewer } from "./viewer.js";
import { PROGRESS, wordsFor } from "./words.js";
import { Zoom } from "./zoom.js";

const POSTER_EVERY_MS = 10_000;
const HIDE_BARS_AFTER_MS = 3_500;

export class CameraView {
  #id;
  #viewer;
  #device = null;
  #linkEnds = null;
  #heldAt = 0;
  #timers = [];
  #idle = 0;
  #said = "";

  constructor({ id, signal, iceServers, poster, showHelp, isShared = false }) {
    this.#id = id;
    this.video = el("video", { autoplay: true, playsinline: true, disableremoteplayback: true, "aria-label": "Live picture" });
    this.video.muted = true; // the property: the attribute alone does not allow autoplay
    this.still = el("canvas", { class: "still", "aria-hidden": "true" });
    this.picture = el("div", { class: "picture" }, this.still, this.video);
    this.zoom = new Zoom(this.picture);
    this.overlay = new Overlay();
    this.title = el("h1", {});
    this.detail = el("p", { class: "detail" });
    this.badge = badge();
    this.notice = new Notice(() => this.#viewer.retryNow());
    this.statsButton = tool("stats", "Statistics", () => this.#toggleStats(), { title: "Statistics (i)", "aria-pressed": "false" });
    this.smallButton = tool("small", "Small picture", () => this.#toggleSmall(), { title: "Saves data (d)", "aria-pressed": "false", hidden: true });
    this.snapshotButton = tool("snapshot", "Snapshot", () => this.#snapshot(), { title: "Save a picture (s)" });
    this.pipButton = tool("pip", "Pop out", () => this.#pictureInPicture(), { title: "Picture in picture (p)" });
    if (!document.pictureInPictureEnabled) this.pipButton.hidden = true;
    this.#viewer = new Viewer({ signal, device: id, video: this.video, iceServers });
    this.lookBack = isShared ? null : new LookBack(id, this.#viewer);
    this.lookBack?.addEventListener("change", () => this.#onLookBack());
    this.ptz = isShared ? null : new Ptz(id, this.#viewer, this.video, this.zoom);
    this.element = this.#layout(showHelp, isShared);
    if (poster) this.showPoster(poster);
    this.#viewer.addEventListener("change", () => this.#onChange());
    this.#viewer.addEventListener("stats", () => this.#onStats());
  }

  get viewer() {
    return this.#viewer;
  }

  get viewers() {
    return [this.#viewer];
  }

  start() {
    this.#viewer.start();
    this.#timers = [setInterval(() => this.#keepPoster(), POSTER_EVERY_MS), setInterval(() => this.notice.tick(), 250)];
    this.#wake();
  }

  /**
   * @param {object | undefined} device undefined where the portal does not know it.
   * @param {number | undefined} linkEnds when the share link does that opened this page, in Unix seconds.
   */
  update(device, linkEnds) {
    this.#device = device;
    this.#linkEnds = linkEnds;
    const name = device ? nameOf(device) : this.#id;
    setText(this.title, name);
    document.title = `${name} – Pinhole`;
    this.#viewer.hasStamp = device?.sections.camera.has_stamp ?? false;
    const stream = device && streamOf(device);
    this.smallButton.hidden = !device?.sections.streams?.preview;
    this.#viewer.fps = stream?.fps ?? 0;
    const masks = device?.sections.masks;
    const parts = [
      masks?.state === "blank" ? "Blanked by its privacy masks" : "",
      linkEnds ? `Your link ends ${moment(linkEnds)}` : "",
      device ? watchersOf(device) : "",
      device ? motionOf(device) : "",
      stream ? `${size(stream.width_px, stream.height_px)} · ${Math.round(stream.fps)} fps` : "",
    ];
    setText(this.detail, parts.filter(Boolean).join(" · "));
    this.detail.title = masks?.problem ?? "";
    this.modem?.update(device);
    this.overlay.updateHealth(device?.sections.health);
    this.overlay.updatePlace(device?.sections.gnss);
    this.overlay.updateRecording(device?.sections.record);
    this.ptz?.update(device?.sections.ptz);
    this.lookBack?.update(device?.sections.record, device?.sections.upload);
    this.#onChange();
  }

  /** What was recorded at that time, where this user may see it. */
  lookAt(at) {
    this.lookBack?.open(at);
  }

  focus() {
    this.element.focus({ preventScroll: true });
  }

  close() {
    this.#keepPoster();
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#idle);
    this.ptz?.close();
    this.lookBack?.close();
    this.#viewer.stop();
    if (document.fullscreenElement) document.exitFullscreen();
    if (document.pictureInPictureElement === this.video) document.exitPictureInPicture();
  }

  onKey(key, event) {
    if (this.lookBack?.onKey(event) || (!this.element.classList.contains("looking-back") && this.ptz?.onKey(event))) return true;
    const actions = { i: () => this.#toggleStats(), d: () => this.#toggleSmall(), s: () => this.#snapshot(), f: () => this.#fullscreen(), p: () => this.#pictureInPicture() };
    if (!actions[key]) return this.zoom.onKey(key);
    actions[key]();
    return true;
  }

  #layout(showHelp, isShared) {
    const back = isShared ? [] : [el("a", { class: "icon-button", href: "#/", "aria-label": "All cameras", title: "All cameras (Esc)" }, icon("back"))];
    const fullscreen = tool("fullscreen", "Full screen", () => this.#fullscreen(), { title: "Full screen (f)" });
    const help = tool("help", "Keys", showHelp, { class: "tool wide-only", title: "Keyboard shortcuts (?)" });
    const buttons = el("div", { class: "controls" }, this.statsButton, this.smallButton, this.snapshotButton, this.pipButton, fullscreen, help);
    const commands = isShared ? null : new CommandMenu(this.#id);
    const events = isShared ? null : new EventMenu(this.#id);
    this.modem = isShared ? null : new ModemMenu(this.#id);
    if (this.lookBack) buttons.prepend(this.lookBack.button);
    if (commands) buttons.append(commands.button);
    const names = el("div", { class: "names" }, this.title, this.detail);
    return el(
      "main",
      { class: "stage", tabindex: "-1", onpointermove: () => this.#wake(), onpointerdown: () => this.#wake(), onfocusin: () => this.#wake(), ondblclick: (event) => this.picture.contains(event.target) && this.#fullscreen() },
      this.picture,
      el("div", { class: "bar" }, ...back, names, this.badge, buttons, this.ptz?.button, this.modem?.button, events?.button),
      this.modem?.element,
      events?.element,
      commands?.element,
      this.overlay.element,
      this.notice.element,
      this.zoom.element,
      this.lookBack?.element,
      ...(this.ptz?.elements ?? []),
    );
  }

  #onStats() {
    this.overlay.update(this.#viewer.stats, this.#viewer.hasStamp);
    this.ptz?.onRoundTrip(this.#viewer.stats.rttMs);
    this.#viewer.isStill = this.lookBack?.isStill ?? false;
  }

  #onLookBack() {
    this.element.classList.toggle("looking-back", !this.lookBack.element.hidden);
    this.#viewer.isStill = this.lookBack.isStill;
    this.#onChange();
  }

  #onChange() {
    this.ptz?.onViewer();
    this.lookBack?.onViewer();
    const { phase, title } = this.#viewer.state;
    this.element.dataset.phase = phase;
    const playing = phase === "playing";
    const known = this.#device ? stateOf(this.#device) : "offline";
    this.badge.hidden = !this.#device;
    updateBadge(this.badge, playing && this.lookBack?.isBack ? "recorded" : playing ? "live" : known === "live" ? "starting" : known);
    this.snapshotButton.disabled = this.pipButton.disabled = !playing;
    if (phase === "retrying") this.#holdStill();
    this.#notify();
    this.#say(playing ? (this.lookBack?.isBack ? "Recorded" : "Live") : PROGRESS[phase] ?? title);
  }

  #notify() {
    const { phase, title, advice, retryAt } = this.#viewer.state;
    const trouble = this.#trouble();
    this.element.classList.toggle("has-picture", phase === "stalled" || this.#heldAt > 0);
    if (phase === "playing") this.notice.hide();
    else if (phase === "stalled") this.notice.stalled(trouble?.title ?? title, trouble?.advice ?? advice);
    else if (trouble) this.notice.problem({ ...trouble, retryAt, doing: PROGRESS[phase] ? "Trying now …" : "", way: "retry" });
    else if (PROGRESS[phase]) this.notice.progress(phase);
    else {
      const isUnknown = this.#viewer.code === "unknown-camera";
      this.notice.problem({ title, advice, retryAt, way: phase === "unsupported" ? "none" : isUnknown ? "leave" : "retry" });
    }
  }

  /** What the camera itself says is the matter: it stands while the viewer tries again and again. */
  #trouble() {
    const device = this.#device;
    const state = device ? stateOf(device) : "";
    if (state === "failed") return { title: "The camera has failed", advice: device.sections.camera.problem };
    if (state !== "offline") return null;
    const { title, advice } = wordsFor("offline");
    return { title, advice: `${sinceOf(device)}. ${device.sections.camera.problem || advice}` };
  }

  /** Keep showing the last picture while the next session comes up. */
  #holdStill() {
    if (!this.video.videoWidth || !this.video.srcObject) return;
    this.#heldAt = Date.now();
    this.still.dataset.kind = "held";
    this.still.width = this.video.videoWidth;
    this.still.height = this.video.videoHeight;
    const context = this.still.getContext("2d");
    context.drawImage(this.video, 0, 0);
    this.element.dataset.held = `Last picture ${clock(this.#heldAt)}`;
    this.video.srcObject = null;
  }

  /** Until the stream plays. */
  showPoster(poster) {
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
