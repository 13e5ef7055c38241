// Privacy masks of one camera, drawn over its newest still; by mouse, by touch, and by keyboard alone.

import { Board } from "./board.js";
import { commandDevice } from "./commands.js";
import { announce, el, refill, setText } from "./dom.js";
import { choice, form } from "./form.js";
import { count, moment } from "./format.js";
import { encode, parse } from "./polygon.js";

/** As in agent/model/masks.py. */
const LIMITS = { polygons: 16, corners: 24 };

export class MasksPage {
  #about;
  #cameras;
  #device = "";
  /** Grows with each question about a camera: who finds another one here after waiting is not wanted any more. */
  #turn = 0;
  /** The same of pictures, of which one may be asked for while another is on its way. */
  #looks = 0;
  /** By camera: masks that were drawn, and not saved before another one was chosen. */
  #drafts = new Map();
  #kept = "[]";
  #image = "";

  constructor({ about, cameras }) {
    this.#about = about;
    this.#cameras = cameras;
    this.whom = choice("Camera", "masks-camera", []);
    this.whom.input.addEventListener("change", () => this.#ask());
    this.state = el("p", { class: "hint", role: "status" });
    this.unsaved = el("p", { class: "hint", role: "status" });
    this.picture = el("img", { alt: "", hidden: true });
    this.taken = el("p", { class: "hint" });
    this.board = new Board({ noun: "A mask", limits: LIMITS, nameOf: (at) => `Mask ${at + 1}`, onChange: () => this.#changed(), label: "Masks over the picture", under: [this.picture] });
    this.list = el("ul", { class: "mask-list", "aria-label": "Masks" });
    this.add = el("button", { type: "button", class: "button", onclick: () => this.#add() }, "Add a mask");
    this.look = el("button", { type: "button", class: "button", onclick: () => this.#look() }, "New picture");
    this.preset = choice("The head's preset to which they belong", "masks-preset", []);
    this.changed = el("p", { class: "hint" });
    this.form = form("Save", () => this.#save(), this.preset, this.changed);
    const words = "What a mask covers is black before anything is encoded: live, in stills and in recordings from then on. Under a mask that is in force the picture is black here, too. Drag a corner, or choose it and move it by the arrow keys (with Shift further); + adds a corner behind it, Delete takes it away.";
    this.editor = el("div", { class: "mask-editor", hidden: true }, this.board.element, this.taken, el("div", { class: "mask-tools" }, this.add, this.look), this.list, this.form);
    this.element = el("div", { class: "masks" }, this.whom, this.unsaved, this.state, el("p", { class: "hint" }, words), this.editor);
  }

  async load() {
    const cameras = this.#cameras().filter(({ sections }) => sections.masks);
    this.whom.input.replaceChildren(...cameras.map(({ id, name }) => el("option", { value: id }, name)));
    this.whom.hidden = !cameras.length;
    if (cameras.some(({ id }) => id === this.#about)) this.whom.input.value = this.#about;
    if (!cameras.length) return setText(this.state, "No camera that you manage knows privacy masks.");
    return this.#ask();
  }

  close() {
    this.#turn++;
    this.#looks++;
    this.board.letGo();
    URL.revokeObjectURL(this.#image);
  }

  /** What is in force, and what the camera sees. */
  async #ask() {
    this.#keepDraft();
    const turn = ++this.#turn;
    this.#looks++;
    const device = (this.#device = this.whom.input.value);
    this.editor.hidden = true;
    this.picture.hidden = true; // it is another camera's
    setText(this.form.error, "");
    setText(this.state, "Asking …");
    const said = await commandDevice(device, "masks", { expires_s: 10 });
    if (turn !== this.#turn) return; // somebody chose another one meanwhile
    if (!said.ok) return setText(this.state, said.problem ?? (said.message || said.code));
    this.#take(said.value, this.#drafts.get(device));
    this.#drafts.delete(device);
    this.#nameDrafts();
    this.editor.hidden = false;
    await this.#look();
  }

  /** What was drawn of this camera is there again when it is chosen again. */
  #keepDraft() {
    this.board.letGo();
    if (this.editor.hidden || encode(this.board.polygons) === this.#kept) return;
    this.#drafts.set(this.#device, this.board.polygons);
    this.#nameDrafts();
  }

  #nameDrafts() {
    const names = this.#cameras().filter(({ id }) => this.#drafts.has(id)).map(({ name }) => name);
    setText(this.unsaved, names.length ? `Not saved yet, and kept while this page is open: the masks of ${names.join(", ")}.` : "");
  }

  /** @param {number[][][]} drawn what is shown where that is not what is in force. */
  #take(value, drawn = null) {
    const inForce = value.polygons.map(parse);
    this.#kept = encode(inForce);
    this.board.show(drawn ?? inForce);
    const head = this.#cameras().find(({ id }) => id === this.#device)?.sections.ptz;
    this.preset.hidden = !head;
    this.preset.input.replaceChildren(...(head?.presets ?? []).map(({ number, name }) => el("option", { value: number }, name ? `${number}: ${name}` : `${number}`)));
    if (value.preset) this.preset.input.value = value.preset;
    setText(this.state, wordsOf(value));
    this.state.className = value.state === "blank" ? "hint failure" : "hint";
    this.#changed();
  }

  async #look() {
    const look = ++this.#looks;
    this.look.disabled = true;
    setText(this.taken, "Taking a picture …");
    const said = await commandDevice(this.#device, "snapshot", { expires_s: 30 });
    if (look !== this.#looks) return;
    this.look.disabled = false;
    if (!said.ok) return setText(this.taken, `No picture: ${said.problem ?? (said.message || said.code)}. Masks can be drawn all the same.`);
    const { jpeg, taken_at, width_px, height_px } = said.value;
    URL.revokeObjectURL(this.#image);
    this.#image = URL.createObjectURL(new Blob([Uint8Array.from(atob(jpeg), (one) => one.charCodeAt(0))], { type: "image/jpeg" }));
    this.picture.src = this.#image;
    this.picture.hidden = false;
    this.board.element.style.aspectRatio = `${width_px} / ${height_px}`;
    setText(this.taken, `The camera's picture of ${moment(taken_at)}`);
  }

  #add() {
    if (!this.board.add()) return;
    const { length } = this.board.polygons;
    this.board.choose(length - 1);
    this.#changed();
    announce(`Mask ${length} added in the middle of the picture`);
  }

  #remove(mask) {
    this.board.letGo();
    this.board.show(this.board.polygons.filter((_, each) => each !== mask));
    this.#changed();
    announce(`Mask ${mask + 1} removed`);
    (this.list.querySelector("button") ?? this.add).focus();
  }

  #changed() {
    const { polygons } = this.board;
    const counts = polygons.map(({ length }) => length).join();
    if (counts !== this.list.dataset.counts) refill(this.list, polygons.map((corners, mask) => this.#row(corners, mask)));
    this.list.dataset.counts = counts;
    this.list.hidden = !polygons.length;
    setText(this.changed, encode(polygons) === this.#kept ? "" : "Not saved yet: what the camera shows is unchanged.");
  }

  #row(corners, mask) {
    const button = (label, words, act) => el("button", { type: "button", class: "button small", "aria-label": `${label} ${mask + 1}`, onclick: act }, words);
    return el(
      "li",
      {},
      el("span", {}, `Mask ${mask + 1}, ${corners.length} corners`),
      button("Add a corner to mask", "Add a corner", () => this.board.addCorner(mask)),
      button("Remove a corner of mask", "Remove a corner", () => this.board.removeCorner(mask)),
      button("Remove mask", "Remove", () => this.#remove(mask)),
    );
  }

  async #save() {
    const [turn, device, drawn] = [this.#turn, this.#device, encode(this.board.polygons)];
    const polygons = this.board.polygons.map((corners) => encode([corners]));
    const preset = this.preset.hidden || !polygons.length ? 0 : Number(this.preset.input.value);
    const said = await commandDevice(device, "set-masks", { arguments: { polygons, preset } });
    const isSame = (masks) => encode(masks) === drawn;
    if (turn !== this.#turn) {
      if (said.ok && isSame(this.#drafts.get(device) ?? [])) this.#drafts.delete(device);
      this.#nameDrafts();
      return null;
    }
    if (!said.ok) return said.problem ?? (said.message || said.code);
    this.#take(said.value, isSame(this.board.polygons) ? null : this.board.polygons); // somebody may have drawn on meanwhile
    this.#look(); // what is drawn next need not wait for the picture
    return null;
  }
}

/** How the camera's masks stand, in words. */
function wordsOf({ state, problem, polygons, set_at, set_by, version }) {
  if (state === "blank") return `The whole picture is black: ${problem}`;
  if (!polygons.length) return version ? `No masks: ${set_by} took them away, ${moment(set_at)}.` : "No masks.";
  return `In force: ${count(polygons.length, "mask", "masks")}, set by ${set_by}, ${moment(set_at)}.`;
}
