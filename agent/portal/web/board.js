// Polygons over a picture, moved by mouse, by finger and by the keyboard alone.

import { announce, el } from "./dom.js";
import { addCorner, encode, moved, placed, START } from "./polygon.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.01, LARGE_STEP = 0.05;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Board {
  polygons = [];
  #noun;
  #limits;
  #nameOf;
  #onChange;
  #chosen = [0, 0];
  /** Ends a drag, with whether what it changed counts. */
  #letGo = () => {};

  /**
   * @param {string} noun what one is called, as in "Zone".
   * @param {{polygons: number, corners: number}} limits
   * @param {(at: number) => string} nameOf one of them, for its handles.
   * @param {() => void} onChange after each change that is done: not while something is dragged.
   * @param {Node[]} under what lies under them, from the lowest on.
   */
  constructor({ noun, limits, nameOf, onChange, label, under }) {
    [this.#noun, this.#limits, this.#nameOf, this.#onChange] = [noun, limits, nameOf, onChange];
    this.shapes = document.createElementNS(SVG, "svg");
    this.shapes.setAttribute("viewBox", "0 0 1 1");
    this.shapes.setAttribute("preserveAspectRatio", "none");
    this.shapes.setAttribute("aria-hidden", "true");
    this.handles = el("div", { class: "handles", onkeydown: (event) => this.#onKey(event) });
    this.element = el("div", { class: "mask-board", role: "group", "aria-label": label }, ...under, this.shapes, this.handles);
  }

  get chosen() {
    return this.#chosen[0];
  }

  /** Others; a drag of those before ends, or it would go on among these. */
  show(polygons) {
    this.#letGo(false);
    this.polygons = polygons;
    this.#chosen = [0, 0];
    this.draw();
  }

  /** What is dragged stays where it is now. */
  letGo() {
    this.#letGo(true);
  }

  /** One more in the middle; false where there are too many. */
  add() {
    if (this.polygons.length >= this.#limits.polygons) {
      announce(`There are at most ${this.#limits.polygons}`);
      return false;
    }
    this.polygons.push(START.map((corner) => [...corner]));
    return true;
  }

  addCorner(at, corner = this.#cornerOf(at)) {
    if (this.polygons[at].length >= this.#limits.corners) return announce(`${this.#noun}: at most ${this.#limits.corners} corners`);
    this.polygons[at] = addCorner(this.polygons[at], corner);
    this.choose(at, corner + 1);
    return this.#onChange();
  }

  removeCorner(at, corner = this.#cornerOf(at)) {
    if (this.polygons[at].length <= 3) return announce(`${this.#noun}: three corners at least; remove the whole instead`);
    this.polygons[at].splice(corner, 1);
    this.choose(at, Math.min(corner, this.polygons[at].length - 1));
    return this.#onChange();
  }

  choose(at, corner = 0) {
    this.#chosen = [at, corner];
    this.draw();
    this.handles.querySelector(`[data-at="${at} ${corner}"]`)?.focus({ preventScroll: true });
  }

  draw() {
    const shapes = this.polygons.map((corners, at) => {
      const polygon = document.createElementNS(SVG, "polygon");
      polygon.setAttribute("points", encode([corners], " "));
      polygon.classList.toggle("is-chosen", at === this.#chosen[0]);
      polygon.addEventListener("pointerdown", (event) => this.#drag(event, at, null));
      return polygon;
    });
    this.shapes.replaceChildren(...shapes);
    this.#drawHandles();
  }

  /** Those that are there stay where they are in the page, so that a drag and the focus go on. */
  #drawHandles() {
    const wanted = this.polygons.flatMap((corners, at) => corners.map((place, corner) => [at, corner, place]));
    while (this.handles.children.length > wanted.length) this.handles.lastChild.remove();
    while (this.handles.children.length < wanted.length) this.handles.append(this.#makeHandle());
    wanted.forEach(([at, corner, place], number) => {
      const handle = this.handles.children[number];
      handle.dataset.at = `${at} ${corner}`;
      handle.classList.toggle("is-chosen", at === this.#chosen[0]);
      handle.setAttribute("aria-label", `${this.#nameOf(at)}, corner ${corner + 1}: ${placeOf(place)}`);
      [handle.style.left, handle.style.top] = place.map((share) => `${share * 100}%`);
    });
  }

  #makeHandle() {
    const at = (event) => event.currentTarget.dataset.at.split(" ").map(Number);
    const onfocus = (event) => {
      this.#chosen = at(event);
      for (const handle of this.handles.children) handle.classList.toggle("is-chosen", at({ currentTarget: handle })[0] === this.#chosen[0]);
    };
    return el("button", { type: "button", class: "mask-handle", onfocus, onpointerdown: (event) => this.#drag(event, ...at(event)) });
  }

  #cornerOf(at) {
    return this.#chosen[0] === at ? Math.min(this.#chosen[1], this.polygons[at].length - 1) : this.polygons[at].length - 1;
  }

  #onKey(event) {
    const [at, corner] = (event.target.dataset.at ?? "").split(" ").map(Number);
    if (!this.polygons[at]?.[corner] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (ARROWS[event.key]) {
      const [dx, dy] = ARROWS[event.key].map((way) => way * (event.shiftKey ? LARGE_STEP : STEP));
      this.polygons[at] = moved(this.polygons[at], corner, dx, dy);
      this.draw();
      announce(placeOf(this.polygons[at][corner]));
      this.#onChange();
    } else if (event.key === "+" || event.key === "Enter") this.addCorner(at, corner);
    else if (event.key === "Delete" || event.key === "Backspace") this.removeCorner(at, corner);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** A corner by itself, or the whole, goes where the pointer goes. */
  #drag(event, at, corner) {
    if (event.button) return;
    event.preventDefault();
    this.#letGo(true); // of another finger
    const before = this.polygons[at];
    const bounds = this.element.getBoundingClientRect();
    const place = (one) => [(one.clientX - bounds.left) / bounds.width, (one.clientY - bounds.top) / bounds.height];
    const [x, y] = place(event);
    this.choose(at, corner ?? 0);
    const { pointerId } = event;
    const onmove = (one) => {
      if (one.pointerId !== pointerId) return;
      const [nowX, nowY] = place(one);
      this.polygons[at] = corner === null ? placed(before, nowX - x, nowY - y) : moved(before, corner, nowX - x, nowY - y);
      this.draw();
    };
    const held = new AbortController();
    this.#letGo = (counts) => {
      this.#letGo = () => {};
      held.abort();
      if (counts && encode([before]) !== encode([this.polygons[at]])) this.#onChange();
    };
    const end = (one) => one.pointerId === pointerId && this.#letGo(true);
    window.addEventListener("pointermove", onmove, { signal: held.signal });
    for (const type of ["pointerup", "pointercancel"]) window.addEventListener(type, end, { signal: held.signal });
  }
}

const placeOf = ([x, y]) => `${Math.round(x * 100)} % from the left, ${Math.round(y * 100)} % from the top`;
