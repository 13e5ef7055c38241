// How a camera looks for motion, tuned while it does: the cells that move over its live picture, zones, sensitivity.

import { Board } from "./board.js";
import { commandDevice } from "./commands.js";
import { announce, el, refill, setText } from "./dom.js";
import { choice, field } from "./form.js";

/** As in agent/model/motion.py. */
const LIMITS = { polygons: 8, corners: 16 };
const LIVE_MS = 200, BY_BROKER_MS = 1000, SETTLE_MS = 400;
const DIFFERS = [250, 204, 21, 90], MOVES = [239, 68, 68, 170];
const STATES = { idle: "Nothing moves.", moving: "Something moves", learning: "It learns what is there: wait a moment.", away: "The camera gives no picture.", light: "The light has changed: that is no motion." };

export class MotionPage {
  #about;
  #cameras;
  #live;
  #device = "";
  /** Grows with each question about a camera: who finds another one here after waiting is not wanted any more. */
  #turn = 0;
  #zones = [];
  #viewer = null;
  #poll = 0;
  #send = 0;
  /** The camera whose tuning was changed and is yet to be told so; null where nothing is. */
  #changing = null;
  /** By camera: the newest tuning that waits for the answer to the one before, and that answer. */
  #unsent = new Map();
  #telling = new Map();

  /** @param {(device: string, video: HTMLVideoElement) => Viewer} live shows a camera's small picture. */
  constructor({ about, cameras, live }) {
    [this.#about, this.#cameras, this.#live] = [about, cameras, live];
    this.whom = choice("Camera", "motion-camera", []);
    this.whom.input.addEventListener("change", () => this.#ask());
    this.state = el("p", { class: "hint", role: "status" });
    this.video = el("video", { autoplay: true, playsinline: true, disableremoteplayback: true, "aria-label": "Live picture" });
    this.video.muted = true;
    this.video.addEventListener("resize", () => this.#fit());
    this.cells = el("canvas", { class: "motion-cells", width: 1, height: 1, "aria-hidden": "true" });
    this.board = new Board({ noun: "A zone", limits: LIMITS, nameOf: (at) => this.#zones[at]?.name ?? "", onChange: () => this.#changed(), label: "Zones over the picture", under: [this.video, this.cells] });
    this.board.element.classList.add("zones");
    this.now = el("p", { class: "motion-now" });
    this.sensitivity = field("Sensitivity", { name: "motion-sensitivity", type: "range", min: "0", max: "100", step: "5", oninput: () => this.#changed() });
    this.size = field("Smallest size, in % of the picture", { name: "motion-size", type: "number", min: "0", max: "50", step: "0.1", inputmode: "decimal", oninput: () => this.#changed() });
    this.add = el("button", { type: "button", class: "button", onclick: () => this.#add() }, "Add a zone");
    this.list = el("ul", { class: "zone-list", "aria-label": "Zones" });
    this.said = el("p", { class: "hint", role: "status" });
    const words = "Yellow cells differ from what is usually there; red ones are taken for something that moves. Without zones all of the picture counts, with zones they alone. Every change holds at once. Drag a corner, or choose it and move it by the arrow keys (with Shift further); + adds a corner behind it, Delete takes it away.";
    this.editor = el("div", { class: "mask-editor", hidden: true }, this.board.element, this.now, el("div", { class: "motion-measures" }, this.sensitivity, this.size), el("div", { class: "mask-tools" }, this.add), this.list, this.said);
    this.element = el("div", { class: "masks" }, this.whom, this.state, el("p", { class: "hint" }, words), this.editor);
  }

  async load() {
    const cameras = this.#cameras().filter(({ sections }) => sections.motion);
    this.whom.input.replaceChildren(...cameras.map(({ id, name }) => el("option", { value: id }, name)));
    this.whom.hidden = !cameras.length;
    if (cameras.some(({ id }) => id === this.#about)) this.whom.input.value = this.#about;
    if (!cameras.length) return setText(this.state, "No camera that you manage looks for motion: set motion.enabled in its settings.");
    return this.#ask();
  }

  close() {
    this.#flush();
    this.#turn++;
    clearTimeout(this.#poll);
    this.#viewer?.stop();
  }

  get viewers() {
    return this.#viewer ? [this.#viewer] : [];
  }

  async #ask() {
    this.#flush(); // of the camera that was chosen until now
    const turn = ++this.#turn;
    const device = (this.#device = this.whom.input.value);
    clearTimeout(this.#poll);
    this.#viewer?.stop();
    this.#viewer = null;
    this.editor.hidden = true;
    for (const words of [this.said, this.now]) setText(words, "");
    this.cells.width = this.cells.height = 1;
    setText(this.state, "Asking …");
    await this.#telling.get(device); // or it would tell of what was before
    if (turn !== this.#turn) return;
    const told = await commandDevice(device, "motion", { expires_s: 10 });
    if (turn !== this.#turn) return;
    if (!told.ok) return setText(this.state, told.problem ?? (told.message || told.code));
    setText(this.state, "");
    this.#take(told.value);
    this.editor.hidden = false;
    this.#viewer = this.#live(device, this.video);
    this.#viewer.start();
    return this.#look(turn);
  }

  #nameOf(device) {
    return this.#cameras().find(({ id }) => id === device)?.name ?? device;
  }

  #take({ sensitivity, min_size_percent: size, zones }) {
    this.sensitivity.input.value = sensitivity;
    this.size.input.value = size;
    this.#zones = zones.map((zone) => ({ ...zone }));
    this.board.show(zones.map(({ points }) => points.map((point) => [...point])));
    this.#list();
  }

  /** What the camera sees now: within the session while there is one, else by the portal. */
  async #look(turn) {
    const device = this.#device;
    const isLive = this.#viewer.state.phase === "playing";
    const began = performance.now();
    const told = isLive ? await this.#viewer.command("motion-now") : await commandDevice(device, "motion-now", { expires_s: 5 });
    if (turn !== this.#turn) return;
    if (told.ok) this.#show(told.value);
    else setText(this.now, told.problem ?? (told.message || told.code));
    this.#poll = setTimeout(() => this.#look(turn), Math.max(50, (isLive ? LIVE_MS : BY_BROKER_MS) - (performance.now() - began)));
  }

  #show({ columns, rows, differing, moving, state, score, zones, is_raining: isRaining }) {
    this.board.element.dataset.state = state;
    const where = zones.length ? ` in ${zones.join(", ")}` : "";
    const words = state === "moving" ? `${STATES.moving}${where}.` : STATES[state] ?? state;
    setText(this.now, [words, score ? `As clear as ${Math.round(score * 100)} %.` : "", isRaining ? "Much lights up for a moment alone, as in rain: that is passed over." : ""].filter(Boolean).join(" "));
    [this.cells.width, this.cells.height] = [columns, rows];
    const context = this.cells.getContext("2d");
    const image = context.createImageData(columns, rows);
    const [differs, moves] = [bits(differing), bits(moving)];
    for (let cell = 0; cell < columns * rows; cell++) {
      const colour = moves(cell) ? MOVES : differs(cell) ? DIFFERS : null;
      if (colour) image.data.set(colour, cell * 4);
    }
    context.putImageData(image, 0, 0);
  }

  #fit() {
    if (this.video.videoWidth) this.board.element.style.aspectRatio = `${this.video.videoWidth} / ${this.video.videoHeight}`;
  }

  #add() {
    if (!this.board.add()) return;
    const names = new Set(this.#zones.map(({ name }) => name));
    let number = 1;
    while (names.has(`Zone ${number}`)) number++;
    this.#zones.push({ name: `Zone ${number}`, is_ignored: false, sensitivity: null, min_size_percent: null });
    this.#list();
    this.board.choose(this.#zones.length - 1);
    announce(`Zone ${number} added in the middle of the picture`);
    this.#changed();
  }

  #remove(at) {
    announce(`${this.#zones[at].name} removed`);
    this.#zones.splice(at, 1);
    this.board.show(this.board.polygons.filter((_, each) => each !== at));
    this.#list();
    (this.list.querySelector("input") ?? this.add).focus();
    this.#changed();
  }

  #list() {
    refill(this.list, this.#zones.map((_, at) => this.#row(at)));
    this.list.hidden = !this.#zones.length;
  }

  #row(at) {
    const zone = this.#zones[at];
    const set = (key, value) => {
      zone[key] = value;
      this.board.draw();
      this.#changed();
    };
    const number = (label, key, attributes) => field(label, { name: `zone-${at}-${key}`, type: "number", inputmode: "decimal", placeholder: "as above", value: zone[key] ?? "", ...attributes, oninput: (event) => set(key, event.target.value === "" ? null : event.target.valueAsNumber) });
    const name = field("Name", { name: `zone-${at}-name`, maxlength: "40", required: true, value: zone.name, oninput: (event) => set("name", event.target.value.trim()) });
    const counts = choice("Motion in it", `zone-${at}-ignored`, [["", "counts"], ["1", "is none"]]);
    counts.input.value = zone.is_ignored ? "1" : "";
    counts.input.addEventListener("change", () => set("is_ignored", counts.input.value === "1"));
    const button = (words, act) => el("button", { type: "button", class: "button small", "aria-label": `${words}: ${zone.name}`, onclick: act }, words);
    return el(
      "li",
      {},
      name,
      counts,
      number("Sensitivity, 0 to 100", "sensitivity", { min: "0", max: "100", step: "1" }),
      number("Smallest size, %", "min_size_percent", { min: "0", max: "50", step: "0.1" }),
      el("div", { class: "mask-tools" }, button("Add a corner", () => this.board.addCorner(at)), button("Remove a corner", () => this.board.removeCorner(at)), button("Remove", () => this.#remove(at))),
    );
  }

  /** It is told once nothing has changed for a moment. */
  #changed() {
    if (this.editor.hidden) return; // a drag that outlasts its camera's turn
    this.#changing = this.#device;
    setText(this.said, "");
    clearTimeout(this.#send);
    this.#send = setTimeout(() => this.#flush(), SETTLE_MS);
  }

  /** Tell the camera now what was changed, while the fields are still of that camera. */
  #flush() {
    clearTimeout(this.#send);
    const device = this.#changing;
    if (device === null) return null;
    this.#changing = null;
    const fault = [...this.editor.querySelectorAll("input")].find((input) => !input.checkValidity());
    if (fault) return setText(this.said, `Not in force: ${fault.labels[0].textContent}: ${fault.validationMessage}`);
    const round = (share) => Number(share.toFixed(4));
    const zones = this.#zones.map((zone, at) => ({ ...zone, points: this.board.polygons[at].map((point) => point.map(round)) }));
    setText(this.said, "Telling the camera …");
    this.#unsent.set(device, { sensitivity: this.sensitivity.input.valueAsNumber, min_size_percent: this.size.input.valueAsNumber, zones });
    if (!this.#telling.has(device)) this.#telling.set(device, this.#tell(device));
    return null;
  }

  /** One after the other, and of those that wait the newest alone: the last one holds, whatever the network does. */
  async #tell(device) {
    let told = {};
    while (this.#unsent.has(device)) {
      const tuning = this.#unsent.get(device);
      this.#unsent.delete(device);
      told = await commandDevice(device, "set-motion", { arguments: tuning });
    }
    this.#telling.delete(device);
    const problem = told.ok ? "" : `Not in force: ${told.problem ?? (told.message || told.code)}`;
    if (device !== this.#device) return problem && setText(this.said, `${this.#nameOf(device)}: ${problem}`);
    return this.#changing === null && setText(this.said, problem || "In force.");
  }
}

/** Tests one bit: of hexadecimal, the first one is the highest of the first byte. */
const bits = (hex) => (at) => (parseInt(hex[at >> 2] ?? "0", 16) >> (3 - (at & 3))) & 1;
