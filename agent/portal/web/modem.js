// A camera's mobile modem: bars, words, what is left of the data plan, and a day of its signal.

import { get, segment } from "./api.js";
import { commandDevice } from "./commands.js";
import { el, setText } from "./dom.js";
import { bitrate, gigabytes, moment } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 40];
const NO_BREAK = "\u00a0";
const BARS = 5;
const STATES = {
  connected: "Connected",
  registered: "Registered, without a data connection",
  searching: "Looks for a network",
  denied: "Refused by the network",
  disabled: "Switched off",
  "sim-missing": "No SIM card",
  "sim-locked": "SIM card locked",
  absent: "No modem",
  failed: "Failed",
};
const SIGNALS = {
  good: ["Good signal", "It carries the full picture."],
  fair: ["Fair signal", "It carries the full picture most of the time."],
  weak: ["Weak signal", "Expect the small picture."],
  poor: ["Poor signal", "Pictures come slowly, or not at all. Another place or an outdoor antenna helps."],
};
const LINES = [
  ["rsrp_dbm", "Power (RSRP)", (least, most) => `${least.toFixed(0)} to ${most.toFixed(0)} dBm`, [-125, -80]],
  ["sinr_db", "Above noise (SINR)", (least, most) => `${least.toFixed(0)} to ${most.toFixed(0)} dB`, [-5, 20]],
  ["sent_bps", "Sent", (least, most) => `${bitrate(least)} to ${bitrate(most)}`, [0, 500_000]],
];
/** What is told, in which words, and the least range that a graph spans. */

const isNumber = (value) => typeof value === "number";

/** One line: how good, by whom and which way. */
export function signalWords(modem) {
  const network = [modem.operator, modem.technology, modem.band].filter(Boolean).join(" ");
  const state = modem.state === "connected" ? SIGNALS[modem.signal]?.[0] : (STATES[modem.state] ?? modem.state);
  return [state, network].filter(Boolean).join(" · ") || "Modem";
}

/** What was used of the plan, else what the modem counted this month; empty where nobody counts. */
export function dataWords({ modem, plan }) {
  if (plan) return `used ${gigabytes(plan.used_bytes)} of ${gigabytes(plan.cap_bytes)}`;
  const { received_bytes: received, sent_bytes: sent, data_since: since } = modem;
  return since && isNumber(sent) && isNumber(received) ? `used ${gigabytes(received + sent)} this month` : "";
}

/** Since the camera's start, what the kernel counted: a line each. */
function interfaceLines(interfaces) {
  return interfaces.map(({ name, received_bytes: received, sent_bytes: sent }) => el("span", {}, `${name}: ${gigabytes(received)} in, ${gigabytes(sent)} out`));
}

/** As a telephone has them. */
export function bars() {
  return el("span", { class: "bars", "aria-hidden": "true" }, ...Array.from({ length: BARS }, () => el("i")));
}

export function updateBars(element, modem) {
  element.dataset.signal = modem.signal;
  [...element.children].forEach((bar, i) => bar.classList.toggle("on", i < modem.signal_bars));
}

/** A button with bars, and what it opens: everything about the modem. */
export class ModemMenu {
  #device;
  #isOpen = false;

  constructor(device) {
    this.#device = device;
    this.bars = bars();
    this.button = el("button", { type: "button", class: "icon-button", popovertarget: "modem", hidden: true }, this.bars);
    this.heading = el("h2", {});
    this.advice = el("p", { class: "hint" });
    this.facts = el("dl", { class: "facts" });
    this.graphs = el("div", {});
    this.said = el("p", { class: "hint", role: "status" });
    this.element = el("div", { id: "modem", class: "menu commands modem", popover: "auto", "aria-label": "Modem", onbeforetoggle: (event) => this.#onToggle(event.newState === "open") }, this.heading, this.advice, this.facts, this.graphs, this.said);
  }

  /** @param {object | undefined} device as the portal says it. */
  update(device) {
    const modem = device?.sections.modem;
    this.button.hidden = !modem;
    if (!modem) return;
    updateBars(this.bars, modem);
    const words = signalWords(modem);
    this.button.setAttribute("aria-label", `Modem: ${words}`);
    this.button.title = words;
    setText(this.heading, words);
    setText(this.advice, modem.reason || SIGNALS[modem.signal]?.[1] || "");
    const facts = factsOf(device.sections).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, ...[value].flat())]);
    this.facts.replaceChildren(...facts);
  }

  #onToggle(isOpen) {
    this.#isOpen = isOpen;
    if (isOpen) this.#fill();
  }

  async #fill() {
    // Who may not is not refused, which the audit log would hold.
    const { commands = [] } = await get(`api/devices/${segment(this.#device)}/commands`);
    if (!commands.some(({ name }) => name === "modem-history")) return;
    const told = await commandDevice(this.#device, "modem-history");
    if (!this.#isOpen) return;
    const isShort = told.ok && told.value.rsrp_dbm.length < 2;
    const graphs = told.ok && !isShort ? LINES.map((line) => graph(told.value, ...line)).filter(Boolean) : [];
    this.graphs.replaceChildren(...graphs);
    setText(this.said, told.ok ? spanOf(told.value) : (told.problem ?? told.message));
  }
}

function factsOf({ modem, plan }) {
  const signal = [
    isNumber(modem.rsrp_dbm) && `${modem.rsrp_dbm} dBm`,
    isNumber(modem.sinr_db) && `${modem.sinr_db} dB above noise`,
    isNumber(modem.rsrq_db) && `RSRQ ${modem.rsrq_db} dB`,
  ];
  return [
    ["State", STATES[modem.state] ?? modem.state],
    ["Signal", signal.filter(Boolean).map((one) => one.replaceAll(" ", NO_BREAK)).join(" · ")],
    ["Data", dataWords({ modem, plan })],
    ["By interface", interfaceLines(modem.interfaces ?? [])],
    ["Roaming", modem.roaming ? "yes" : ""],
    ["Refused", modem.reject_cause],
    ["Temperature", isNumber(modem.temperature_c) ? `${modem.temperature_c} °C` : ""],
    ["Recovery", modem.resets ? `${modem.resets} steps, the last: ${modem.last_step}` : ""],
    ["SMS", modem.sms_done || modem.sms_refused ? `${modem.sms_done ?? 0} done, ${modem.sms_refused ?? 0} refused` : ""],
    ["Cell", modem.cell],
    ["Model", modem.model],
  ].filter(([, value]) => value?.length);
}

function spanOf({ until, interval_s: interval, rsrp_dbm: { length } }) {
  return length < 2 ? "A graph of the day begins ten minutes after the camera's start." : `From ${moment(until - length * interval)} to ${moment(until)}`;
}

/** One line over the day, with its range; null where nothing is known. */
function graph(history, key, label, words, [low, high]) {
  const values = history[key];
  const known = values.filter(isNumber);
  if (!known.length) return null;
  const [least, most] = [Math.min(low, ...known), Math.max(high, ...known)];
  const svg = shape("svg", { class: "graph", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const step = WIDTH / Math.max(1, values.length - 1);
  for (const run of runs(values)) {
    const points = run.map(([i, value]) => `${(i * step).toFixed(1)},${(HEIGHT - 2 - ((value - least) / (most - least)) * (HEIGHT - 4)).toFixed(1)}`);
    svg.append(shape("polyline", { class: "graph-received", points: (run.length > 1 ? points : [points[0], points[0]]).join(" ") }));
  }
  const spread = words(Math.min(...known), Math.max(...known));
  const caption = el("figcaption", { class: "graph-legend" }, el("span", {}, label), el("span", { class: "graph-span" }, spread));
  return el("figure", { class: "graph-box", role: "group", "aria-label": `${label}: ${spread}` }, svg, caption);
}

/** What lies between gaps. */
function runs(values) {
  const found = [[]];
  values.forEach((value, i) => (isNumber(value) ? found.at(-1).push([i, value]) : found.push([])));
  return found.filter((run) => run.length);
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
