// Settings of cameras: what differs, for one or for many at once, and what became of it.

import { get } from "./api.js";
import { commandDevice } from "./commands.js";
import { el, refill, setText, table } from "./dom.js";
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
  #explained = new Map();
  #told = [];
  #typed = new Map();

  constructor({ me, about, cameras }) {
    this.#isAdmin = me.admin;
    this.#about = about;
    this.#cameras = cameras;
    this.whom = choice("For", "whom", []);
    this.whom.input.addEventListener("change", () => this.#ask());
    this.states = el("div", { "aria-live": "polite" });
    this.rows = el("tbody", { oninput: ({ target }) => this.#onInput(target) });
    this.table = table("tuning", "Settings", ["Setting", "Now", "In its file", "New"], this.rows);
    this.difference = el("ul", { class: "difference", "aria-label": "What changes" });
    this.outcome = el("ul", { class: "difference", "aria-label": "What became of it", "aria-live": "polite" });
    const changes = el("div", { class: "changes", tabindex: "0", role: "region", "aria-label": "Changes" }, this.difference, this.outcome);
    this.form = form("Try it", () => this.#apply(), changes);
    const words = "What is left empty stays as it is; null goes back to what the camera’s file says, and \"\" makes a text empty. Who watches is cut off for some seconds. A camera that then does not reach the portal, or makes no picture within a minute, goes back to what it had.";
    this.versions = el("ol", { class: "difference", "aria-label": "Versions" });
    this.past = el("section", { "aria-labelledby": "versions", hidden: true }, el("h2", { id: "versions" }, "Versions"), this.versions);
    this.element = el("div", { class: "tune" }, this.whom, this.states, el("p", { class: "hint" }, words), this.table, this.form, this.past);
    this.#show([]);
  }

  async load() {
    const { groups } = this.#isAdmin ? await get("api/groups") : {};
    this.#groups = groups ?? {};
    const { settings } = await get("api/settings");
    this.#explained = new Map((settings ?? []).map((one) => [one.key, one]));
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
    const rows = [];
    for (const setting of sorted) {
      const about = this.#explained.get(setting.key) ?? { key: setting.key };
      if (tableOf(setting.key) !== tableOf(rows.at(-1)?.dataset.key)) rows.push(heading(setting.key, about));
      rows.push(row(setting, about, this.#typed.get(setting.key) ?? ""));
    }
    refill(this.rows, rows);
    for (const input of this.#inputs()) this.#judge(input);
    this.table.hidden = !sorted.length;
    this.form.hidden = !sorted.length && !this.outcome.children.length;
  }

  #inputs() {
    return [...this.rows.querySelectorAll("input, select")];
  }

  #changes() {
    const filled = this.#inputs().filter((input) => input.value.trim());
    return Object.fromEntries(filled.map((input) => [input.name, valueOf(input.value.trim(), this.#explained.get(input.name))]));
  }

  #onInput(input) {
    this.#judge(input);
    this.#compare();
  }

  /** Warns of what this portal knows to be otherwise. A newer camera may take it: the camera itself has the last word. */
  #judge(input) {
    const text = input.value.trim();
    const about = this.#explained.get(input.name);
    const rule = text && about ? ruleAgainst(valueOf(text, about), about) : "";
    mark(input, rule && `${rule} Only a newer camera may take it.`);
  }

  /** The camera's own words, each beside its setting. */
  #markRefused({ code, message }) {
    if (code !== "invalid") return;
    for (const [, key, rule] of message.matchAll(/(?:^|; )([a-z_.]+)[^;]*?: ([^;]+)/g)) {
      const input = this.#inputs().find(({ name }) => name === key);
      if (input) mark(input, rule, true);
    }
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
      return said;
    });
    if (stays.every(({ ok }) => ok)) { // else it is there to be mended
      this.#typed.clear();
      for (const input of this.#inputs()) input.value = "";
    }
    await this.#ask();
    for (const said of stays) if (!said.ok) this.#markRefused(said);
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

/** What the settings of one table are about. */
function heading(key, { table }) {
  return el("tr", { class: "tuning-table" }, el("th", { scope: "colgroup", colspan: "4" }, table ?? "", " ", el("code", {}, `[${tableOf(key)}]`)));
}

/** One that this portal does not know, of a newer camera, is shown by its key alone. */
function row({ key, value, standing }, about, typed) {
  const { title, unit } = about;
  const hints = [about.about, HINTS[key], rangeOf(about)].filter(Boolean).join(" ");
  const name = el("th", { scope: "row" }, title ? el("strong", {}, title) : null, title ? " " : "", el("code", {}, key), hints ? el("span", { class: "hint" }, hints) : null);
  const fault = el("p", { class: "form-error", id: `fault-${key}`, role: "alert" });
  const cell = (head, one) => el("td", { "data-head": head }, shown(one), one !== null && unit ? el("span", { class: "unit" }, ` ${unit}`) : null);
  return el("tr", { "data-key": key }, name, cell("Now", value), cell("In its file", standing), el("td", {}, inputOf(key, [value, standing], about, typed), fault));
}

/** Of choices, also those that the camera has and this portal does not know. */
function inputOf(key, [value, standing], { title, kind, choices }, typed) {
  const attributes = { name: key, "aria-label": `New: ${key}${title ? `, ${title}` : ""}`, "aria-describedby": `fault-${key}` };
  const offered = kind === "boolean" ? [true, false] : choices;
  if (!offered) return el("input", { ...attributes, placeholder: shown(value), inputmode: { integer: "numeric", number: "decimal" }[kind], autocapitalize: "none", autocomplete: "off", spellcheck: "false", maxlength: "256", value: typed });
  const options = new Map([["", "as it is"]]);
  for (const one of [...offered, value, standing, typed]) if (!options.has(String(one ?? ""))) options.set(String(one), shown(one));
  options.set("null", "as in its file");
  const select = el("select", attributes, ...[...options].map(([given, words]) => el("option", { value: given }, words)));
  select.value = typed;
  return select;
}

/** What it may be, and what it is where nobody says anything, in words. */
function rangeOf({ kind, choices, minimum, above, maximum, also, step, most_characters: most, unit, default: usual }) {
  const least = minimum !== undefined ? shown(minimum) : above !== undefined ? `above ${shown(above)}` : "";
  const range = least && maximum !== undefined && !choices ? `${also === undefined ? "" : `${shown(also)} or `}${least} to ${shown(maximum)}${unit ? ` ${unit}` : ""}${step === 2 ? ", even" : ""}.` : "";
  const length = most ? `At most ${most} characters.` : "";
  const empty = kind === "string" && !choices ? `${EMPTY} makes it empty.` : "";
  const rule = range && kind === "integer" ? `Whole number, ${range}` : range && `A number, ${range}`;
  return [rule, length, empty, usual === undefined ? "" : `Default: ${shown(usual)}.`].filter(Boolean).join(" ");
}

/** The rule of this portal's own release that a value breaks; empty where it breaks none. */
function ruleAgainst(value, about) {
  const { kind, minimum = -Infinity, above = -Infinity, maximum = Infinity, also, step, most_characters: most } = about;
  if (value === null || value === also) return "";
  if (kind === "string") return most && value.length > most ? `At most ${most} characters.` : "";
  if (kind !== "integer" && kind !== "number") return "";
  const fits = typeof value === "number" && value >= minimum && value > above && value <= maximum && (kind === "number" || Number.isInteger(value)) && (!step || value % step === 0);
  return fits ? "" : rangeOf({ ...about, default: undefined }) || "A number.";
}

/** Say beside a setting what is, or may be, wrong with it. */
function mark(input, words, isRefused = false) {
  const said = input.parentElement.querySelector(".form-error");
  setText(said, words);
  said.classList.toggle("unsure", !isRefused);
  if (isRefused) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function line(camera, { key, before, after }) {
  return el("li", {}, `${camera.name}: ${key} `, el("del", {}, shown(before)), " ", el("ins", {}, shown(after)));
}

const EMPTY = '""'; // of a text, since an empty field leaves it as it is
const HINTS = { "device.name": "Dashboards show the name given under Cameras." };
const rankOf = (key) => (key.startsWith(FIRST) ? 0 : key.startsWith(LAST) ? 2 : 1);
const tableOf = (key) => key?.slice(0, key.lastIndexOf("."));
const wordsOf = (said) => said.problem ?? (said.message || said.code || "no answer");

/** Numbers as they are typed: a browser's own commas and points would be read otherwise. */
function shown(value) {
  if (value === null || value === undefined) return "by default";
  if (value === "") return "nothing";
  if (typeof value === "boolean") return value ? "on" : "off";
  return String(value);
}

/** A text stays one, whatever else it looks like; null is for what its file says. Of what is not known here: JSON where it is some. */
function valueOf(text, { kind, choices } = {}) {
  if (text === "null") return null;
  if (kind === "string" && !choices?.some((one) => typeof one !== "string")) return text === EMPTY ? "" : text;
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
