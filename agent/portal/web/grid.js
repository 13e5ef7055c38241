// All cameras: a card each, updated in place.

import { badge, lineOf, stateOf, updateBadge, warningOf } from "./badge.js";
import { el, icon, iconButton, setText } from "./dom.js";
import { count, moment } from "./format.js";
import { posterOf } from "./posters.js";
import { Previews } from "./previews.js";

const SEARCH_FROM = 7;
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export class GridView {
  #cards = new Map();
  #devices = [];
  #filter = "";

  #previews;

  /** @param {object} media what live previews need: {signal, iceServers}. */
  constructor(actions, media) {
    this.#previews = new Previews(media);
    const live = iconButton("live", "Live previews", () => live.setAttribute("aria-pressed", String(this.#previews.toggle())), { "aria-pressed": String(this.#previews.isOn) });
    this.search = el("input", {
      type: "search",
      placeholder: "Search cameras",
      "aria-label": "Search cameras",
      autocomplete: "off",
      oninput: () => this.#onSearch(),
      onkeydown: (event) => event.key === "Escape" && this.#clearSearch(),
    });
    this.searchBox = el("div", { class: "search", hidden: true }, icon("search"), this.search);
    this.heading = el("h1", { tabindex: "-1" }, "Cameras");
    this.summary = el("p", { class: "summary" });
    this.grid = el("ul", { class: "grid", "aria-label": "Cameras" });
    this.blank = el("div", { class: "blank", hidden: true });
    this.element = el(
      "div",
      { class: "page" },
      el("header", { class: "top" }, el("div", { class: "brand" }, icon("logo"), "Pinhole"), this.searchBox, el("div", { class: "actions" }, live, ...actions)),
      el("main", { class: "content" }, el("div", { class: "heading" }, this.heading, this.summary), this.grid, this.blank),
    );
  }

  /** @param {Map<string, object> | null} devices null while the portal has not said yet. */
  update(devices) {
    if (devices === null) return this.#showLoading();
    this.grid.removeAttribute("aria-busy");
    for (const skeleton of this.grid.querySelectorAll(".skeleton")) skeleton.parentElement.remove();
    for (const [id, card] of this.#cards) if (!devices.has(id)) this.#drop(id, card);
    for (const device of devices.values()) this.#updateCard(device);
    this.#sort([...devices.values()]);
    this.#summarize([...devices.values()]);
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

  #showLoading() {
    if (this.grid.childElementCount) return;
    this.grid.setAttribute("aria-busy", "true");
    this.grid.append(...Array.from({ length: 3 }, () => el("li", {}, el("div", { class: "card skeleton" }, el("div", { class: "poster" })))));
  }

  #updateCard(device) {
    const card = this.#cards.get(device.id) ?? this.#addCard(device.id);
    const state = stateOf(device);
    card.name = device.name;
    card.link.dataset.state = state;
    card.link.setAttribute("aria-label", `${device.name}, ${state}`);
    updateBadge(card.badge, state);
    setText(card.title, device.name);
    setText(card.line, lineOf(device));
    card.line.title = card.line.textContent;
    setText(card.warningText, warningOf(device));
    card.warning.hidden = !warningOf(device);
    card.warning.title = card.warningText.textContent;
    this.#updatePoster(card, device.id, state);
    this.#previews.update(device.id, state !== "offline" && state !== "failed");
  }

  #updatePoster(card, id, state) {
    const poster = posterOf(id);
    card.image.hidden = !poster;
    card.placeholder.hidden = Boolean(poster);
    card.age.hidden = !poster;
    if (poster && card.image.src !== poster.url) card.image.src = poster.url;
    if (poster) setText(card.age, `Seen ${moment(poster.at / 1000)}`);
    const wanted = state === "offline" ? "camera-off" : state === "failed" ? "alert" : "camera";
    if (card.placeholder.dataset.icon !== wanted) {
      card.placeholder.dataset.icon = wanted;
      card.placeholder.replaceChildren(icon(wanted));
    }
  }

  #addCard(id) {
    const card = {
      image: el("img", { alt: "", hidden: true }),
      placeholder: el("div", { class: "placeholder" }),
      badge: badge(),
      age: el("span", { class: "age", hidden: true }),
      title: el("h2", {}),
      line: el("p", { class: "line" }),
      warningText: el("span", {}),
    };
    const poster = el("div", { class: "poster" }, card.image, card.placeholder, card.badge, card.age);
    this.#previews.add(id, poster);
    card.warning = el("p", { class: "warning", hidden: true }, icon("alert"), card.warningText);
    card.link = el(
      "a",
      { class: "card", href: `#/camera/${encodeURIComponent(id)}`, "data-device": id },
      poster,
      el("div", { class: "caption" }, card.title, card.line, card.warning),
    );
    card.item = el("li", {}, card.link);
    this.#cards.set(id, card);
    return card;
  }

  #drop(id, card) {
    this.#previews.drop(id);
    card.item.remove();
    this.#cards.delete(id);
  }

  #sort(devices) {
    devices.sort((a, b) => byName.compare(a.name, b.name) || byName.compare(a.id, b.id));
    devices.forEach((device, index) => {
      const { item } = this.#cards.get(device.id);
      if (this.grid.children[index] !== item) this.grid.insertBefore(item, this.grid.children[index] ?? null);
      item.hidden = !this.#matches(device);
    });
  }

  #summarize(devices) {
    this.#devices = devices;
    this.searchBox.hidden = devices.length < SEARCH_FROM;
    const number = (state) => devices.filter((device) => stateOf(device) === state).length;
    const parts = [count(devices.length, "camera", "cameras")];
    for (const state of ["live", "failed", "offline"]) if (number(state)) parts.push(`${number(state)} ${state}`);
    setText(this.summary, devices.length ? parts.join(" · ") : "");
    this.#showBlank(devices);
  }

  #showBlank(devices) {
    const nothingFound = devices.length > 0 && !devices.some((device) => this.#matches(device));
    this.blank.hidden = devices.length > 0 && !nothingFound;
    const kind = nothingFound ? "nothing-found" : "empty";
    if (this.blank.hidden || (this.blank.dataset.kind === kind && !nothingFound)) return;
    this.blank.dataset.kind = kind;
    this.blank.replaceChildren(...(nothingFound ? this.#nothingFound() : howToAdd()));
  }

  #nothingFound() {
    return [
      icon("search"),
      el("h2", {}, `No camera matches “${this.#filter}”`),
      el("button", { type: "button", class: "button", onclick: () => this.#clearSearch() }, "Show all cameras"),
    ];
  }

  #matches(device) {
    const wanted = this.#filter.toLocaleLowerCase();
    return `${device.name} ${device.id}`.toLocaleLowerCase().includes(wanted);
  }

  #visible() {
    return [...this.grid.children].filter((item) => !item.hidden).map((item) => this.#cards.get(item.firstChild.dataset.device)).filter(Boolean);
  }

  #onSearch() {
    this.#filter = this.search.value.trim();
    this.#sort(this.#devices);
    this.#showBlank(this.#devices);
  }

  #clearSearch() {
    this.search.value = "";
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
    el("p", {}, "A camera appears here as soon as it is enrolled and runs."),
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
