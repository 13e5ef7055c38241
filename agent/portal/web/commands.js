// What somebody may have a camera do: a menu by the portal's table, and what became of the last one.

import { get, post, segment } from "./api.js";
import { commandId } from "./control.js";
import { el, setText, tool } from "./dom.js";

const PATIENCE_MS = 200_000;

/** Has a camera do something, and waits for its answer: `{ok, code, message, value}`, or `problem` in words. */
export async function commandDevice(device, name, wish = {}) {
  const id = commandId();
  const until = Date.now() + PATIENCE_MS;
  let told = {};
  do told = await post(`api/devices/${segment(device)}/commands/${name}`, { ...wish, id, confirmed: true });
  while (told.status === 202 && Date.now() < until);
  return told.status === 202 ? { ...told, problem: "the camera has not answered" } : told;
}

/** A button and the menu that it opens; `element` is what it opens. */
export class CommandMenu {
  #device;

  constructor(device) {
    this.#device = device;
    this.button = tool("menu", "More", null, { popovertarget: "commands", title: "Commands and settings" });
    this.said = el("p", { class: "hint", role: "status" });
    this.items = el("div", { class: "items" });
    this.element = el("div", { id: "commands", class: "menu commands", popover: "auto", "aria-label": "Commands", onbeforetoggle: (event) => event.newState === "open" && this.#fill() }, this.items, this.said);
  }

  async #fill() {
    const { commands = [], problem } = await get(`api/devices/${segment(this.#device)}/commands`);
    const shown = commands.filter(({ label, arguments: wanted }) => label && !wanted.required?.length);
    const buttons = shown.map((kind) => el("button", { type: "button", class: "tool", onclick: () => this.#ask(kind) }, kind.label));
    if (commands.some(({ name }) => name === "set")) buttons.push(el("a", { class: "tool", href: `#/tune/${segment(this.#device)}` }, "Settings"));
    if (commands.some(({ name }) => name === "set-masks")) buttons.push(el("a", { class: "tool", href: `#/masks/${segment(this.#device)}` }, "Privacy masks"));
    if (commands.some(({ name }) => name === "set-motion")) buttons.push(el("a", { class: "tool", href: `#/motion/${segment(this.#device)}` }, "Motion"));
    if (commands.some(({ name }) => name === "lapse-film")) buttons.push(el("a", { class: "tool", href: `#/lapse/${segment(this.#device)}` }, "Time-lapse"));
    this.items.replaceChildren(...buttons);
    if (!buttons.length) setText(this.said, problem ?? "Only operators can have this camera do something.");
  }

  /** What costs much is asked twice. */
  #ask(kind) {
    if (!kind.question) return this.#do(kind);
    const close = () => dialog.close();
    const sure = el("button", { type: "button", class: "button primary", onclick: () => (close(), this.#do(kind)) }, kind.label);
    const cancel = el("button", { type: "button", class: "button", onclick: close }, "Cancel");
    const dialog = el("dialog", { class: "confirm box", "aria-labelledby": "command-title", onclose: () => dialog.remove() }, el("h2", { id: "command-title" }, `${kind.label}?`), el("p", { class: "hint" }, kind.question), sure, cancel);
    document.body.append(dialog);
    dialog.showModal();
  }

  async #do(kind) {
    setText(this.said, `${kind.label}: asked …`);
    const told = await commandDevice(this.#device, kind.name);
    setText(this.said, `${kind.label}: ${told.problem ?? (told.ok ? "done" : told.message || told.code)}`);
  }
}
