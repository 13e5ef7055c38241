// A joystick for a finger or a mouse, and buttons that move for as long as they are held, by whatever means.

import { el, icon } from "./dom.js";

const NUDGE_MS = 300; // where a screen reader presses a button, nobody holds it
const WAYS = [
  ["up", "Up", { tilt: 1 }],
  ["left", "Left", { pan: -1 }],
  ["right", "Right", { pan: 1 }],
  ["down", "Down", { tilt: -1 }],
];
const BY_KEY = 0.6;

const scaled = (velocity, share) => Object.fromEntries(Object.entries(velocity).map(([axis, value]) => [axis, value * share]));

/** A button that holds the stick so, while it is pressed. */
export function holdButton(stick, name, label, velocity, attributes = {}) {
  const source = `button ${label}`;
  const hold = () => stick.hold(source, scaled(velocity, BY_KEY));
  const letGo = () => stick.letGo(source);
  const isPress = ({ key }) => key === "Enter" || key === " ";
  const button = el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, ...attributes }, icon(name));
  button.addEventListener("keydown", (event) => {
    if (!isPress(event)) return;
    event.preventDefault();
    if (!event.repeat) hold();
  });
  button.addEventListener("keyup", (event) => {
    if (!isPress(event)) return;
    event.preventDefault(); // or a click follows
    letGo();
  });
  button.addEventListener("blur", letGo);
  button.addEventListener("click", ({ detail }) => {
    if (detail) return; // by a pointer, which has moved it already
    hold();
    setTimeout(letGo, NUDGE_MS);
  });
  return { button, hold, letGo };
}

/** The same for a pointer that presses the button itself. */
export function pressable({ button, hold, letGo }) {
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    hold();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, letGo);
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a finger that stays
  return button;
}

/** A knob that is drawn away from the middle; the four buttons on its rim are for keyboards. */
export class Pad {
  #stick;
  #pointer = null;

  constructor(stick) {
    this.#stick = stick;
    this.knob = el("div", { class: "knob", "aria-hidden": "true" });
    const buttons = WAYS.map(([way, label, velocity]) => holdButton(stick, way, label, velocity, { "data-way": way }).button);
    this.element = el("div", { class: "pad", role: "group", "aria-label": "Turn" }, ...buttons, this.knob);
    this.element.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.element.addEventListener("pointermove", (event) => event.pointerId === this.#pointer && this.#follow(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) this.element.addEventListener(end, (event) => event.pointerId === this.#pointer && this.#letGo());
    this.element.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #onDown(event) {
    if (this.#pointer !== null || event.button !== 0) return;
    this.#pointer = event.pointerId;
    this.element.setPointerCapture(event.pointerId);
    this.#follow(event);
  }

  #follow({ clientX, clientY }) {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    const [x, y] = [(2 * (clientX - left)) / width - 1, (2 * (clientY - top)) / height - 1];
    const far = Math.max(1, Math.hypot(x, y));
    this.knob.style.transform = `translate(${(x / far) * 100}%, ${(y / far) * 100}%)`;
    this.#stick.hold("pad", { pan: x / far, tilt: -y / far });
  }

  #letGo() {
    this.#pointer = null;
    this.knob.style.transform = "";
    this.#stick.letGo("pad");
  }
}
