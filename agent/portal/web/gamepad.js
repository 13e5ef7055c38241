// A game controller: its left stick turns the head, its right one or the triggers zoom.

const LOOK_MS = 50;
const DEAD = 0.1; // no stick rests in its middle

/** Reads the first controller that is moved, while it is open. */
export class Gamepad {
  #stick;
  #timer = 0;

  constructor(stick) {
    this.#stick = stick;
  }

  open() {
    this.#timer ||= setInterval(() => this.#look(), LOOK_MS);
  }

  close() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#stick.letGo("gamepad");
  }

  #look() {
    const moved = document.hidden || !document.hasFocus() ? null : [...(navigator.getGamepads?.() ?? [])].map(velocityOf).find(Boolean);
    if (moved) this.#stick.hold("gamepad", moved);
    else this.#stick.letGo("gamepad");
  }
}

/** How it is held; null where it rests. The camera takes the curve of it. */
export function velocityOf(pad) {
  if (!pad?.connected) return null;
  const [pan = 0, tilt = 0, , right = 0] = pad.axes;
  const triggers = (pad.buttons[7]?.value ?? 0) - (pad.buttons[6]?.value ?? 0);
  const zoom = pad.mapping === "standard" ? (Math.abs(triggers) > DEAD ? triggers : -right) : 0;
  const velocity = { pan, tilt: -tilt, zoom };
  return Object.values(velocity).some((value) => Math.abs(value) > DEAD) ? velocity : null;
}
