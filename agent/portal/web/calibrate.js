// A head that cannot tell where it points learns how far it turns in a time: two pulses of each axis, measured by eye.

import { el, setText } from "./dom.js";

const WAYS = { pan: "Right", tilt: "Up" };
const PULSES_S = [0.4, 1];

export class Calibrate {
  #ask;

  /** @param {(name: string, wish: object) => Promise<object>} ask has the camera do it; says whether it did. */
  constructor(ask) {
    this.#ask = ask;
    this.said = el("p", { class: "hint", role: "status" });
    const about = el("p", { class: "hint" }, "So that a click can centre: turn the camera each of these times, and say by how much of the picture's width the view moved.");
    const rows = Object.keys(WAYS).flatMap((axis) => PULSES_S.map((seconds) => this.#row(axis, seconds)));
    this.element = el("details", { class: "calibrate", hidden: true }, el("summary", {}, "Calibrate"), about, ...rows, this.said);
  }

  /** @param {boolean} mayManage whether this user may teach it. */
  update({ can_position: canPosition = false }, mayManage) {
    this.element.hidden = canPosition || !mayManage;
  }

  #row(axis, seconds) {
    const words = `${WAYS[axis]} ${seconds} s`;
    const moved = el("input", { type: "number", min: "1", max: "200", required: true, inputmode: "numeric", "aria-label": `${words} moved it by, in % of the picture's width`, placeholder: "%" });
    const turn = el("button", { type: "button", class: "button", onclick: () => this.#do({ axis, seconds }, `${words} is done`) }, words);
    const onsubmit = (event) => {
      event.preventDefault();
      this.#do({ axis, seconds, moved: moved.valueAsNumber / 100 }, `${words} is kept: ${moved.value} %`);
    };
    return el("form", { class: "preset-form", onsubmit }, turn, moved, el("button", { type: "submit", class: "button", "aria-label": `Keep ${words}` }, "Keep"));
  }

  async #do(wish, done) {
    setText(this.said, "Asked …");
    const told = await this.#ask("ptz-calibrate", wish);
    setText(this.said, told.ok ? done : told.message || told.code);
  }
}
