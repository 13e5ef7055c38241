// All cameras: a card each, updated in place; what needs somebody comes first.

import { rankOf, stateOf } from "./badge.js";
import { Card } from "./card.js";
import { nameOf } from "./device.js";
import { el, icon, tool } from "./dom.js";
import { Filters } from "./filters.js";
import { lookForStill } from "./posters.js";
import { Previews } from "./previews.js";

const SEARCH_FROM = 7;
const MANY = 5; // from here a phone shows a list
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export class GridView {
  #cards = new Map();
  #devices = [];
  #wanted = "";

  #previews;

  /** @param {object} media what live previews need: {signal, iceServers}. */
  constructor(actions, media) {
    const onPoster = (id) => this.#cards.get(id)?.showPoster();
    this.#previews = new Previews({ ...media, onPoster, onRest: (id) => this.#onRest(id, onPoster) });
    const live = tool("live", "Live previews", () => live.setAttribute("aria-pressed", String(this.#previews.toggle())), { "aria-pressed": String(this.#previews.isOn) });
    this.search = el("input", {
      type: "search",
      placeholder: "Search cameras",
      "aria-label": "Search cameras",
      autocomplete: "off",
      oninput: () => this.#onSearch(),
      onkeydown: (event) => event.key === "Escape" && this.#showAll(),
    });
    this.searchBox = el("div", { class: "search", hidden: true }, icon("search"), this.search);
    this.heading = el("h1", { tabindex: "-1" }, "Cameras");
    this.filters = new Filters(() => this.#arrange());
    this.grid = el("ul", { class: "grid", "aria-label": "Cameras" });
    this.blank = el("div", { class: "blank", hidden: true });
    this.element = el(
      "div",
      { class: "page" },
      el("header", { class: "top" }, el("div", { class: "brand" }, icon("logo"), "Pinhole"), this.searchBox, el("div", { class: "actions" }, live, ...actions)),
      el("main", { class: "content" }, el("div", { class: "heading" }, this.heading, this.filters.element), this.grid, this.blank),
    );
  }

  /** @param {Map<string, object> | null} devices null while the portal has not said yet. */
  update(devices) {
    if (devices === null) return this.#showLoading();
    this.grid.removeAttribute("aria-busy");
    for (const skeleton of this.grid.querySelectorAll(".skeleton")) skeleton.parentElement.remove();
    for (const [id, card] of this.#cards) if (!devices.has(id)) this.#drop(id, card);
    for (const device of devices.values()) this.#updateCard(device);
    this.#devices = [...devices.values()];
    this.#devices.sort((a, b) => rankOf(a) - rankOf(b) || byName.compare(nameOf(a), nameOf(b)) || byName.compare(a.id, b.id));
    this.searchBox.hidden = this.#devices.length < SEARCH_FROM;
    this.#arrange();
  }

  focus(device = null) {
    const card = this.#cards.get(device) ?? this.#visible()[0];
    (card?.link ?? this.heading).focus({ preventScroll: device === null });
  }

  get viewers() {
    return this.#previews.viewers;
  }

  close() {
    this.#previews.close();
  }

  onKey(key) {
    if (key === "/") return this.#focusSearch();
    const links = this.#visible().map((card) => card.link);
    const at = links.indexOf(document.activeElement);
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    if (!step || !links.length) return false;
    const next = at < 0 ? 0 : at + step;
    links[Math.max(0, Math.min(links.length - 1, next))].focus();
    return true;
  }

  /** The age on the card grows, and the portal may know of a newer picture. */
  #onRest(id, onPoster) {
    onPoster(id);
    lookForStill(id, () => onPoster(id));
  }

  #showLoading() {
    if (this.grid.childElementCount) return;
    this.grid.setAttribute("aria-busy", "true");
    this.grid.append(...Array.from({ length: 3 }, () => el("li", {}, el("div", { class: "card skeleton" }, el("div", { class: "poster" })))));
  }

  #updateCard(device) {
    const card = this.#cards.get(device.id) ?? this.#addCard(device.id);
    const state = stateOf(device);
    card.update(device);
    this.#previews.update(device.id, state !== "offline" && state !== "failed");
  }

  #addCard(id) {
    const card = new Card(id);
    this.#previews.add(id, card.poster);
    this.#cards.set(id, card);
    return card;
  }

  #drop(id, card) {
    this.#previews.drop(id);
    card.item.remove();
    this.#cards.delete(id);
  }

  /** Order, filter and count what is known. */
  #arrange() {
    this.filters.update(this.#devices);
    this.#devices.forEach((device, index) => {
      const { item } = this.#cards.get(device.id);
      if (this.grid.children[index] !== item) this.grid.insertBefore(item, this.grid.children[index] ?? null);
      item.hidden = !this.#matches(device);
    });
    const shown = this.#devices.filter((device) => this.#matches(device)).length;
    this.grid.dataset.number = this.#devices.length;
    this.grid.classList.toggle("many", this.#devices.length >= MANY);
    this.#showBlank(shown);
  }

  #showBlank(shown) {
    const nothingFound = this.#devices.length > 0 && !shown;
    this.blank.hidden = this.#devices.length > 0 && !nothingFound;
    const kind = nothingFound ? "nothing-found" : "empty";
    if (this.blank.hidden || (this.blank.dataset.kind === kind && !nothingFound)) return;
    this.blank.dataset.kind = kind;
    this.blank.replaceChildren(...(nothingFound ? this.#nothingFound() : howToAdd()));
  }

  #nothingFound() {
    return [
      icon("search"),
      el("h2", {}, `No camera matches “${this.#wanted}”`),
      el("button", { type: "button", class: "button", onclick: () => this.#showAll() }, "Show all cameras"),
    ];
  }

  #matches(device) {
    return this.filters.passes(device) && `${nameOf(device)} ${device.id}`.toLocaleLowerCase().includes(this.#wanted.toLocaleLowerCase());
  }

  #visible() {
    return this.#devices.filter((device) => this.#matches(device)).map((device) => this.#cards.get(device.id));
  }

  #onSearch() {
    this.#wanted = this.search.value.trim();
    this.#arrange();
  }

  #showAll() {
    this.search.value = "";
    this.filters.clear();
    this.#onSearch();
  }

  #focusSearch() {
    if (this.searchBox.hidden) return false;
    this.search.focus();
    return true;
  }
}

function howToAdd() {
  return [
    icon("camera"),
    el("h2", {}, "No cameras yet"),
    el("p", {}, "A camera appears here as soon as it is enrolled and runs, and you may watch it. Where others have cameras already, ask an administrator to let you watch them."),
    el(
      "ol",
      { class: "steps" },
      el("li", {}, "Install Pinhole on the Raspberry Pi, or on any Linux machine with a camera."),
      el("li", {}, "Make a claim code: ", el("a", { href: "#/cameras" }, "Add a camera"), "; an administrator may."),
      el("li", {}, "Run the command that comes with it on the camera."),
      el("li", {}, "Start it: ", el("code", {}, "pinhole run --config pinhole.toml")),
    ),
  ];
}
