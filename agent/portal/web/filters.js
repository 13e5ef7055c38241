// How many cameras are in which state: each count shows those alone.

import { stateOf, warningOf } from "./badge.js";
import { el, setText } from "./dom.js";

const FILTERS = [
  ["all", "All", () => true],
  ["failed", "Failed", (device) => stateOf(device) === "failed"],
  ["offline", "Offline", (device) => stateOf(device) === "offline"],
  ["warning", "Warning", (device) => warningOf(device) !== ""],
  ["live", "Live", (device) => stateOf(device) === "live"],
];

export class Filters {
  #chosen = "all";
  #buttons = new Map();

  /** @param {() => void} onChange called when somebody chose another. */
  constructor(onChange) {
    this.element = el("div", { class: "filters", role: "group", "aria-label": "Show", hidden: true });
    for (const [name, label] of FILTERS) {
      const number = el("span", { class: "number" });
      const choose = () => {
        this.#choose(name);
        onChange();
      };
      const button = el("button", { type: "button", class: "filter", "data-state": name, onclick: choose }, label, " ", number);
      this.#buttons.set(name, { button, number });
      this.element.append(button);
    }
    this.#choose("all");
  }

  get isOn() {
    return this.#chosen !== "all";
  }

  clear() {
    this.#choose("all");
  }

  /** A filter that nothing passes any more gives way to all cameras. */
  update(devices) {
    for (const [name, , passes] of FILTERS) {
      const { button, number } = this.#buttons.get(name);
      const found = devices.filter(passes).length;
      setText(number, String(found));
      button.hidden = !found;
      if (!found && this.#chosen === name) this.#choose("all");
    }
    this.element.hidden = devices.length < 2;
  }

  passes(device) {
    return FILTERS.find(([name]) => name === this.#chosen)[2](device);
  }

  #choose(name) {
    this.#chosen = name;
    for (const [each, { button }] of this.#buttons) button.setAttribute("aria-pressed", String(each === name));
  }
}
