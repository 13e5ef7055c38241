// Target against received over the last minute, as a small graph.

import { bitrate } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const SECONDS = 60;
const [WIDTH, HEIGHT, TOP] = [300, 64, 4];
const LINES = [
  ["target", "Target", "what the link is believed to carry"],
  ["received", "Received", "what arrives here"],
];

/** Steps up to the next round number, so that the scale does not jitter: 1, 2 or 5 times a power of ten. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** One sample a second; values in bits a second, undefined where unknown. */
export class RateGraph {
  #samples = [];
  #polylines = {};
  #scale;

  constructor() {
    this.svg = svg("svg", { class: "graph", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    for (const share of [0, 0.5, 1]) this.svg.append(svg("line", { class: "graph-grid", x1: 0, x2: WIDTH, y1: y(share), y2: y(share) }));
    for (const [key] of LINES) {
      this.#polylines[key] = svg("polyline", { class: `graph-${key}` });
      this.svg.append(this.#polylines[key]);
    }
    this.#scale = document.createElement("span");
    this.#scale.className = "graph-scale";
    const legend = document.createElement("p");
    legend.className = "graph-legend";
    for (const [key, label, meaning] of LINES) {
      const item = document.createElement("span");
      item.className = `graph-key-${key}`;
      item.title = meaning;
      item.textContent = label;
      legend.append(item);
    }
    const span = document.createElement("span");
    span.className = "graph-span";
    span.textContent = "last minute";
    legend.append(span);
    this.element = document.createElement("figure");
    this.element.className = "graph-box";
    this.element.append(this.#scale, this.svg, legend);
    this.#draw();
  }

  push(target, received) {
    this.#samples.push({ target, received });
    if (this.#samples.length > SECONDS) this.#samples.shift();
    this.#draw();
  }

  clear() {
    this.#samples = [];
    this.#draw();
  }

  #draw() {
    const known = this.#samples.flatMap((sample) => LINES.map(([key]) => sample[key])).filter(Number.isFinite);
    const top = roundUp(Math.max(...known, 0));
    const left = SECONDS - this.#samples.length;
    for (const [key] of LINES) {
      const points = this.#samples.flatMap((sample, i) =>
        Number.isFinite(sample[key]) ? [`${(((left + i) * WIDTH) / (SECONDS - 1)).toFixed(1)},${y(sample[key] / top).toFixed(1)}`] : [],
      );
      this.#polylines[key].setAttribute("points", points.join(" "));
    }
    this.#scale.textContent = known.length ? bitrate(top) : "";
    const last = this.#samples.at(-1) ?? {};
    this.svg.setAttribute("aria-label", `Target ${bitrate(last.target)}, received ${bitrate(last.received)}`);
  }
}

const y = (share) => HEIGHT - TOP - share * (HEIGHT - 2 * TOP);

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
