// Places that a camera's head has kept: turn to one, keep one, forget one.

import { el, refill, setText, tool } from "./dom.js";

const MOST = 255;
const STAY_S = 20;

export class Presets {
  #ask;
  #presets = [];

  /** @param {(name: string, wish: object) => Promise<object>} ask has the camera do it; says whether it did. */
  constructor(ask) {
    this.#ask = ask;
    this.button = tool("presets", "Presets", null, { popovertarget: "presets" });
    this.list = el("ul", { class: "preset-list", "aria-label": "Presets" });
    this.none = el("p", { class: "hint" }, "None is kept yet.");
    this.home = el("button", { type: "button", class: "button", onclick: () => this.#do("ptz-home", {}, "Turns home") }, "Home");
    this.tour = el("button", { type: "button", class: "button", "aria-pressed": "false", onclick: () => this.#toggleTour() }, "Tour");
    this.name = el("input", { type: "text", id: "preset-name", maxlength: "40", autocomplete: "off" });
    const keep = el("button", { type: "submit", class: "button" }, "Keep this view");
    this.form = el("form", { class: "preset-form", hidden: true, onsubmit: (event) => this.#keep(event) }, el("label", { for: "preset-name" }, "Name"), this.name, keep);
    this.said = el("p", { class: "hint", role: "status" });
    this.element = el("div", { id: "presets", class: "menu commands presets", popover: "auto", "aria-label": "Presets" }, this.list, this.none, el("div", { class: "preset-ways" }, this.home, this.tour), this.form, this.said);
  }

  /** @param {boolean} mayManage whether presets may be kept and forgotten. */
  update({ presets = [], touring = false }, mayManage) {
    this.form.hidden = !mayManage;
    this.tour.hidden = presets.length < 2 && !touring;
    this.tour.setAttribute("aria-pressed", String(touring));
    setText(this.tour, touring ? "End the tour" : "Tour");
    const isSame = JSON.stringify([presets, mayManage]) === JSON.stringify(this.#presets);
    if (isSame) return;
    this.#presets = [presets, mayManage];
    this.none.hidden = presets.length > 0;
    refill(this.list, presets.map((preset) => this.#row(preset, mayManage)));
  }

  #row({ number, name }, mayManage) {
    const label = name || `Preset ${number}`;
    const go = el("button", { type: "button", class: "preset", onclick: () => this.#do("ptz-go", { number }, label) }, el("span", { class: "number" }, String(number)), label);
    const forget = mayManage ? el("button", { type: "button", class: "button", "aria-label": `Forget ${label}`, onclick: () => this.#do("ptz-forget", { number }, `${label} is forgotten`) }, "Forget") : null;
    return el("li", {}, go, forget);
  }

  #keep(event) {
    event.preventDefault();
    const [presets = []] = this.#presets;
    const taken = new Set(presets.map(({ number }) => number));
    const name = this.name.value.trim();
    // A name that is there already is kept anew.
    const number = presets.find((preset) => name && preset.name === name)?.number ?? firstFree(taken);
    this.#do("ptz-keep", { number, name }, `${name || `Preset ${number}`} is kept`);
    this.name.value = "";
  }

  #toggleTour() {
    const isOn = this.tour.getAttribute("aria-pressed") === "true";
    this.#do("ptz-tour", { seconds: isOn ? 0 : STAY_S, presets: [] }, isOn ? "The tour is over" : "Tours its presets");
  }

  async #do(name, wish, done) {
    setText(this.said, "Asked …");
    const told = await this.#ask(name, wish);
    setText(this.said, told.ok ? done : told.message || told.code);
  }
}

function firstFree(taken) {
  for (let number = 1; number < MOST; number += 1) if (!taken.has(number)) return number;
  return MOST;
}
