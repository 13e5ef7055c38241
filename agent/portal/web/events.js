// What happened at the cameras, from the portal's store: a page for all, and a menu in each camera's view.

import { get, segment } from "./api.js";
import { announce, el, icon, iconButton, setText } from "./dom.js";
import { choice, field, form } from "./form.js";
import { count, duration, moment, sentence } from "./format.js";

const PAGE = 50;
const IN_MENU = 20;
const DAY_S = 86_400;
const ICONS = { info: "camera", offline: "camera-off" };
const UNSURE = "The camera's clock was not right: this is the latest that it can have been.";

/** One event; `place` is what leads to its camera, where that is not plain. */
function row({ device, event_id: id, kind, severity, at, until, is_time_known: isKnown, message, thumbnail, details }, kinds, place = null) {
  const title = kinds[kind] ?? kind;
  const said = message && message !== title ? sentence(message) : "";
  const words = [said, details.away_s === undefined ? "" : `It was away for ${duration(details.away_s)}.`, until ? `It lasted ${duration(until - at)}.` : ""].filter(Boolean);
  // A kind that this release does not know is shown plainly.
  if (!message && !words.length) words.push(...Object.entries(details).map(([name, value]) => `${name}: ${value}`));
  const time = el("time", { datetime: new Date(at * 1000).toISOString(), title: isKnown ? null : UNSURE }, isKnown ? moment(at) : `≈ ${moment(at)}`);
  if (!isKnown) time.append(el("span", { class: "visually-hidden" }, ` ${UNSURE}`));
  const symbol = icon(ICONS[kind] ?? ICONS[severity] ?? "alert");
  const image = thumbnail ? pictureOf(device, id) : null;
  return el("li", { "data-severity": severity }, symbol, el("strong", {}, title), isKnown ? el("a", { href: `#/camera/${segment(device)}/${Math.floor(at)}`, title: "What was recorded then" }, time) : time, place, words.length ? el("p", {}, words.join(" ")) : null, image);
}

/** Fetched from the camera when it comes into sight; gone where there is none, or not any more. */
function pictureOf(device, event) {
  const src = `api/devices/${segment(device)}/events/${segment(event)}/picture`;
  const image = el("img", { alt: "The camera's picture then", loading: "lazy", width: 320, height: 180, onerror: () => image.remove() });
  image.src = src; // after `loading`, which counts when it is set
  return image;
}

export class EventsPage {
  #next = null;
  #number = 0;

  constructor({ cameras, about }) {
    this.cameras = cameras;
    this.since = field("From", { name: "events-since", type: "date" });
    this.until = field("To", { name: "events-until", type: "date" });
    this.device = choice("Camera", "events-device", [["", "Every camera"], ...cameras().map(({ id, name }) => [id, name])]);
    if (about) this.device.input.value = about;
    this.kind = choice("What", "events-kind", [["", "Everything"]]);
    this.list = el("ol", { class: "event-list", "aria-label": "Events" });
    this.none = el("p", { class: "hint", role: "status", hidden: true }, "Nothing has happened that fits.");
    this.problem = el("p", { class: "form-error", role: "alert" });
    this.more = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.#add() }, "Older");
    const filter = form("Show", () => this.load(), this.since, this.until, this.device, this.kind);
    filter.classList.add("inline");
    this.element = el("div", {}, filter, this.list, this.none, this.problem, this.more);
  }

  async load() {
    this.#next = null;
    this.#number = 0;
    this.list.replaceChildren();
    await this.#add();
  }

  /** Days are this browser's own. */
  #query() {
    const day = (one) => (one.input.value ? new Date(`${one.input.value}T00:00`).getTime() / 1000 : null);
    const [since, until] = [day(this.since), day(this.until)];
    const asked = { device: this.device.input.value, kind: this.kind.input.value, since, until: until && until + DAY_S, limit: PAGE, before: this.#next };
    return new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
  }

  async #add() {
    const { events, next, kinds, problem } = await get(`api/events?${this.#query()}`);
    setText(this.problem, problem ?? "");
    if (problem) return;
    this.#offer(events, kinds);
    this.list.append(...events.map((event) => row(event, kinds, this.#place(event.device))));
    this.#next = next;
    this.#number += events.length;
    this.none.hidden = this.#number > 0;
    this.more.hidden = !next;
    announce(count(this.#number, "event", "events"));
  }

  #place(device) {
    const name = this.cameras().find(({ id }) => id === device)?.name ?? device;
    return el("a", { href: `#/camera/${encodeURIComponent(device)}` }, name);
  }

  /** Kinds that are known, and those of newer cameras that were seen. */
  #offer(events, kinds) {
    const { input } = this.kind;
    const known = new Set([...input.options].map(({ value }) => value));
    const fresh = [...new Set([...Object.keys(kinds), ...events.map(({ kind }) => kind)])].filter((kind) => !known.has(kind));
    input.append(...fresh.map((kind) => el("option", { value: kind }, kinds[kind] ?? kind)));
  }
}

/** A button and the newest events of one camera, which it opens. */
export class EventMenu {
  #device;

  constructor(device) {
    this.#device = device;
    this.button = iconButton("bell", "Events", null, { popovertarget: "events", title: "What happened at this camera" });
    this.list = el("ol", { class: "event-list", "aria-label": "Events" });
    this.said = el("p", { class: "hint", role: "status" });
    const all = el("a", { class: "button", href: `#/events/${encodeURIComponent(device)}` }, "All events");
    this.element = el("div", { id: "events", class: "menu commands camera-events", popover: "auto", onbeforetoggle: (event) => event.newState === "open" && this.#fill() }, el("h2", {}, "Events"), this.list, this.said, all);
  }

  async #fill() {
    const { events, kinds, problem } = await get(`api/events?${new URLSearchParams({ device: this.#device, limit: IN_MENU })}`);
    setText(this.said, problem ?? (events.length ? "" : "Nothing has happened here yet."));
    this.list.replaceChildren(...(events ?? []).map((event) => row(event, kinds)));
  }
}
