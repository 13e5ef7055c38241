// Elements without innerHTML: whatever comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`onclick` and the like become listeners) and children (strings become text). */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A decorative icon from the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows an icon alone; the label is for screen readers and the tooltip. */
export function iconButton(name, label, onclick, attributes = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}

/** A button that shows an icon and what it does; `title` may name its key. */
export function tool(name, label, onclick, attributes = {}) {
  return el("button", { type: "button", class: "tool", onclick, ...attributes }, icon(name), el("span", { class: "tool-label" }, label));
}

/** A table that scrolls sideways where it must, by keyboard too; a head in brackets is for screen readers alone. */
export function table(name, label, heads, rows) {
  const head = (words) => el("th", { scope: "col" }, ...(words.startsWith("(") ? [el("span", { class: "visually-hidden" }, words.slice(1, -1))] : [words]));
  const content = el("table", { class: name }, el("thead", {}, el("tr", {}, ...heads.map(head))), rows);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, content);
}

/** A line through the newest values, scaled to the largest; for a glance, not for reading. */
export class Sparkline {
  constructor() {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "sparkline");
    this.element.setAttribute("viewBox", "0 0 60 16");
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("aria-hidden", "true");
    this.line = document.createElementNS(SVG, "polyline");
    this.element.append(this.line);
    this.values = [];
  }

  push(value) {
    if (value === undefined) return;
    this.values.push(value);
    if (this.values.length > 60) this.values.shift();
    const top = Math.max(...this.values) || 1;
    const step = 60 / Math.max(1, this.values.length - 1);
    const points = this.values.map((v, i) => `${(i * step).toFixed(1)},${(15 - (v / top) * 14).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
  }
}

/**
 * Fill a list anew, and leave the keyboard's focus in it: on what is called as before, else on the list itself.
 * Without it each change would throw who works by keyboard back to the top of the page.
 */
export function refill(list, items) {
  const held = list.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  list.replaceChildren(...items);
  if (held === null) return;
  const same = [...list.querySelectorAll("a, button, input, select, summary")].find((one) => nameOf(one) === held && !one.disabled);
  list.tabIndex = -1;
  (same ?? list).focus({ preventScroll: true });
}

const nameOf = (element) => element.getAttribute("aria-label") ?? (element.id || element.textContent);

/** Say something to screen readers. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

/** Set text only where it differs, so that nothing is laid out or read out again in vain. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Have the browser save a file. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
