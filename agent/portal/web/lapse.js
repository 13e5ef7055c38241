// A day of a camera's stills by the clock, as one film: the camera makes it, and it comes over a session's data channel.

import { commandDevice } from "./commands.js";
import { announce, download, el, setText } from "./dom.js";
import { fetchFile, megabytes, showProgress, stampOf } from "./file.js";
import { choice, field, form } from "./form.js";
import { count } from "./format.js";

/** As in agent/model/lapse.py. */
const FPS = 12;
const CONNECT_MS = 30_000;
const SIZES = [["small", "Small, 640 pixels wide"], ["full", "Large, 1280 pixels wide"]];

export class LapsePage {
  #about;
  #cameras;
  #live;
  /** Grows with each film and each end: who finds another one here after waiting is not wanted any more. */
  #turn = 0;
  #viewer = null;
  #cancel = () => {};
  #film = null;
  #url = "";

  /** @param {(device: string, video: HTMLVideoElement) => Viewer} live shows a camera's small picture. */
  constructor({ about, cameras, live }) {
    [this.#about, this.#cameras, this.#live] = [about, cameras, live];
    this.whom = choice("Camera", "lapse-camera", []);
    this.whom.input.addEventListener("change", () => this.#choose());
    this.day = field("Day", { name: "lapse-day", type: "date", required: true });
    this.size = choice("Size", "lapse-size", SIZES);
    this.said = el("p", { class: "hint", role: "status" });
    this.bar = el("progress", { "aria-label": "Fetched", max: 1, value: 0, hidden: true });
    this.form = form("Make the film", () => this.#make(), el("div", { class: "lapse-wish" }, this.whom, this.day, this.size), this.bar, this.said);
    this.video = el("video", { class: "lapse-film", controls: true, playsinline: true, disableremoteplayback: true, "aria-label": "Time-lapse" });
    this.video.addEventListener("timeupdate", () => this.#tellTime());
    this.time = el("output", { class: "lapse-time" });
    this.save = el("button", { type: "button", class: "button", onclick: () => download(this.#film.blob, this.#film.name) }, "Save the film");
    this.shown = el("section", { class: "lapse-shown", "aria-label": "Film", hidden: true }, this.video, el("div", { class: "mask-tools" }, this.save, this.time));
    const words = "Stills that the camera took by the clock, each shown for a twelfth of a second. The camera makes the film, which may take it a minute or two; it is not signed, as a saved recording is.";
    this.none = el("p", { class: "hint" });
    this.element = el("div", { class: "masks" }, this.none, el("p", { class: "hint" }, words), this.form, this.shown);
  }

  load() {
    const cameras = this.#cameras().filter(({ sections }) => sections.lapse);
    this.whom.input.replaceChildren(...cameras.map(({ id, name }) => el("option", { value: id }, name)));
    if (cameras.some(({ id }) => id === this.#about)) this.whom.input.value = this.#about;
    this.form.hidden = !cameras.length;
    this.none.hidden = cameras.length > 0;
    if (!cameras.length) return setText(this.none, "No camera takes stills by the clock: set stills.every_s in its settings.");
    return this.#choose();
  }

  close() {
    this.#stop();
    URL.revokeObjectURL(this.#url);
  }

  get viewers() {
    return this.#viewer ? [this.#viewer] : [];
  }

  #stop() {
    this.#turn++;
    this.#cancel();
    this.#viewer?.stop();
    this.#viewer = null;
  }

  #choose() {
    this.#stop();
    this.shown.hidden = true;
    const { oldest_at: oldest } = this.#cameras().find(({ id }) => id === this.whom.input.value).sections.lapse;
    this.day.input.min = oldest ? isoDay(oldest * 1000) : "";
    this.day.input.max = isoDay(Date.now());
    this.day.input.value ||= this.day.input.max;
    setText(this.said, oldest ? "" : "This camera has no still yet.");
  }

  async #make() {
    this.#stop();
    const turn = this.#turn;
    const device = this.whom.input.value;
    const start = new Date(`${this.day.input.value}T00:00`);
    const end = new Date(start.getFullYear(), start.getMonth(), start.getDate() + 1); // summer time may begin or end
    this.shown.hidden = true;
    setText(this.said, "The camera makes the film …");
    try {
      const told = await commandDevice(device, "lapse-film", { arguments: { from_at: start / 1000, until_at: end / 1000, size: this.size.input.value } });
      if (turn !== this.#turn) return null;
      if (!told.ok) throw new Error(told.problem ?? (told.message || told.code));
      await this.#connect(device);
      const fetching = fetchFile(this.#viewer, told.value, showProgress(this.bar, this.said));
      this.#cancel = fetching.cancel;
      const blob = await fetching.blob;
      if (turn === this.#turn) this.#show(device, told.value, blob);
    } catch (error) {
      if (turn === this.#turn) setText(this.said, "");
      return turn === this.#turn ? error.message : null;
    } finally {
      if (turn === this.#turn) this.#stop();
      this.bar.hidden = true;
    }
    return null;
  }

  /** A session, for its data channels. */
  #connect(device) {
    setText(this.said, "Connecting …");
    const viewer = (this.#viewer = this.#live(device, el("video", {})));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(reject, CONNECT_MS, new Error("The camera cannot be reached: try again."));
      this.#cancel = () => (clearTimeout(timer), reject(new Error("")));
      viewer.addEventListener("change", () => viewer.state.phase === "playing" && (clearTimeout(timer), resolve()));
      viewer.start();
    });
  }

  #show(device, { start, offsets_s: offsets, left_out: leftOut }, blob) {
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    this.#film = { blob, start, offsets, name: `${device}-${stampOf(start)}-lapse.mp4` };
    this.video.src = this.#url;
    this.shown.hidden = false;
    setText(this.said, [`${count(offsets.length, "still", "stills")}, ${megabytes(blob.size)}.`, leftOut ? `${leftOut} more were left out.` : ""].filter(Boolean).join(" "));
    announce("The film is there");
    this.#tellTime();
  }

  /** When the still that is shown was taken. */
  #tellTime() {
    const { start, offsets } = this.#film;
    const shown = Math.min(offsets.length - 1, Math.floor(this.video.currentTime * FPS + 0.01));
    setText(this.time, new Date((start + offsets[shown]) * 1000).toLocaleTimeString());
  }
}

function isoDay(unixMs) {
  const at = new Date(unixMs);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}
