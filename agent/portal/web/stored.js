// What of a camera's recordings is in the portal's store: on the timeline, as files to save, and what still waits.

import { get, post, segment } from "./api.js";
import { el, setText } from "./dom.js";
import { count, gigabytes, sentence } from "./format.js";
import { exactly } from "./timeline.js";

const FRESH_MS = 30_000;
const MAX_PAGES = 5;
const MAX_DAYS = 8;
const MAX_OPTIONS = 200;
const FILE_S = 60; // the recorder ends a file by then
const SEAM_S = 2;
const DAY_MS = 86_400_000;
const WHY = {
  hours: "until its hours come",
  signal: "for a better signal",
  plan: "for room in the data plan",
  viewer: "while somebody watches",
  clock: "until the camera's clock is set",
  disk: "for the card",
  store: "for the store",
};

export class Stored {
  #device;
  #timeline;
  #at = null;
  #range = "";
  #hasStore = true;
  /** By day, as UTC has it: when it was asked for, and the promise of its files. */
  #days = new Map();
  #files = [];

  constructor(device, timeline) {
    this.#device = device;
    this.#timeline = timeline;
    this.choice = el("select", { "aria-label": "File in the store" });
    this.button = el("button", { type: "button", class: "button", onclick: () => this.#save() }, "Save from the store");
    this.number = el("summary", {});
    this.list = el("details", { hidden: true }, this.number, el("div", { class: "lookback-save" }, this.choice, this.button));
    this.words = el("span", { class: "lookback-said" });
    this.waits = el("span", { class: "lookback-said", role: "status" });
    this.element = el("div", { class: "lookback-save lookback-stored", role: "group", "aria-label": "In the store", hidden: true }, this.list, this.words, this.waits);
  }

  /** @param {object | undefined} section what the camera says of what it sends. */
  update(section) {
    const has = Boolean(section) && section.state !== "off";
    setText(this.waits, has ? waiting(section) : "");
    this.#show();
  }

  /** What there is in this stretch, in Unix seconds. */
  async load(from, until) {
    const range = (this.#range = `${from} ${until}`);
    const days = [];
    for (let day = Math.floor((from * 1000) / DAY_MS); day * DAY_MS < until * 1000 && days.length < 3; day += 1) days.push(this.#day(day));
    const found = await Promise.all(days);
    if (range !== this.#range) return; // another stretch is shown by now
    const problem = found.find((one) => one.problem)?.problem ?? "";
    this.#files = found.flatMap(({ files }) => files).filter(({ at }) => at + FILE_S > from && at < until);
    this.#timeline.keep(stretches(this.#files));
    const much = gigabytes(this.#files.reduce((sum, { bytes }) => sum + bytes, 0));
    setText(this.number, `${count(this.#files.length, "recording of this time is", "recordings of this time are")} in the store, ${much}`);
    setText(this.words, problem || (this.#files.length ? "" : "No recording of this time is in the store."));
    this.#fill();
    this.#show();
  }

  /** @param {number | null} at what is shown; null while it is live. */
  point(at) {
    this.#at = at;
    this.#choose();
  }

  #day(number) {
    const known = this.#days.get(number);
    if (known && Date.now() - known.askedAt < FRESH_MS) return known.found;
    const found = this.#hasStore ? this.#ask(new Date(number * DAY_MS).toISOString().slice(0, 10)) : { files: [] };
    this.#days.delete(number);
    this.#days.set(number, { askedAt: Date.now(), found });
    if (this.#days.size > MAX_DAYS) this.#days.delete(this.#days.keys().next().value);
    return found;
  }

  async #ask(day) {
    const files = [];
    let after = "";
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const told = await get(`api/devices/${segment(this.#device)}/stored?day=${day}${after}`);
      if (told.code === "no-store") this.#hasStore = false;
      if (told.problem) return { files, problem: this.#hasStore ? told.problem : "" };
      files.push(...told.files.map((file) => ({ ...file, day })));
      if (!told.more || !told.files.length) break;
      after = `&after=${told.files.at(-1).name}`;
    }
    return { files };
  }

  #fill() {
    const end = this.#at ?? Infinity;
    const nearest = this.#files.findLastIndex(({ at }) => at <= end);
    const first = Math.max(0, Math.min(nearest - MAX_OPTIONS / 2, this.#files.length - MAX_OPTIONS));
    const option = ({ day, name, at, stream, bytes }) => el("option", { value: `${day} ${name}` }, `${exactly(at)} · ${stream} · ${(bytes / 1e6).toFixed(1)} MB`);
    this.choice.replaceChildren(...this.#files.slice(first, first + MAX_OPTIONS).map(option));
    this.list.hidden = !this.#files.length;
    this.#choose();
  }

  /** The file that holds what is shown, else the newest; never while somebody chooses. */
  #choose() {
    if (!this.#files.length || this.choice === document.activeElement) return;
    const holds = ({ at, stream }) => stream === "main" && at <= this.#at && this.#at < at + FILE_S;
    const { day, name } = (this.#at !== null && this.#files.findLast(holds)) || this.#files.at(-1);
    this.choice.value = `${day} ${name}`;
  }

  async #save() {
    const [day, name] = this.choice.value.split(" ");
    const { url, problem } = await post(`api/devices/${segment(this.#device)}/stored/link`, { day, name });
    setText(this.words, problem ?? "The store sends it: your browser saves the file.");
    if (url) el("a", { href: url, rel: "noreferrer" }).click();
  }

  #show() {
    setText(this.words, this.#hasStore ? this.words.textContent : "");
    this.element.hidden = this.list.hidden && !this.words.textContent && !this.waits.textContent;
  }
}

function waiting({ state, why, problem, waiting: files, waiting_bytes: bytes, missed }) {
  const much = `${count(files, "file", "files")} (${gigabytes(bytes)})`;
  const said = {
    idle: "All that is to be sent is in the store.",
    sending: `${much} left to send.`,
    waiting: `${much} ${files === 1 ? "waits" : "wait"} ${WHY[why] ?? ""}`.trimEnd() + ".",
  };
  const tried = problem && sentence(`The last try: ${problem}`);
  const lost = missed ? `${count(missed, "file was", "files were")} removed before it could be sent.` : "";
  return [files || state === "idle" ? said[state] : "", tried, lost].filter(Boolean).join(" ");
}

/** Files that follow one another are one stretch: how long each is the store does not know. */
function stretches(files) {
  const made = [];
  for (const stream of ["main", "preview"]) {
    const own = files.filter((file) => file.stream === stream);
    for (const [number, { at }] of own.entries()) {
      const end = Math.min(at + FILE_S, own[number + 1]?.at ?? Infinity);
      const last = made.at(-1);
      if (last?.stream === stream && at - last.end < SEAM_S) last.end = end;
      else made.push({ stream, start: at, end });
    }
  }
  return made;
}
