// Which release each device runs, how a roll-out goes, and why a release was given back.

import { el, setText } from "./dom.js";
import { count, moment } from "./format.js";

const LOOK_MS = 2_000;
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export class ReleasesPage {
  #cameras;

  constructor({ cameras }) {
    this.#cameras = cameras;
    this.summary = el("p", { class: "summary" });
    this.shares = el("ul", { class: "shares", "aria-label": "Releases" });
    this.rows = el("tbody");
    const heads = ["Camera", "Release", "State", "Last given back"].map((text) => el("th", { scope: "col" }, text));
    this.element = el("div", {}, this.summary, this.shares, el("table", { class: "releases" }, el("thead", {}, el("tr", {}, ...heads)), this.rows));
  }

  /** Shows what the portal says, again and again while the page is open. */
  load() {
    this.#paint();
    const timer = setInterval(() => (this.element.isConnected ? this.#paint() : clearInterval(timer)), LOOK_MS);
  }

  #paint() {
    const devices = this.#cameras().sort((a, b) => byName.compare(a.name, b.name));
    const shares = sharesOf(devices);
    setText(this.summary, devices.length ? `${shares[0].devices} of ${count(devices.length, "camera", "cameras")} on ${shares[0].version}` : "No cameras yet");
    this.shares.replaceChildren(...shares.map((share) => bar(share, devices.length)));
    this.rows.replaceChildren(...devices.map(row));
  }
}

/** How many devices run each release, the newest release first. */
function sharesOf(devices) {
  const counts = new Map();
  for (const { version } of devices) counts.set(version || "unknown", (counts.get(version || "unknown") ?? 0) + 1);
  return [...counts].map(([version, devices]) => ({ version, devices })).sort((a, b) => byName.compare(b.version, a.version));
}

function bar({ version, devices }, total) {
  const label = `${devices} of ${total} on ${version}`;
  return el("li", {}, el("span", {}, version), el("progress", { value: devices, max: total, "aria-label": label }), el("span", {}, label));
}

function row(device) {
  const { release } = device;
  const returned = release?.given_back ? `${release.given_back}, ${moment(release.given_back_at)}: ${release.reason}` : "";
  return el("tr", {}, el("th", { scope: "row" }, device.name), el("td", {}, device.version || "unknown"), el("td", {}, stateOf(device)), el("td", {}, returned));
}

function stateOf({ online, release }) {
  if (!online) return "offline";
  if (!release) return "not managed";
  return release.on_trial ? "on trial" : "good";
}
