// What stands over the picture while none plays: how far it is, or what went wrong.

import { el, icon, setText } from "./dom.js";
import { PROGRESS } from "./words.js";

const STEPS = Object.keys(PROGRESS);

/** Painted in place, so that a button keeps the focus while words change. */
export class Notice {
  #kind = "";
  #retryAt = null;

  /** @param {() => void} onRetry */
  constructor(onRetry) {
    this.onRetry = onRetry;
    this.element = el("div", { class: "message" });
  }

  hide() {
    this.#become("", () => []);
  }

  progress(phase) {
    this.#become("progress", () => {
      this.steps = STEPS.map((step) => el("li", {}, PROGRESS[step]));
      return [el("div", { class: "panel progress" }, el("div", { class: "spinner", "aria-hidden": "true" }), el("ol", {}, ...this.steps))];
    });
    const now = STEPS.indexOf(phase);
    this.steps.forEach((item, index) => {
      item.className = index < now ? "done" : "";
      if (index === now) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  /**
   * @param {string} doing what goes on meanwhile; where it is empty, the time until `retryAt` is told.
   * @param {"retry" | "leave" | "none"} way what may be done about it
   */
  problem({ title, advice, retryAt, doing, way }) {
    this.#become(`problem ${way}`, () => {
      this.title = el("h2", {});
      this.advice = el("p", {});
      this.countdown = el("span", { class: "countdown" });
      const retry = el("button", { type: "button", class: "button primary", onclick: () => this.onRetry() }, "Retry now");
      const act = way === "retry" ? retry : el("a", { class: "button primary", href: "#/" }, "All cameras");
      const again = way === "none" ? null : el("div", { class: "again" }, act, way === "retry" ? this.countdown : null);
      return [el("div", { class: "panel problem" }, icon("alert"), el("div", { class: "words" }, this.title, this.advice), again)];
    });
    setText(this.title, title);
    setText(this.advice, advice);
    this.advice.hidden = !advice;
    this.doing = doing;
    this.#retryAt = retryAt;
    this.tick();
  }

  /** The picture stays in sight: a line below it. */
  stalled(title, advice) {
    this.#become("stalled", () => {
      this.title = el("h2", {});
      this.advice = el("p", {});
      return [el("div", { class: "panel slim" }, el("div", { class: "spinner", "aria-hidden": "true" }), el("div", { class: "words" }, this.title, this.advice))];
    });
    setText(this.title, title);
    setText(this.advice, advice);
  }

  /** Tells the seconds that are left. */
  tick() {
    if (!this.countdown?.isConnected) return;
    const seconds = Math.max(0, Math.ceil((this.#retryAt - Date.now()) / 1000));
    setText(this.countdown, this.doing || (this.#retryAt ? `Trying again in ${seconds} s` : "Starts by itself"));
  }

  #become(kind, make) {
    if (kind === this.#kind) return;
    const held = this.element.contains(document.activeElement);
    this.#kind = kind;
    this.element.replaceChildren(...make());
    if (held) (this.element.querySelector("button, a") ?? this.element.closest("[tabindex]"))?.focus();
  }
}
