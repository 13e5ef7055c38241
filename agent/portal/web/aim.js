// A click brings what is under it to the middle of the picture; a box that is drawn shall fill it. By keys: a mark.

import { announce, el } from "./dom.js";

const LEAST_BOX_PX = 16; // below, it was a click
const LEAST_WIDTH = 0.02;
const STEP = 0.05; // of the picture's width, by an arrow
const FINE_STEP = 0.01;
const BOX_STEP = 1.25;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const WHEEL_SPEED = 0.8;
const PINCH_GAIN = 1.5; // fingers 1.6 times as far apart are full speed

const within = (value, least, most) => Math.min(most, Math.max(least, value));

/** Where the picture itself is on the page: `object-fit: contain` leaves bars beside it. */
export function pictureBox(video) {
  const { left, top, width, height } = video.getBoundingClientRect();
  const scale = Math.min(width / video.videoWidth, height / video.videoHeight);
  const [w, h] = [video.videoWidth * scale, video.videoHeight * scale];
  return { left: left + (width - w) / 2, top: top + (height - h) / 2, width: w, height: h };
}

/** From two corners on the page: the middle of their box in picture widths from the picture's, and what share of it is seen. */
export function aimOf(from, to, picture, isBox) {
  const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2];
  const share = Math.max(Math.abs(to.x - from.x) / picture.width, Math.abs(to.y - from.y) / picture.height);
  return {
    x: (x - picture.left - picture.width / 2) / picture.width,
    y: -(y - picture.top - picture.height / 2) / picture.width,
    width: isBox ? within(share, LEAST_WIDTH, 1) : 1,
  };
}

/** A corner of a box stays in the picture: what is beside it cannot be seen larger. */
function inPicture({ x, y }, { left, top, width, height }) {
  return { x: within(x, left, left + width), y: within(y, top, top + height) };
}

export class Aim {
  /** Whether a box counts. */
  canZoom = false;
  #video;
  #on;
  #from = null;
  #fingers = new Map();
  #apart = 0;
  #mark = { x: 0, y: 0, width: 1 };

  /**
   * @param {{aim: (aim: {x: number, y: number, width: number}) => void, wheel: (speed: number, event: WheelEvent) => void, pinch: (speed: number, factor: number, at: {x: number, y: number}) => void, leave: () => void}} on
   * what is done: speeds are of the lens, from -1 to 1, and 0 at a pinch's end.
   */
  constructor(video, on) {
    this.#video = video;
    this.#on = on;
    this.box = el("div", { class: "aim-box", hidden: true });
    this.cross = el("div", { class: "aim-mark" });
    this.element = el("div", { class: "aim", role: "application", tabindex: "0", hidden: true }, this.box, this.cross);
    this.element.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.element.addEventListener("pointermove", (event) => this.#onMove(event));
    this.element.addEventListener("pointerup", (event) => this.#onUp(event));
    for (const end of ["pointercancel", "lostpointercapture"]) this.element.addEventListener(end, (event) => this.#onLost(event));
    this.element.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    this.element.addEventListener("mousedown", (event) => event.preventDefault()); // the arrows stay the head's
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
    this.element.addEventListener("focus", () => this.#onFocus());
    this.element.addEventListener("blur", () => this.#forget());
    this.update(false);
  }

  /** @param {boolean} canZoom whether the head can zoom to a box. */
  update(canZoom) {
    this.canZoom = canZoom;
    const box = canZoom ? ", plus and minus size a box" : "";
    this.element.setAttribute("aria-label", `Point in the picture: arrows move a mark${box}, Enter turns the camera there, Escape leaves`);
  }

  // ---- a pointer

  #onDown(event) {
    if (event.button !== 0 || !this.#video.videoWidth || this.#fingers.size === 2) return;
    this.element.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.#fingers.size === 1) this.#from = { id: event.pointerId, x: event.clientX, y: event.clientY };
    else {
      this.#forget(); // it is no box any more
      this.#apart = this.#distance();
    }
  }

  #onMove(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) return;
    const was = this.#fingers.size === 2 ? this.#distance() : 0;
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (was) this.#pinch(this.#distance() / was);
    else if (this.#from?.id === event.pointerId) this.#draw(event);
  }

  #onUp(event) {
    if (!this.#fingers.delete(event.pointerId)) return;
    this.#endPinch();
    if (this.#from?.id !== event.pointerId) return;
    const isBox = this.#isBox(event);
    const to = { x: event.clientX, y: event.clientY };
    const from = isBox ? this.#from : to;
    const picture = pictureBox(this.#video);
    this.#forget();
    const middle = aimOf(from, to, picture, false);
    if (Math.abs(middle.x) > 0.5 || Math.abs(middle.y) > (0.5 * picture.height) / picture.width) return; // the bars beside it
    this.#on.aim(isBox ? aimOf(inPicture(from, picture), inPicture(to, picture), picture, true) : middle);
  }

  #onLost(event) {
    if (!this.#fingers.delete(event.pointerId)) return;
    this.#endPinch();
    this.#forget();
  }

  #isBox({ clientX, clientY }) {
    return this.canZoom && Math.max(Math.abs(clientX - this.#from.x), Math.abs(clientY - this.#from.y)) >= LEAST_BOX_PX;
  }

  #draw(event) {
    const to = { x: event.clientX, y: event.clientY };
    const [a, b] = [this.#from, to].map((corner) => inPicture(corner, pictureBox(this.#video)));
    this.#show(this.#isBox(event), { left: Math.min(a.x, b.x), top: Math.min(a.y, b.y), width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y) });
  }

  #distance() {
    const [a, b] = [...this.#fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  }

  #pinch(factor) {
    const [a, b] = [...this.#fingers.values()];
    this.#on.pinch(within(PINCH_GAIN * Math.log2(this.#distance() / this.#apart), -1, 1), factor, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  }

  #endPinch() {
    if (!this.#apart) return;
    this.#apart = 0;
    this.#on.pinch(0, 1, { x: 0, y: 0 });
  }

  #onWheel(event) {
    event.preventDefault();
    this.#on.wheel(event.deltaY < 0 ? WHEEL_SPEED : -WHEEL_SPEED, event);
  }

  // ---- keys

  #onFocus() {
    this.#mark = { x: 0, y: 0, width: 1 };
    this.#showMark();
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#video.videoWidth || !this.#doKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Whether it is one of ours. */
  #doKey({ key, shiftKey }) {
    if (ARROWS[key]) this.#moveMark(...ARROWS[key].map((way) => way * (shiftKey ? FINE_STEP : STEP)));
    else if (this.canZoom && ["+", "=", "-"].includes(key)) this.#sizeMark(key === "-" ? BOX_STEP : 1 / BOX_STEP);
    else if (key === "Enter" || key === " ") {
      this.#on.aim(this.#mark);
      this.#onFocus();
    } else if (key === "Escape") this.#on.leave();
    else return false;
    return true;
  }

  #moveMark(dx, dy) {
    const { x, y, width } = this.#mark;
    const tall = this.#video.videoHeight / this.#video.videoWidth;
    this.#setMark({ x: within(x + dx, -0.5, 0.5), y: within(y + dy, -0.5 * tall, 0.5 * tall), width });
  }

  #sizeMark(factor) {
    this.#setMark({ ...this.#mark, width: within(this.#mark.width * factor, LEAST_WIDTH, 1) });
  }

  #setMark(mark) {
    this.#mark = mark;
    this.#showMark();
    announce(wordsOf(mark));
  }

  #showMark() {
    const { left, top, width, height } = pictureBox(this.#video);
    const place = this.element.getBoundingClientRect();
    const [x, y] = [left + width * (0.5 + this.#mark.x), top + height / 2 - width * this.#mark.y];
    Object.assign(this.cross.style, { left: `${x - place.left}px`, top: `${y - place.top}px` });
    const [w, h] = [width * this.#mark.width, height * this.#mark.width];
    this.#show(this.#mark.width < 1, { left: x - w / 2, top: y - h / 2, width: w, height: h });
  }

  #show(isShown, { left, top, width, height }) {
    this.box.hidden = !isShown;
    const place = this.element.getBoundingClientRect();
    Object.assign(this.box.style, { left: `${left - place.left}px`, top: `${top - place.top}px`, width: `${width}px`, height: `${height}px` });
  }

  #forget() {
    this.#from = null;
    this.box.hidden = true;
  }
}

/** For who does not see the mark. */
function wordsOf({ x, y, width }) {
  const percent = (value) => `${Math.abs(Math.round(value * 100))} %`;
  const ways = [Math.abs(x) < 0.005 ? "" : `${percent(x)} ${x > 0 ? "right" : "left"}`, Math.abs(y) < 0.005 ? "" : `${percent(y)} ${y > 0 ? "up" : "down"}`].filter(Boolean);
  return `${ways.join(", ") || "Middle"}${width < 1 ? `, a box of ${percent(width)}` : ""}`;
}
