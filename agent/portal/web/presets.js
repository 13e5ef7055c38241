// Places that a camera's head has kept: turn to one, keep one, forget one.

import { el, refill, setText, tool } from "./dom.js";
import { moment } from "./format.js";

const MOST = 255;
const STAY_S = 20;

export class Presets {
  #ask;
  #presets = [];
  /** By preset: when its picture was taken, and the picture as an URL. */
  #pictures = new Map();
  #isFetching = false;

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
    this.element = el("div", { id: "presets", class: "menu commands presets", popover: "auto", "aria-label": "Presets", ontoggle: () => this.#fetch() }, this.list, this.none, el("div", { class: "preset-ways" }, this.home, this.tour), this.form, this.said);
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
    this.#forgetPictures(presets);
    this.#fill();
    this.#fetch();
  }

  #fill() {
    const [presets = [], mayManage = false] = this.#presets;
    this.list.classList.toggle("with-views", presets.some(({ picture_at: at = 0 }) => at > 0));
    refill(this.list, presets.map((preset) => this.#row(preset, mayManage)));
  }

  #row({ number, name }, mayManage) {
    const label = name || `Preset ${number}`;
    const words = [el("span", { class: "number" }, String(number)), label];
    const go = el("button", { type: "button", class: "preset", onclick: () => this.#do("ptz-go", { number }, label) }, this.#picture(number, label), el("span", { class: "preset-name" }, ...words));
    const forget = mayManage ? el("button", { type: "button", class: "button", "aria-label": `Forget ${label}`, onclick: () => this.#do("ptz-forget", { number }, `${label} is forgotten`) }, "Forget") : null;
    return el("li", {}, go, forget);
  }

  /** What is seen there; an empty place of the same size where nobody knows. */
  #picture(number, label) {
    const { at, url } = this.#pictures.get(number) ?? {};
    if (!url) return el("span", { class: "preset-view", "aria-hidden": "true" });
    return el("img", { class: "preset-view", src: url, alt: `View of ${label}`, title: `As it was ${moment(at)}`, width: 80, height: 45, onerror: (event) => event.target.replaceWith(el("span", { class: "preset-view" })) });
  }

  #forgetPictures(presets) {
    const taken = new Map(presets.map(({ number, picture_at: at = 0 }) => [number, at]));
    for (const [number, { at }] of this.#pictures) if (taken.get(number) !== at) this.#pictures.delete(number);
  }

  /** One after the other, while the list is open: a link may be slow, and the stick goes first. */
  async #fetch() {
    if (this.#isFetching) return;
    this.#isFetching = true;
    for (let next = this.#missing(); next && this.element.matches(":popover-open"); next = this.#missing()) {
      const { number, picture_at: at } = next;
      const told = await this.#ask("ptz-picture", { number });
      if (!told.ok) break; // once more when the list is opened again
      this.#pictures.set(number, { at, url: `data:image/jpeg;base64,${told.value.jpeg}` });
      this.#forgetPictures(this.#presets[0] ?? []); // it may be another by now
      this.#fill();
    }
    this.#isFetching = false;
  }

  #missing() {
    return (this.#presets[0] ?? []).find(({ number, picture_at: at = 0 }) => at > 0 && !this.#pictures.has(number));
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
