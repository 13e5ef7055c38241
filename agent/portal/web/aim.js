// A click brings what is under it to the middle of the picture; a box that is drawn shall fill it.

import { el } from "./dom.js";

const LEAST_BOX_PX = 16; // below, it was a click
const LEAST_WIDTH = 0.02;

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
    width: isBox ? Math.min(1, Math.max(LEAST_WIDTH, share)) : 1,
  };
}

export class Aim {
  /** Whether a box counts. */
  canZoom = false;
  #video;
  #onAim;
  #from = null;

  /** @param {(aim: {x: number, y: number, width: number}) => void} onAim */
  constructor(video, onAim) {
    this.#video = video;
    this.#onAim = onAim;
    this.box = el("div", { class: "aim-box", hidden: true });
    this.element = el("div", { class: "aim", "aria-hidden": "true", hidden: true }, this.box);
    this.element.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.element.addEventListener("pointermove", (event) => this.#from?.id === event.pointerId && this.#draw(event));
    this.element.addEventListener("pointerup", (event) => this.#from?.id === event.pointerId && this.#onUp(event));
    this.element.addEventListener("pointercancel", () => this.#forget());
  }

  #onDown(event) {
    if (this.#from || event.button !== 0 || !this.#video.videoWidth) return;
    this.#from = { id: event.pointerId, x: event.clientX, y: event.clientY };
    this.element.setPointerCapture(event.pointerId);
  }

  #isBox({ clientX, clientY }) {
    return this.canZoom && Math.max(Math.abs(clientX - this.#from.x), Math.abs(clientY - this.#from.y)) >= LEAST_BOX_PX;
  }

  #draw(event) {
    this.box.hidden = !this.#isBox(event);
    const { left, top } = this.element.getBoundingClientRect();
    Object.assign(this.box.style, {
      left: `${Math.min(event.clientX, this.#from.x) - left}px`,
      top: `${Math.min(event.clientY, this.#from.y) - top}px`,
      width: `${Math.abs(event.clientX - this.#from.x)}px`,
      height: `${Math.abs(event.clientY - this.#from.y)}px`,
    });
  }

  #onUp(event) {
    const isBox = this.#isBox(event);
    const to = { x: event.clientX, y: event.clientY };
    const aim = aimOf(isBox ? this.#from : to, to, pictureBox(this.#video), isBox);
    this.#forget();
    if (Math.abs(aim.x) <= 0.5 && Math.abs(aim.y) <= 0.5) this.#onAim(aim); // and not the bars beside it
  }

  #forget() {
    this.#from = null;
    this.box.hidden = true;
  }
}
