// A camera's card: its picture, its state and one line about it.

import { badge, lineOf, stateOf, updateBadge, warningOf } from "./badge.js";
import { nameOf } from "./device.js";
import { el, icon, setText } from "./dom.js";
import { ago, moment } from "./format.js";
import { bars, signalWords, updateBars } from "./modem.js";
import { posterOf } from "./posters.js";

const SYMBOLS = { offline: "camera-off", failed: "alert" };

export class Card {
  constructor(id) {
    this.id = id;
    this.name = id;
    this.image = el("img", { alt: "", hidden: true });
    this.placeholder = el("div", { class: "placeholder" });
    this.badge = badge();
    this.age = el("span", { class: "age", hidden: true });
    this.title = el("h2", {});
    this.line = el("p", { class: "line" });
    this.bars = bars();
    this.signalText = el("span", {});
    this.signal = el("p", { class: "line signal", hidden: true }, this.bars, this.signalText);
    this.warningText = el("span", {});
    this.warning = el("p", { class: "warning", hidden: true }, icon("alert"), this.warningText);
    this.poster = el("div", { class: "poster" }, this.image, this.placeholder, this.age);
    // The link is called what it shows, its name first: the style sheet puts the picture on top.
    const caption = el("div", { class: "caption" }, this.title, this.line, this.signal, this.warning);
    this.link = el("a", { class: "card", href: `#/camera/${encodeURIComponent(id)}`, "data-device": id }, caption, this.badge, this.poster);
    this.item = el("li", {}, this.link);
  }

  update(device) {
    const state = stateOf(device);
    this.name = nameOf(device);
    this.link.dataset.state = state;
    updateBadge(this.badge, state);
    setText(this.title, this.name);
    setText(this.line, lineOf(device));
    this.line.title = this.line.textContent;
    this.#showSignal(device.sections.modem);
    setText(this.warningText, warningOf(device));
    this.warning.hidden = !warningOf(device);
    this.warning.title = this.warningText.textContent;
    this.showPoster();
    const wanted = SYMBOLS[state] ?? "camera";
    if (this.placeholder.dataset.icon === wanted) return;
    this.placeholder.dataset.icon = wanted;
    this.placeholder.replaceChildren(icon(wanted));
  }

  #showSignal(modem) {
    this.signal.hidden = !modem;
    if (!modem) return;
    updateBars(this.bars, modem);
    setText(this.signalText, signalWords(modem));
  }

  /** The last picture of it that is known here. */
  showPoster() {
    const poster = posterOf(this.id);
    this.image.hidden = this.age.hidden = !poster;
    this.placeholder.hidden = Boolean(poster);
    if (!poster) return;
    if (this.image.src !== poster.url) this.image.src = poster.url;
    setText(this.age, `Seen ${ago(poster.at / 1000)}`);
    this.age.title = moment(poster.at / 1000);
  }
}
