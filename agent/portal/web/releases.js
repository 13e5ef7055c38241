// Which release each camera runs, how the newest one fares, and why one was rolled back.

import { post } from "./api.js";
import { el, setText, table } from "./dom.js";
import { count, moment } from "./format.js";

const LOOK_MS = 2_000;
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** How a camera stands to the newest release, in the order in which people want to hear of it. */
const STATES = {
  back: { badge: "Gave it back", many: "gave it back" },
  broken: { badge: "Camera failed", many: "run it, camera failed" },
  trial: { badge: "On trial", many: "on trial" },
  due: { badge: "To come", many: "to come" },
  away: { badge: "Offline, to come", many: "offline, to come" },
  lost: { badge: "Offline", many: "run it, offline" },
  unmanaged: { badge: "Updated by hand", many: "updated by hand" },
  good: { badge: "Good", many: "run it" },
};
const ORDER = Object.keys(STATES);

export class ReleasesPage {
  #cameras;
  #shown = "";

  constructor({ cameras }) {
    this.#cameras = cameras;
    this.newest = el("section", { class: "box rollout", "aria-label": "Newest release" });
    this.said = el("p", { class: "hint", role: "status" });
    const all = el("button", { type: "button", class: "button", onclick: () => this.#look(all) }, "Look now, all");
    const words = "Cameras that pull their releases look within half a minute. They take only what is signed for them.";
    this.ask = el("div", { class: "look" }, el("p", { class: "hint" }, words), all, this.said);
    this.others = el("p", { class: "hint others" });
    this.rows = el("tbody");
    this.table = table("releases", "Cameras", ["Camera", "Release", "State", "Since", "Last rolled back", "(Look for a release)"], this.rows);
    this.element = el("div", {}, this.newest, this.ask, this.others, this.table);
  }

  /** Shows what the portal says, again and again while the page is open. */
  load() {
    this.#paint();
    const timer = setInterval(() => (this.element.isConnected ? this.#paint() : clearInterval(timer)), LOOK_MS);
  }

  /** Only where something differs: a text that somebody selects stays selected. */
  #paint() {
    const told = this.#cameras().map(toldOf);
    const text = JSON.stringify(told);
    if (text === this.#shown) return;
    this.#shown = text;
    const newest = newestOf(told);
    const devices = told.map((device) => ({ ...device, state: stateOf(device, newest) }));
    devices.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || byName.compare(a.name, b.name));
    this.newest.replaceChildren(...(newest ? rollout(newest, devices) : [el("p", {}, "No cameras yet")]));
    this.others.textContent = othersOf(newest, devices);
    this.table.hidden = this.ask.hidden = !devices.length;
    this.rows.replaceChildren(...devices.map((device) => row(device, newest, (button) => this.#look(button, device))));
  }

  /** Tells one camera, or all of this user's, that there may be a new release. */
  async #look(button, device) {
    button.disabled = true;
    setText(this.said, "");
    const { asked, missed, problem } = await post("api/look", device ? { devices: [device.id] } : {});
    button.disabled = false;
    const away = missed?.length ? ` ${count(missed.length, "is", "are")} away, and will look when back.` : "";
    setText(this.said, problem ?? `Asked ${device && asked.length ? device.name : count(asked.length, "camera", "cameras")}.${away}`);
  }
}

/** What is shown of a camera, and nothing that changes more often. */
function toldOf({ id, name, since, sections: { portal, agent, camera, release } }) {
  return { id, name, since, version: agent.version, online: portal.online, camera: camera.state, problem: camera.problem, release };
}

/** The newest release that any camera runs, or has tried. */
function newestOf(devices) {
  const versions = devices.flatMap(({ version, release }) => [version, release?.given_back]).filter(Boolean);
  return versions.sort(byName.compare).at(-1) ?? "";
}

/** A release is good where its camera serves: one that is away or has failed shows nothing. */
function stateOf({ version, online, camera, release }, newest) {
  if (version === newest && online && camera === "failed") return "broken";
  if (version === newest && release?.on_trial) return "trial";
  if (version === newest) return online ? "good" : "lost";
  if (!release) return "unmanaged";
  if (release.given_back === newest) return "back";
  return online ? "due" : "away";
}

function rollout(newest, devices) {
  const counts = new Map(ORDER.map((state) => [state, devices.filter((device) => device.state === state).length]));
  const present = ["good", ...ORDER.slice(0, -1)].filter((state) => counts.get(state));
  const words = present.map((state) => `${counts.get(state)} ${counts.get(state) === 1 ? STATES[state].many.replace(/^run /, "runs ") : STATES[state].many}`);
  const bar = el("div", { class: "stack", role: "img", "aria-label": words.join(", ") }, ...present.map((state) => part(state, counts.get(state))));
  const legend = el("ul", { class: "legend" }, ...present.map((state, i) => el("li", { "data-state": state }, words[i])));
  const begun = devices.map(({ version, release }) => (version === newest ? release?.since : release?.given_back === newest ? release.given_back_at : 0)).filter(Boolean);
  const since = begun.length ? `, begun ${moment(Math.min(...begun))}` : "";
  return [
    el("div", { class: "rollout-top" }, el("h2", {}, newest), verdict(counts, devices.length)),
    el("p", { class: "hint" }, `${devices.filter(({ version }) => version === newest).length} of ${count(devices.length, "camera", "cameras")} on it${since}`),
    bar,
    legend,
  ];
}

function verdict(counts, total) {
  const [state, words] = [
    ["back", `Given back by ${counts.get("back")}`],
    ["broken", `Failed on ${counts.get("broken")}`],
    ["trial", "On trial"],
    ["lost", counts.get("good") + counts.get("lost") === total ? `Everywhere, ${counts.get("lost")} offline` : "Rolled out in part"],
  ].find(([name]) => counts.get(name)) ?? ["good", counts.get("good") === total ? "Everywhere" : "Rolled out in part"];
  return el("span", { class: "tag mark", "data-state": state }, words);
}

function part(state, size) {
  const made = el("span", { "data-state": state });
  made.style.flexGrow = size;
  return made;
}

/** Who runs what else, the newer release first. */
function othersOf(newest, devices) {
  const counts = new Map();
  for (const { version } of devices) if (version !== newest) counts.set(version || "unknown", (counts.get(version || "unknown") ?? 0) + 1);
  const parts = [...counts].sort(([a], [b]) => byName.compare(b, a)).map(([version, many]) => `${version} on ${count(many, "camera", "cameras")}`);
  return parts.length ? `Still ${parts.join(", ")}.` : "";
}

function row(device, newest, look) {
  const { name, version, online, since, camera, problem, state, release } = device;
  const isAway = online ? null : el("span", { class: "hint" }, since ? `offline since ${moment(since)}` : "offline");
  const failure = online && camera === "failed" ? el("p", { class: "failure" }, problem || "The camera has failed.") : null;
  const returned = release?.given_back ? [el("strong", {}, `${release.given_back}, ${moment(release.given_back_at)}`), el("p", {}, release.reason)] : [];
  const button = el("button", { type: "button", class: "button small", "aria-label": `Look now: ${name}`, disabled: !online, onclick: () => look(button) }, "Look now");
  return el(
    "tr",
    { class: release?.given_back === newest && version !== newest ? "is-bad" : null },
    el("th", { scope: "row" }, name, isAway),
    el("td", { "data-head": "Release" }, version || "unknown"),
    el("td", {}, el("span", { class: "mark", "data-state": state }, STATES[state].badge), failure),
    el("td", { "data-head": "Since" }, release?.since ? moment(release.since) : ""),
    el("td", { "data-head": "Given back" }, ...returned),
    el("td", {}, release ? button : null),
  );
}
