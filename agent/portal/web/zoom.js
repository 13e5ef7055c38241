// Digital zoom: the picture scaled under wheel, pinch, buttons and keys; never smaller than its place.

import { el, iconButton, setText } from "./dom.js";

const MOST = 8;
const STEP = 1.5;
const PAN_PX = 80;
const WHOLE = Object.freeze({ scale: 1, x: 0, y: 0 });

const within = (value, least, most) => Math.min(most, Math.max(least, value));

/** `view` scaled by `factor`, with the point (px, py) of the stage staying where it is. */
export function scaled(view, factor, px, py, width, height) {
  const scale = within(view.scale * factor, 1, MOST);
  const share = scale / view.scale;
  return moved({ scale, x: px - (px - view.x) * share, y: py - (py - view.y) * share }, 0, 0, width, height);
}

/** `view` moved, but not beyond the picture's edges. */
export function moved({ scale, x, y }, dx, dy, width, height) {
  return { scale, x: within(x + dx, width * (1 - scale), 0), y: within(y + dy, height * (1 - scale), 0) };
}

export class Zoom {
  #view = WHOLE;
  #pointers = new Map();
  #layer;

  /** @param {HTMLElement} layer what is scaled; it fills the stage. */
  constructor(layer) {
    this.#layer = layer;
    layer.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    layer.addEventListener("pointerdown", (event) => this.#onDown(event));
    layer.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const end of ["pointerup", "pointercancel"]) layer.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    new ResizeObserver(() => this.#move(0, 0)).observe(layer); // a phone that is turned
    this.less = iconButton("minus", "Zoom out", () => this.step(1 / STEP), { title: "Zoom out (−)" });
    this.more = iconButton("plus", "Zoom in", () => this.step(STEP), { title: "Zoom in (+)" });
    this.whole = el("button", { type: "button", class: "zoom-whole", title: "Whole picture (0)", onclick: () => this.#show(WHOLE) });
    this.element = el("div", { class: "zoom", role: "group", "aria-label": "Zoom" }, this.less, this.whole, this.more);
    this.#show(WHOLE);
  }

  /** About the middle. */
  step(factor) {
    const { clientWidth, clientHeight } = this.#layer;
    this.#scale(factor, clientWidth / 2, clientHeight / 2);
  }

  onKey(key) {
    const [dx, dy] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key] ?? [0, 0];
    if (key === "+" || key === "=") this.step(STEP);
    else if (key === "-") this.step(1 / STEP);
    else if (key === "0") this.#show(WHOLE);
    else if ((dx || dy) && this.#view.scale > 1) this.#move(dx * PAN_PX, dy * PAN_PX);
    else return false;
    return true;
  }

  /** Under the pointer. */
  onWheel(event) {
    event.preventDefault();
    const { left, top } = this.#box();
    // A wheel's notch is 100 px or 3 lines; a touchpad sends many small ones.
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1);
    this.#scale(2 ** (-within(pixels, -200, 200) / 200), event.clientX - left, event.clientY - top);
  }

  /** About a point of the page. */
  pinch(factor, x, y) {
    const { left, top } = this.#box();
    this.#scale(factor, x - left, y - top);
  }

  #onDown(event) {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.#pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.#layer.setPointerCapture(event.pointerId);
  }

  /** One finger moves the picture, two pinch it: about the point between them. */
  #onMove(event) {
    const from = this.#pointers.get(event.pointerId);
    if (!from) return;
    const to = [event.clientX, event.clientY];
    this.#pointers.set(event.pointerId, to);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (!other) return this.#move(to[0] - from[0], to[1] - from[1]);
    const [before, after] = [from, to].map(([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1);
    const { left, top } = this.#box();
    this.#scale(after / before, (to[0] + other[0]) / 2 - left, (to[1] + other[1]) / 2 - top);
    return this.#move((to[0] - from[0]) / 2, (to[1] - from[1]) / 2);
  }

  /** The place that the picture fills; the layer's own box is the scaled one. */
  #box() {
    return this.#layer.parentElement.getBoundingClientRect();
  }

  #scale(factor, px, py) {
    const { offsetLeft, offsetTop, clientWidth, clientHeight } = this.#layer;
    this.#show(scaled(this.#view, factor, px - offsetLeft, py - offsetTop, clientWidth, clientHeight));
  }

  #move(dx, dy) {
    this.#show(moved(this.#view, dx, dy, this.#layer.clientWidth, this.#layer.clientHeight));
  }

  #show(view) {
    this.#view = view;
    this.#layer.style.transform = view.scale === 1 ? "" : `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    this.#layer.classList.toggle("zoomed", view.scale > 1);
    this.less.disabled = view.scale === 1;
    this.more.disabled = view.scale === MOST;
    setText(this.whole, `Zoom ${view.scale.toFixed(1).replace(/\.0$/, "")}×`);
  }
}
