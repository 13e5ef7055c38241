// A stretch of time with what was recorded in it: a slider for mouse, finger and keyboard.

import { el } from "./dom.js";

const KEYS = { ArrowLeft: -5, ArrowRight: 5, ArrowDown: -5, ArrowUp: 5, PageDown: -300, PageUp: 300 };
const STEPS_S = [10, 30, 60, 300, 600, 1800, 3600, 7200, 10_800, 21_600];
const LEAST_MARK_PX = 96;
const WIDEST_S = 86_400;
const NARROWEST_S = 120;

/** A moment with its seconds, and its day where that is not today. */
export function exactly(unixSeconds) {
  const then = new Date(unixSeconds * 1000);
  const time = then.toLocaleTimeString([], { timeStyle: "medium" });
  if (then.toDateString() === new Date().toDateString()) return time;
  return `${then.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" })}, ${time}`;
}

/**
 * Times are Unix seconds. Events: "seek" with {at, isDragged} as detail: dragged, or there to stay; "range" where
 * another stretch is shown; "hover" with {at, x}, or null at its end.
 */
export class Timeline extends EventTarget {
  from = 0;
  until = 1;
  #spans = [];
  #events = [];
  #stored = [];
  #at = null;
  #dragged = null;

  constructor() {
    super();
    this.bars = el("div", { class: "timeline-bars" });
    this.marks = el("div", { class: "timeline-marks", "aria-hidden": "true" });
    this.head = el("div", { class: "timeline-head" });
    this.element = el(
      "div",
      { class: "timeline", role: "slider", tabindex: "0", "aria-label": "Recorded time", onkeydown: (event) => this.#onKey(event) },
      this.bars,
      this.marks,
      this.head,
    );
    const on = (name, act) => this.element.addEventListener(name, act);
    on("pointerdown", (event) => this.#onDown(event));
    on("pointermove", (event) => this.#onMove(event));
    on("pointerup", (event) => this.#onUp(event));
    on("pointercancel", () => (this.#dragged = null));
    on("pointerleave", () => this.#say("hover", null));
    this.element.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    new ResizeObserver(() => this.#drawMarks()).observe(this.element);
  }

  get spans() {
    return this.#spans;
  }

  get events() {
    return this.#events;
  }

  /** What happened then, if anything did; at null nothing. */
  eventAt(at) {
    return at === null ? undefined : this.#events.find(({ start, end }) => at >= start - 1 && at <= end);
  }

  /** Show another stretch; it stays within what a day has. */
  show(from, until) {
    [this.from, this.until] = [from, until];
    this.#draw();
    this.#say("range");
  }

  /** As wide as this, around the head or the end. */
  zoom(seconds) {
    const width = Math.min(WIDEST_S, Math.max(NARROWEST_S, seconds));
    const at = this.#at ?? this.until;
    const share = Math.min(1, Math.max(0, (at - this.from) / (this.until - this.from)));
    const from = Math.min(at - share * width, Date.now() / 1000 + width * 0.02 - width);
    this.show(from, from + width);
  }

  fill(spans, events) {
    [this.#spans, this.#events] = [spans, events];
    this.#draw();
  }

  /** What of it is elsewhere as well, which no card can lose. */
  keep(stretches) {
    this.#stored = stretches;
    this.#draw();
  }

  /** @param {number | null} at null while the live picture is shown. */
  point(at) {
    this.#at = at;
    if (this.#dragged === null) this.#drawHead(at);
  }

  #draw() {
    const width = this.until - this.from;
    const place = ({ start, end }) => `left:${(((start - this.from) / width) * 100).toFixed(3)}%;width:${Math.max(0.05, ((end - start) / width) * 100).toFixed(3)}%`;
    const seen = ({ start, end }) => end > this.from && start < this.until;
    const bar = (name) => (one) => {
      const element = el("i", { class: name });
      element.style.cssText = place(one);
      return element;
    };
    this.bars.replaceChildren(...this.#spans.filter(seen).map(bar("timeline-span")), ...this.#events.filter(seen).map(bar("timeline-event")), ...this.#stored.filter(seen).map(bar("timeline-stored")));
    this.element.setAttribute("aria-valuemin", Math.floor(this.from));
    this.element.setAttribute("aria-valuemax", Math.ceil(this.until));
    this.#drawMarks();
    this.#drawHead(this.#dragged ?? this.#at);
  }

  #drawMarks() {
    const width = this.until - this.from;
    const room = Math.max(1, Math.floor(this.element.clientWidth / LEAST_MARK_PX));
    const step = STEPS_S.find((seconds) => width / seconds <= room) ?? 43_200;
    const shift = new Date(this.from * 1000).getTimezoneOffset() * 60;
    const marks = [];
    for (let at = Math.ceil((this.from - shift) / step) * step + shift; at < this.until; at += step) {
      const mark = el("span", {}, new Date(at * 1000).toLocaleTimeString([], step < 60 ? { timeStyle: "medium" } : { hour: "2-digit", minute: "2-digit" }));
      mark.style.left = `${(((at - this.from) / width) * 100).toFixed(3)}%`;
      marks.push(mark);
    }
    this.marks.replaceChildren(...marks);
  }

  #drawHead(at) {
    const shown = at ?? Date.now() / 1000;
    const share = (shown - this.from) / (this.until - this.from);
    this.head.hidden = share < 0 || share > 1;
    this.head.style.left = `${(share * 100).toFixed(3)}%`;
    this.head.classList.toggle("live", at === null);
    this.element.setAttribute("aria-valuenow", Math.round(Math.min(this.until, Math.max(this.from, shown))));
    const isStored = this.#stored.some(({ start, end }) => at >= start && at <= end);
    this.element.setAttribute("aria-valuetext", at === null ? "Live" : `${exactly(at)}${isStored ? ", in the store" : ""}`);
  }

  #timeAt({ clientX }) {
    const { left, width } = this.element.getBoundingClientRect();
    return this.from + Math.min(1, Math.max(0, (clientX - left) / width)) * (this.until - this.from);
  }

  #onDown(event) {
    if (event.button) return;
    this.element.setPointerCapture(event.pointerId);
    this.#drag(event);
  }

  #onMove(event) {
    const at = this.#timeAt(event);
    this.#say("hover", { at, x: event.clientX - this.element.getBoundingClientRect().left });
    if (this.#dragged !== null) this.#drag(event);
  }

  #drag(event) {
    this.#dragged = this.#timeAt(event);
    this.#drawHead(this.#dragged);
    this.#say("seek", { at: this.#dragged, isDragged: true });
  }

  #onUp() {
    if (this.#dragged === null) return;
    const at = this.#dragged;
    this.#dragged = null;
    this.#at = at;
    this.#say("seek", { at, isDragged: false });
  }

  #onWheel(event) {
    event.preventDefault();
    const width = this.until - this.from;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return this.show(this.from + (event.deltaX / 500) * width, this.until + (event.deltaX / 500) * width);
    const factor = event.deltaY > 0 ? 1.25 : 0.8;
    const wide = Math.min(WIDEST_S, Math.max(NARROWEST_S, width * factor));
    const at = this.#timeAt(event);
    const share = (at - this.from) / width;
    this.show(at - share * wide, at - share * wide + wide);
  }

  #onKey(event) {
    const seconds = KEYS[event.key];
    const ends = { Home: this.from, End: this.until };
    if (seconds === undefined && ends[event.key] === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const at = ends[event.key] ?? (this.#at ?? Date.now() / 1000) + seconds;
    this.point(at);
    this.#say("seek", { at, isDragged: false });
  }

  #say(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
