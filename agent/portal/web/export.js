// Saves what was recorded as one MP4: the camera makes and signs it, and it comes over a data channel of the session.

import { commandDevice } from "./commands.js";
import { announce, download, el, setText } from "./dom.js";
import { fetchFile, megabytes, showProgress, stampOf } from "./file.js";
import { count } from "./format.js";

const LENGTHS = [["30", "30 s"], ["60", "1 min"], ["300", "5 min"], ["900", "15 min"], ["3600", "1 h"]];

export class SaveClip {
  #device;
  #viewer;
  #where;
  #cancel = null;

  /** @param {() => number | null} where what is shown, in Unix seconds; null while it is live. */
  constructor(device, viewer, where) {
    this.#device = device;
    this.#viewer = viewer;
    this.#where = where;
    this.length = el("select", { "aria-label": "How much to save" }, ...LENGTHS.map(([seconds, name]) => el("option", { value: seconds }, name)));
    this.button = el("button", { type: "button", class: "button", onclick: () => (this.#cancel ? this.#cancel() : this.#save()) }, "Save");
    this.bar = el("progress", { "aria-label": "Fetched", max: 1, value: 0, hidden: true });
    this.said = el("span", { class: "lookback-said", role: "status" });
    this.element = el("div", { class: "lookback-save", role: "group", "aria-label": "Save as a file" }, this.length, this.button, this.bar, this.said);
    this.#rest();
  }

  #rest() {
    this.#cancel = null;
    this.bar.hidden = true;
    setText(this.button, "Save");
    this.button.title = "From what is shown on, or up to now; signed by the camera, for pinhole verify";
  }

  async #save() {
    const seconds = Number(this.length.value);
    const from = this.#where() ?? Date.now() / 1000 - seconds;
    let isCancelled = false;
    this.#cancel = () => (isCancelled = true);
    setText(this.button, "Cancel");
    setText(this.said, "The camera makes the file …");
    try {
      const told = await commandDevice(this.#device, "export", { arguments: { from_at: from, until_at: Math.min(from + seconds, Date.now() / 1000) } });
      if (!told.ok) throw new Error(told.problem ?? told.message ?? told.code);
      if (isCancelled) throw new Error("");
      const fetching = fetchFile(this.#viewer, told.value, showProgress(this.bar, this.said));
      this.#cancel = fetching.cancel;
      const blob = await fetching.blob;
      download(blob, `${this.#device}-${stampOf(told.value.start)}.mp4`);
      const gaps = told.value.gaps ? ` It has ${count(told.value.gaps, "gap", "gaps")}, in which nothing was recorded.` : "";
      setText(this.said, `Saved: ${megabytes(blob.size)}.${gaps}`);
      announce("Saved");
    } catch (error) {
      setText(this.said, error.message);
    }
    this.#rest();
  }
}
