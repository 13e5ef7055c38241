// The head of one camera, for who may move it: joystick, keys, game controller, clicks in the picture, presets.

import { get, segment } from "./api.js";
import { Aim } from "./aim.js";
import { Calibrate } from "./calibrate.js";
import { el, iconButton, setText } from "./dom.js";
import { Gamepad } from "./gamepad.js";
import { Pad, holdButton, pressable } from "./pad.js";
import { Presets } from "./presets.js";
import { Stick } from "./stick.js";

const KEYS = { ArrowLeft: { pan: -1 }, ArrowRight: { pan: 1 }, ArrowUp: { tilt: 1 }, ArrowDown: { tilt: -1 }, "+": { zoom: 1 }, "=": { zoom: 1 }, "-": { zoom: -1 } };
const BY_KEY = 0.6;
/** With a longer round trip a hand overshoots, and pointing is better. */
const FAR_MS = 250;
const NEAR_MS = 180;
const WHEEL_MS = 200; // a notch moves the lens for so long
const WORDS = { absent: "The head's port is away", "not-allowed": "You may no longer move this camera", "let-go": "It was stopped: let go first" };
const STATES = { absent: "The head's port is away", silent: "The head does not answer" };

export class Ptz {
  #device;
  #viewer;
  #section = null;
  #may = null;
  #isAsking = false;
  #isPointing = false;
  #hasChosen = false;
  #wheel = 0;
  #stick = new Stick();
  #gamepad = new Gamepad(this.#stick);
  #off = new AbortController();

  /** @param {Zoom} zoom the digital one, for heads without a lens that moves. */
  constructor(device, viewer, video, zoom) {
    this.#device = device;
    this.#viewer = viewer;
    this.zoom = zoom;
    this.button = iconButton("move", "Move the camera", () => this.#show(this.panel.hidden), { title: "Move the camera (m)", "aria-pressed": "true", hidden: true });
    this.aim = new Aim(video, {
      aim: (aim) => this.#turnTo(aim),
      wheel: (speed, event) => this.#onWheel(speed, event),
      pinch: (speed, factor, at) => this.#onPinch(speed, factor, at),
      leave: () => this.point.focus(),
    });
    const ask = (name, wish) => viewer.command(name, wish);
    this.presets = new Presets(ask);
    this.calibrate = new Calibrate(ask);
    this.presets.element.append(this.calibrate.element);
    const [less, more] = [["minus", "Zoom the lens out", { zoom: -1 }], ["plus", "Zoom the lens in", { zoom: 1 }]].map(([name, label, velocity]) => pressable(holdButton(this.#stick, name, label, velocity)));
    this.point = iconButton("aim", "Point in the picture", ({ detail }) => this.#choose(!this.#isPointing, detail === 0), { "aria-pressed": "false" });
    this.said = el("p", { class: "ptz-said", role: "status" });
    this.take = el("button", { type: "button", class: "button", hidden: true, onclick: () => this.#take() }, "Take over");
    const beside = el("div", { class: "ptz-beside" }, more, less, this.point, this.presets.button);
    this.panel = el("section", { class: "ptz", "aria-label": "Move the camera" }, el("div", { class: "ptz-words" }, this.said, this.take), el("div", { class: "ptz-hands" }, new Pad(this.#stick).element, beside));
    this.elements = [this.aim.element, this.panel, this.presets.element];
    for (const element of this.elements.slice(0, 2)) element.hidden = true;
    this.#stick.addEventListener("change", () => this.#say());
    const { signal } = this.#off;
    window.addEventListener("keyup", ({ code }) => this.#stick.letGo(code), { signal });
    // A keyup that another program or the system takes never comes.
    window.addEventListener("keydown", ({ key }) => ["Meta", "Alt", "Control"].includes(key) && this.#stick.release(), { signal });
    for (const away of ["blur", "pagehide"]) window.addEventListener(away, () => this.#stick.release(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden && this.#stick.release(), { signal });
  }

  /** @param {object | undefined} section what the camera says of its head; undefined where it has none. */
  update(section) {
    const had = this.#section;
    this.#section = section ?? null;
    if (section && !this.#may && !this.#isAsking) this.#ask();
    if (section) {
      this.#updateMenu();
      this.point.hidden = !section.can_move;
      this.point.title = section.can_zoom_to ? "Click to centre, draw a box to zoom" : "Click to centre";
      this.aim.update(section.can_zoom_to === true);
    }
    if (!had !== !section || this.#isPointing) this.#arrange();
    this.#say();
  }

  /** Its session may be another, or over. */
  onViewer() {
    const { phase } = this.#viewer.state;
    const isOn = this.#isMine && (phase === "playing" || phase === "stalled");
    this.#stick.use(isOn ? this.#viewer.openStick() : null);
  }

  onRoundTrip(rttMs) {
    if (this.#hasChosen || !this.#section?.can_move) return;
    if (rttMs > FAR_MS) this.#aimOrNot(true);
    else if (rttMs < NEAR_MS) this.#aimOrNot(false);
  }

  /** Whether it is one of ours. */
  onKey({ key, code, shiftKey, repeat }) {
    if (this.button.hidden) return false;
    if (key === "m" && !repeat) this.#show(this.panel.hidden);
    const velocity = this.panel.hidden ? null : KEYS[key];
    if (velocity && !repeat) {
      const share = shiftKey && !velocity.zoom ? 1 : BY_KEY; // of + Shift is a part
      this.#stick.hold(code, Object.fromEntries(Object.entries(velocity).map(([axis, value]) => [axis, value * share])));
    }
    return key === "m" || Boolean(velocity);
  }

  close() {
    clearTimeout(this.#wheel);
    this.#off.abort();
    this.#gamepad.close();
    this.#stick.release();
    this.#stick.use(null);
  }

  get #isMine() {
    return Boolean(this.#section && this.#may?.has("ptz-stop"));
  }

  get #mayManage() {
    return this.#may?.has("ptz-keep") ?? false;
  }

  /** What this user may have it do, by the portal's table. */
  async #ask() {
    this.#isAsking = true;
    const { commands, problem } = await get(`api/devices/${segment(this.#device)}/commands`);
    this.#isAsking = false;
    if (problem || this.#off.signal.aborted) return; // the next word of the camera asks again
    this.#may = new Set(commands.map(({ name }) => name));
    if (this.#section) this.#updateMenu();
    this.#arrange();
  }

  #updateMenu() {
    this.presets.update(this.#section, this.#mayManage);
    this.calibrate.update(this.#section, this.#mayManage);
  }

  #show(isShown) {
    this.panel.hidden = !isShown;
    this.button.setAttribute("aria-pressed", String(isShown));
    if (!isShown) this.#stick.release();
    this.#arrange();
  }

  #arrange() {
    const isNews = this.button.hidden === this.#isMine;
    this.button.hidden = !this.#isMine;
    if (isNews) this.panel.hidden = !this.#isMine;
    const isOn = this.#isMine && !this.panel.hidden;
    const isLeft = this.aim.element === document.activeElement;
    this.aim.element.hidden = !(isOn && this.#isPointing && this.#section.can_move);
    if (isLeft && this.aim.element.hidden) (this.panel.hidden ? this.button : this.point).focus();
    if (isOn) this.#gamepad.open();
    else this.#gamepad.close();
    this.onViewer();
    this.#say();
  }

  #choose(isPointing, isByKey) {
    this.#hasChosen = true;
    this.#aimOrNot(isPointing);
    if (isPointing && isByKey) this.aim.element.focus();
  }

  /** Whether the lens zooms, by what the settings say of it. */
  get #hasLens() {
    return (this.#section?.zoom_max ?? 1) > 1;
  }

  #onWheel(speed, event) {
    if (!this.#hasLens) return this.zoom.onWheel(event);
    clearTimeout(this.#wheel);
    this.#stick.hold("wheel", { zoom: speed });
    this.#wheel = setTimeout(() => this.#stick.letGo("wheel"), WHEEL_MS);
  }

  #onPinch(speed, factor, { x, y }) {
    if (!this.#hasLens) this.zoom.pinch(factor, x, y);
    else if (speed) this.#stick.hold("pinch", { zoom: speed });
    else this.#stick.letGo("pinch");
  }

  #aimOrNot(isPointing) {
    this.#isPointing = isPointing;
    this.point.setAttribute("aria-pressed", String(isPointing));
    this.#arrange();
  }

  async #turnTo(aim) {
    const told = await this.#viewer.command("ptz-move", aim);
    if (!told.ok) setText(this.said, told.message || told.code);
  }

  async #take() {
    const told = await this.#viewer.command("ptz-take");
    if (!told.ok) setText(this.said, told.message || told.code);
  }

  #say() {
    const { holder, isMine, refusal } = this.#stick;
    const other = isMine ? null : (holder ?? null);
    const isBusy = other !== null || refusal === "ptz-busy";
    setText(this.said, STATES[this.#section?.state] ?? WORDS[refusal] ?? (isBusy ? `${other ?? "Somebody"} moves this camera` : ""));
    this.take.hidden = !(isBusy && this.#mayManage);
  }
}
