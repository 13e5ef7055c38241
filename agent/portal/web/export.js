// Saves what was recorded as one MP4: the camera makes and signs it, and it comes over a data channel of the session.

import { commandDevice } from "./commands.js";
import { announce, el, setText } from "./dom.js";
import { count } from "./format.js";

const LENGTHS = [["30", "30 s"], ["60", "1 min"], ["300", "5 min"], ["900", "15 min"], ["3600", "1 h"]];
const SILENCE_MS = 45_000; // the camera gives up after 30 s in which nobody takes anything
const GATHER_BYTES = 16e6; // then it goes into a Blob, which browsers keep on disk

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
      const blob = await this.#fetch(told.value);
      keep(blob, `${this.#device}-${stamp(told.value.start)}.mp4`);
      const gaps = told.value.gaps ? ` It has ${count(told.value.gaps, "gap", "gaps")}, in which nothing was recorded.` : "";
      setText(this.said, `Saved: ${megabytes(blob.size)}.${gaps}`);
      announce("Saved");
    } catch (error) {
      setText(this.said, error.message);
    }
    this.#rest();
  }

  /** @returns {Promise<Blob>} */
  #fetch({ id, size_bytes: size }) {
    return new Promise((resolve, reject) => {
      const channel = this.#viewer.openChannel("file", `${id}@0`);
      if (!channel) return reject(new Error("The camera is not connected."));
      channel.binaryType = "arraybuffer";
      let [blob, parts, waiting, here, timer] = [new Blob(), [], 0, 0, 0];
      const end = (error) => {
        clearTimeout(timer);
        channel.onmessage = channel.onclose = null;
        channel.close();
        if (error !== null) reject(new Error(error));
        else resolve(new Blob([blob, ...parts], { type: "video/mp4" }));
      };
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(end, SILENCE_MS, "Nothing came for a while: try again.");
      };
      this.#cancel = () => end("");
      channel.onclose = () => end("The camera ended the transfer: try again.");
      channel.onmessage = ({ data }) => {
        alive();
        if (typeof data === "string") {
          const { type, message } = JSON.parse(data);
          if (type === "error") end(message);
          else if (type === "end") end(here === size ? null : "Not all of it came: try again.");
          return;
        }
        here += data.byteLength;
        parts.push(data);
        waiting += data.byteLength;
        if (waiting > GATHER_BYTES) [blob, parts, waiting] = [new Blob([blob, ...parts]), [], 0];
        this.bar.hidden = false;
        this.bar.value = here / size;
        setText(this.said, `${megabytes(here)} of ${megabytes(size)}`);
      };
      alive();
    });
  }
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function stamp(unixSeconds) {
  const then = new Date(unixSeconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${then.getFullYear()}${two(then.getMonth() + 1)}${two(then.getDate())}-${two(then.getHours())}${two(then.getMinutes())}${two(then.getSeconds())}`;
}

function keep(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
