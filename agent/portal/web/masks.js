// Privacy masks of one camera, drawn over its newest still; by mouse, by touch, and by keyboard alone.

import { commandDevice } from "./commands.js";
import { announce, el, refill, setText } from "./dom.js";
import { choice, form } from "./form.js";
import { count, moment } from "./format.js";
import { addCorner, encode, MAX_CORNERS, MAX_MASKS, moved, parse, placed, START } from "./polygon.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.01, LARGE_STEP = 0.05;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class MasksPage {
  #about;
  #cameras;
  #device = "";
  /** Grows with each question about a camera: who finds another one here after waiting is not wanted any more. */
  #turn = 0;
  /** By camera: masks that were drawn, and not saved before another one was chosen. */
  #drafts = new Map();
  #letGo = () => {};
  #masks = [];
  #kept = "[]";
  #chosen = [0, 0];
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
    this.shapes = document.createElementNS(SVG, "svg");
    this.shapes.setAttribute("viewBox", "0 0 1 1");
    this.shapes.setAttribute("preserveAspectRatio", "none");
    this.shapes.setAttribute("aria-hidden", "true");
    this.handles = el("div", { class: "handles", onkeydown: (event) => this.#onKey(event) });
    this.board = el("div", { class: "mask-board", role: "group", "aria-label": "Masks over the picture" }, this.picture, this.shapes, this.handles);
    this.list = el("ul", { class: "mask-list", "aria-label": "Masks" });
    this.add = el("button", { type: "button", class: "button", onclick: () => this.#add() }, "Add a mask");
    this.look = el("button", { type: "button", class: "button", onclick: () => this.#look() }, "New picture");
    this.preset = choice("The head's preset to which they belong", "masks-preset", []);
    this.changed = el("p", { class: "hint" });
    this.form = form("Save", () => this.#save(), this.preset, this.changed);
    const words = "What a mask covers is black before anything is encoded: live, in stills and in recordings from then on. Under a mask that is in force the picture is black here, too. Drag a corner, or choose it and move it by the arrow keys (with Shift further); + adds a corner behind it, Delete takes it away.";
    this.editor = el("div", { class: "mask-editor", hidden: true }, this.board, this.taken, el("div", { class: "mask-tools" }, this.add, this.look), this.list, this.form);
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
    this.#letGo();
    URL.revokeObjectURL(this.#image);
  }

  /** What is in force, and what the camera sees. */
  async #ask() {
    this.#keepDraft();
    const turn = ++this.#turn;
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
    this.#letGo();
    if (this.editor.hidden || encode(this.#masks) === this.#kept) return;
    this.#drafts.set(this.#device, this.#masks);
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
    this.#letGo();
    this.#masks = drawn ?? inForce;
    this.#chosen = [0, 0];
    const head = this.#cameras().find(({ id }) => id === this.#device)?.sections.ptz;
    this.preset.hidden = !head;
    this.preset.input.replaceChildren(...(head?.presets ?? []).map(({ number, name }) => el("option", { value: number }, name ? `${number}: ${name}` : `${number}`)));
    if (value.preset) this.preset.input.value = value.preset;
    setText(this.state, wordsOf(value));
    this.state.className = value.state === "blank" ? "hint failure" : "hint";
    this.#draw();
  }

  async #look() {
    const turn = this.#turn;
    this.look.disabled = true;
    setText(this.taken, "Taking a picture …");
    const said = await commandDevice(this.#device, "snapshot", { expires_s: 30 });
    if (turn !== this.#turn) return;
    this.look.disabled = false;
    if (!said.ok) return setText(this.taken, `No picture: ${said.problem ?? (said.message || said.code)}. Masks can be drawn all the same.`);
    const { jpeg, taken_at, width_px, height_px } = said.value;
    URL.revokeObjectURL(this.#image);
    this.#image = URL.createObjectURL(new Blob([Uint8Array.from(atob(jpeg), (one) => one.charCodeAt(0))], { type: "image/jpeg" }));
    this.picture.src = this.#image;
    this.picture.hidden = false;
    this.board.style.aspectRatio = `${width_px} / ${height_px}`;
    setText(this.taken, `The camera's picture of ${moment(taken_at)}`);
  }

  #add() {
    if (this.#masks.length >= MAX_MASKS) return announce(`A camera has at most ${MAX_MASKS} masks`);
    this.#masks.push(START.map((corner) => [...corner]));
    this.#choose(this.#masks.length - 1, 0);
    return announce(`Mask ${this.#masks.length} added in the middle of the picture`);
  }

  #remove(mask) {
    this.#letGo();
    this.#masks.splice(mask, 1);
    announce(`Mask ${mask + 1} removed`);
    this.#chosen = [0, 0];
    this.#draw();
    (this.list.querySelector("button") ?? this.add).focus();
  }

  #addCorner(mask, corner) {
    if (this.#masks[mask].length >= MAX_CORNERS) return announce(`A mask has at most ${MAX_CORNERS} corners`);
    this.#masks[mask] = addCorner(this.#masks[mask], corner);
    return this.#choose(mask, corner + 1);
  }

  #removeCorner(mask, corner) {
    if (this.#masks[mask].length <= 3) return announce("A mask has at least three corners: remove the mask instead");
    this.#masks[mask].splice(corner, 1);
    return this.#choose(mask, Math.min(corner, this.#masks[mask].length - 1));
  }

  #choose(mask, corner) {
    this.#chosen = [mask, corner];
    this.#draw();
    this.#handle(mask, corner)?.focus({ preventScroll: true });
  }

  #handle(mask, corner) {
    return this.handles.querySelector(`[data-at="${mask} ${corner}"]`);
  }

  #onKey(event) {
    const [mask, corner] = (event.target.dataset.at ?? "").split(" ").map(Number);
    if (!this.#masks[mask]?.[corner] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (ARROWS[event.key]) {
      const [dx, dy] = ARROWS[event.key].map((way) => way * (event.shiftKey ? LARGE_STEP : STEP));
      this.#masks[mask] = moved(this.#masks[mask], corner, dx, dy);
      this.#draw();
      announce(placeOf(this.#masks[mask][corner]));
    } else if (event.key === "+" || event.key === "Enter") this.#addCorner(mask, corner);
    else if (event.key === "Delete" || event.key === "Backspace") this.#removeCorner(mask, corner);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** A corner by itself, or a mask as a whole, goes where the pointer goes. */
  #drag(event, mask, corner) {
    if (event.button) return;
    event.preventDefault();
    this.#letGo(); // of another finger
    const before = this.#masks[mask];
    const bounds = this.board.getBoundingClientRect();
    const place = (one) => [(one.clientX - bounds.left) / bounds.width, (one.clientY - bounds.top) / bounds.height];
    const [x, y] = place(event);
    this.#choose(mask, corner ?? 0);
    const { pointerId } = event;
    const onmove = (one) => {
      if (one.pointerId !== pointerId) return;
      const [nowX, nowY] = place(one);
      this.#masks[mask] = corner === null ? placed(before, nowX - x, nowY - y) : moved(before, corner, nowX - x, nowY - y);
      this.#draw();
    };
    const held = new AbortController();
    this.#letGo = () => held.abort();
    const end = (one) => one.pointerId === pointerId && held.abort();
    window.addEventListener("pointermove", onmove, { signal: held.signal });
    for (const type of ["pointerup", "pointercancel"]) window.addEventListener(type, end, { signal: held.signal });
  }

  #draw() {
    const polygons = this.#masks.map((corners, mask) => {
      const polygon = document.createElementNS(SVG, "polygon");
      polygon.setAttribute("points", encode([corners], " "));
      polygon.classList.toggle("is-chosen", mask === this.#chosen[0]);
      polygon.addEventListener("pointerdown", (event) => this.#drag(event, mask, null));
      return polygon;
    });
    this.shapes.replaceChildren(...polygons);
    this.#drawHandles();
    const counts = this.#masks.map(({ length }) => length).join();
    if (counts !== this.list.dataset.counts) refill(this.list, this.#masks.map((corners, mask) => this.#row(corners, mask)));
    this.list.dataset.counts = counts;
    this.list.hidden = !this.#masks.length;
    const isChanged = encode(this.#masks) !== this.#kept;
    setText(this.changed, isChanged ? "Not saved yet: what the camera shows is unchanged." : "");
  }

  /** Those that are there stay where they are in the page, so that a drag and the focus go on. */
  #drawHandles() {
    const wanted = this.#masks.flatMap((corners, mask) => corners.map((corner, at) => [mask, at, corner]));
    while (this.handles.children.length > wanted.length) this.handles.lastChild.remove();
    while (this.handles.children.length < wanted.length) this.handles.append(this.#makeHandle());
    wanted.forEach(([mask, at, corner], number) => {
      const handle = this.handles.children[number];
      handle.dataset.at = `${mask} ${at}`;
      handle.classList.toggle("is-chosen", mask === this.#chosen[0]);
      handle.setAttribute("aria-label", `Mask ${mask + 1}, corner ${at + 1}: ${placeOf(corner)}`);
      [handle.style.left, handle.style.top] = corner.map((share) => `${share * 100}%`);
    });
  }

  #makeHandle() {
    const at = (event) => event.currentTarget.dataset.at.split(" ").map(Number);
    const onfocus = (event) => {
      [this.#chosen[0], this.#chosen[1]] = at(event);
      for (const handle of this.handles.children) handle.classList.toggle("is-chosen", at({ currentTarget: handle })[0] === this.#chosen[0]);
    };
    return el("button", { type: "button", class: "mask-handle", onfocus, onpointerdown: (event) => this.#drag(event, ...at(event)) });
  }

  #row(corners, mask) {
    const button = (label, words, act) => el("button", { type: "button", class: "button small", "aria-label": `${label} ${mask + 1}`, onclick: act }, words);
    const corner = () => (this.#chosen[0] === mask ? Math.min(this.#chosen[1], corners.length - 1) : corners.length - 1);
    return el(
      "li",
      {},
      el("span", {}, `Mask ${mask + 1}, ${corners.length} corners`),
      button("Add a corner to mask", "Add a corner", () => this.#addCorner(mask, corner())),
      button("Remove a corner of mask", "Remove a corner", () => this.#removeCorner(mask, corner())),
      button("Remove mask", "Remove", () => this.#remove(mask)),
    );
  }

  async #save() {
    const [turn, device, drawn] = [this.#turn, this.#device, encode(this.#masks)];
    const polygons = this.#masks.map((corners) => encode([corners]));
    const preset = this.preset.hidden || !polygons.length ? 0 : Number(this.preset.input.value);
    const said = await commandDevice(device, "set-masks", { arguments: { polygons, preset } });
    const isSame = (masks) => encode(masks) === drawn;
    if (turn !== this.#turn) {
      if (said.ok && isSame(this.#drafts.get(device) ?? [])) this.#drafts.delete(device);
      this.#nameDrafts();
      return null;
    }
    if (!said.ok) return said.problem ?? (said.message || said.code);
    this.#take(said.value, isSame(this.#masks) ? null : this.#masks); // somebody may have drawn on meanwhile
    await this.#look();
    return null;
  }
}

const placeOf = ([x, y]) => `${Math.round(x * 100)} % from the left, ${Math.round(y * 100)} % from the top`;

/** How the camera's masks stand, in words. */
function wordsOf({ state, problem, polygons, set_at, set_by, version }) {
  if (state === "blank") return `The whole picture is black: ${problem}`;
  if (!polygons.length) return version ? `No masks: ${set_by} took them away, ${moment(set_at)}.` : "No masks.";
  return `In force: ${count(polygons.length, "mask", "masks")}, set by ${set_by}, ${moment(set_at)}.`;
}
