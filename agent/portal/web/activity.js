// What happened at the cameras, kept after its toast has gone.

import { el, icon, setText, tool } from "./dom.js";
import { count, moment } from "./format.js";

const MAX_ENTRIES = 100;
const BLINK_S = 10;
const SEEN = "pinhole-activity-seen";
const WORDS = { online: "Is online again", offline: "Went offline" };

/** What the portal says has a severity; that a camera came or went is seen here. */
export const isGood = ({ kind, severity }) => (severity ? severity === "info" : kind === "online");

/** Without those, the newest first, of a camera that was back at once: each change of its settings makes such a pair. */
function withoutBlinks(entries) {
  const back = new Map();
  const blinks = new Set();
  for (const entry of entries) {
    if (entry.kind === "online") back.set(entry.device, entry);
    if (entry.kind !== "offline") continue;
    const online = back.get(entry.device);
    if (online?.at - entry.at < BLINK_S) blinks.add(entry).add(online);
    back.delete(entry.device);
  }
  return entries.filter((entry) => !blinks.has(entry));
}

export class Activity {
  #entries = []; // {device, kind, message, at}, the newest first
  #nameOf;

  /** @param {(device: string) => string} nameOf */
  constructor(nameOf) {
    this.#nameOf = nameOf;
    this.number = el("span", { class: "number", hidden: true });
    this.button = tool("bell", "Activity", null, { popovertarget: "activity" });
    this.button.append(this.number);
    this.list = el("ol", { class: "activity-list" });
    this.panel = el("div", { id: "activity", class: "menu activity", popover: "auto", ontoggle: (event) => event.newState === "open" && this.#show() }, el("h2", {}, "Activity"), this.list, el("a", { class: "button", href: "#/events" }, "All events"));
  }

  /** What the portal remembers takes the place of our own notes on the same time. */
  past(events) {
    const oldest = Math.min(...events.map(({ at }) => at));
    this.#keep([...events, ...this.#entries.filter(({ at }) => at < oldest)]);
  }

  add(entry) {
    this.#keep([entry, ...this.#entries]);
  }

  clear() {
    this.#keep([]);
  }

  #keep(entries) {
    this.#entries = withoutBlinks(entries.sort((a, b) => b.at - a.at)).slice(0, MAX_ENTRIES);
    if (this.panel.getClientRects().length) return this.#show(); // it is open
    const seen = Number(localStorage.getItem(SEEN) ?? 0);
    const unseen = this.#entries.filter(({ at }) => at > seen).length;
    this.number.hidden = !unseen;
    setText(this.number, unseen ? String(unseen) : "");
    this.button.title = unseen ? count(unseen, "new event", "new events") : "";
  }

  #show() {
    this.list.replaceChildren(...(this.#entries.length ? this.#entries.map((entry) => this.#row(entry)) : [el("li", { class: "hint" }, "Nothing has happened yet.")]));
    if (this.#entries.length) localStorage.setItem(SEEN, String(this.#entries[0].at));
    this.number.hidden = true;
    this.button.title = "";
  }

  #row({ device, kind, severity, message, at }) {
    const good = isGood({ kind, severity });
    const words = el("div", {}, el("strong", {}, this.#nameOf(device)), el("p", {}, message || (WORDS[kind] ?? kind)));
    const link = el("a", { href: `#/camera/${encodeURIComponent(device)}` }, icon(good ? "camera" : kind === "offline" ? "camera-off" : "alert"), words, el("time", {}, moment(at)));
    return el("li", { class: good ? "good" : "" }, link);
  }
}
