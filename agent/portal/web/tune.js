// Settings of cameras: what differs, for one or for many at once, and what became of it.

import { get } from "./api.js";
import { commandDevice } from "./commands.js";
import { el, refill, table } from "./dom.js";
import { choice, form } from "./form.js";
import { count, moment } from "./format.js";

const AT_ONCE = 8;
const AWAY_S = 5;
const FIRST = "camera.", LAST = "broker."; // what is wanted most, and what cuts a camera off

export class TunePage {
  #isAdmin;
  #about;
  #cameras;
  #groups = {};
  #told = [];
  #typed = new Map();

  constructor({ me, about, cameras }) {
    this.#isAdmin = me.admin;
    this.#about = about;
    this.#cameras = cameras;
    this.whom = choice("For", "whom", []);
    this.whom.input.addEventListener("change", () => this.#ask());
    this.states = el("div", { "aria-live": "polite" });
    this.rows = el("tbody", { oninput: () => this.#compare() });
    this.table = table("tuning", "Settings", ["Setting", "Now", "In its file", "New"], this.rows);
    this.difference = el("ul", { class: "difference", "aria-label": "What changes" });
    this.outcome = el("ul", { class: "difference", "aria-label": "What became of it", "aria-live": "polite" });
    const changes = el("div", { class: "changes", tabindex: "0", role: "region", "aria-label": "Changes" }, this.difference, this.outcome);
    this.form = form("Try it", () => this.#apply(), changes);
    const words = "What is left empty stays as it is; null goes back to what the file says. Who watches is cut off for some seconds. A camera that then does not reach the portal, or makes no picture within a minute, goes back to what it had.";
    this.versions = el("ol", { class: "difference", "aria-label": "Versions" });
    this.past = el("section", { "aria-labelledby": "versions", hidden: true }, el("h2", { id: "versions" }, "Versions"), this.versions);
    this.element = el("div", { class: "tune" }, this.whom, this.states, el("p", { class: "hint" }, words), this.table, this.form, this.past);
    this.#show([]);
  }

  async load() {
    const { groups } = this.#isAdmin ? await get("api/groups") : {};
    this.#groups = groups ?? {};
    const cameras = this.#cameras();
    const options = cameras.map(({ id, name }) => [`camera ${id}`, name]);
    for (const [name, members] of Object.entries(this.#groups)) options.push([`group ${name}`, `${name} (${count(members.length, "camera", "cameras")})`]);
    this.whom.input.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
    if (cameras.some(({ id }) => id === this.#about)) this.whom.input.value = `camera ${this.#about}`;
    return this.#ask();
  }

  /** The cameras that are meant. */
  #targets() {
    const [, kind, name] = /^(camera|group) (.*)$/s.exec(this.whom.input.value) ?? [];
    const ids = kind === "group" ? this.#groups[name] : [name];
    return this.#cameras().filter(({ id }) => ids?.includes(id));
  }

  /** What each has now; the table shows what the first one says. */
  async #ask() {
    const targets = this.#targets();
    this.states.replaceChildren(...targets.flatMap((camera) => stateOf(camera) ?? []), el("p", { class: "hint" }, "Asking …"));
    const asked = await each(targets, (camera) => commandDevice(camera.id, "settings", { expires_s: AWAY_S }));
    if (targets.map(({ id }) => id).join() !== this.#targets().map(({ id }) => id).join()) return; // somebody chose others meanwhile
    this.#told = targets.map((camera, i) => ({ camera, said: asked[i] }));
    const failed = this.#told.filter(({ said }) => !said.ok);
    this.states.replaceChildren(...targets.flatMap((camera) => stateOf(camera) ?? []), ...failed.map(({ camera, said }) => el("p", { class: "failure" }, `${camera.name}: ${wordsOf(said)}`)));
    const first = this.#told.find(({ said }) => said.ok)?.said.value;
    this.#show(first?.settings ?? []);
    this.versions.replaceChildren(...(targets.length === 1 ? first?.versions ?? [] : []).map(({ number, at, by, changes }) => el("li", { value: number }, `${by}, ${moment(at)}: ${Object.entries(changes).map(([key, value]) => `${key} = ${shown(value)}`).join(", ") || "as in its file"}`)));
    this.past.hidden = !this.versions.children.length;
    this.#compare();
  }

  /** What was typed is kept for whomever else is chosen, also past one that does not answer. */
  #show(settings) {
    for (const { name, value } of this.#inputs()) this.#typed.set(name, value);
    const sorted = [...settings].sort((a, b) => rankOf(a.key) - rankOf(b.key));
    refill(this.rows, sorted.map((setting) => row(setting, this.#typed.get(setting.key) ?? "")));
    this.table.hidden = !sorted.length;
    this.form.hidden = !sorted.length && !this.outcome.children.length;
  }

  #inputs() {
    return [...this.rows.querySelectorAll("input")];
  }

  #changes() {
    const filled = this.#inputs().filter((input) => input.value.trim());
    return Object.fromEntries(filled.map((input) => [input.name, valueOf(input.value.trim())]));
  }

  /** For each camera, what would be another than it is. */
  #compare() {
    const changes = this.#changes();
    const lines = this.#told.filter(({ said }) => said.ok).flatMap(({ camera, said }) => said.value.settings
      .filter(({ key }) => key in changes)
      .map(({ key, value, standing }) => [camera, { key, before: value, after: changes[key] ?? standing }]))
      .filter(([, { before, after }]) => before !== after);
    this.difference.replaceChildren(...lines.map(([camera, one]) => line(camera, one)));
  }

  async #apply() {
    const changes = this.#changes();
    if (!Object.keys(changes).length) return "Nothing changes.";
    const items = this.#targets().map((camera) => ({ camera, item: el("li", {}, `${camera.name}: trying, for a minute at most …`) }));
    this.outcome.replaceChildren(...items.map(({ item }) => item));
    const stays = await each(items, async ({ camera, item }) => {
      const said = await commandDevice(camera.id, "set", { arguments: changes });
      item.className = said.ok ? "" : "failure";
      item.textContent = `${camera.name}: ${said.ok ? "stays" : wordsOf(said)}`;
      return said.ok;
    });
    if (stays.every(Boolean)) { // else it is there to be mended
      this.#typed.clear();
      for (const input of this.#inputs()) input.value = "";
    }
    await this.#ask();
    return null;
  }
}

/** What the camera itself says of its last change. */
function stateOf({ name, sections: { settings } }) {
  if (!settings) return null;
  if (settings.on_trial) return el("p", { class: "hint" }, `${name}: a change is being tried.`);
  if (settings.problem) return el("p", { class: "failure" }, `${name}: ${settings.problem}`);
  return settings.went_back ? el("p", { class: "failure" }, `${name} went back to what it had, ${moment(settings.went_back_at)}: ${settings.reason}`) : null;
}

function row({ key, value, standing }, typed) {
  const input = el("input", { name: key, "aria-label": `New: ${key}`, placeholder: shown(value), autocapitalize: "none", spellcheck: "false", maxlength: "256", value: typed });
  return el("tr", {}, el("th", { scope: "row" }, key, HINTS[key] ? el("span", { class: "hint" }, HINTS[key]) : null), el("td", { "data-head": "Now" }, shown(value)), el("td", { "data-head": "In its file" }, shown(standing)), el("td", {}, input));
}

function line(camera, { key, before, after }) {
  return el("li", {}, `${camera.name}: ${key} `, el("del", {}, shown(before)), " ", el("ins", {}, shown(after)));
}

const HINTS = { "device.name": "Dashboards show the name given under Cameras." };
const rankOf = (key) => (key.startsWith(FIRST) ? 0 : key.startsWith(LAST) ? 2 : 1);
const shown = (value) => (value === null || value === undefined ? "by default" : String(value));
const wordsOf = (said) => said.problem ?? (said.message || said.code || "no answer");

/** JSON where it is some: a number, true, false, or null for what its file says. */
function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A few at a time: a group may be large. */
async function each(items, work) {
  const results = [];
  let next = 0;
  const run = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
  return results;
}
