// A device's state as one word with a colour, and as one line.

import { isOnline, streamOf } from "./device.js";
import { el, setText } from "./dom.js";
import { count, moment, size } from "./format.js";

const LABELS = { live: "Live", idle: "Idle", starting: "Starting", recorded: "Recorded", failed: "Failed", offline: "Offline" };

/** offline, failed, starting, live or idle. */
export function stateOf(device) {
  return isOnline(device) ? device.sections.camera.state : "offline";
}

export function badge() {
  return el("span", { class: "badge" });
}

export function updateBadge(element, state) {
  element.dataset.state = state;
  setText(element, LABELS[state] ?? state);
}

/** Since when a device is away, as far as anybody knows. */
export function sinceOf({ since }) {
  return since ? `Offline since ${moment(since)}` : "Offline";
}

/** What keeps an online device from serving, as one line; empty where its doctor finds nothing. */
export function warningOf(device) {
  const fault = isOnline(device) ? device.sections.health?.faults[0] : null;
  return fault ? `${fault.check}: ${fault.message}` : "";
}

/** What needs somebody comes first. */
export function rankOf(device) {
  const state = stateOf(device);
  return ["failed", "offline"].includes(state) ? 0 : warningOf(device) ? 1 : 2;
}

/** Who else watches: by name for who may know, else how many; empty where nobody does. */
export function watchersOf({ sections: { viewers, portal } }) {
  const { own_viewers = 0, watching = [] } = portal;
  const unnamed = Math.max(0, viewers.count - own_viewers - watching.length);
  if (!watching.length) return unnamed ? count(unnamed, "other viewer", "other viewers") : "";
  const names = [...new Set(watching)].map((name) => name.replace(/^link:/, "guest "));
  return `${[...names, ...(unnamed ? [count(unnamed, "other", "others")] : [])].join(", ")} watching`;
}

/** What moves in its picture, or when something last did; empty where it does not look for that, or nothing has. */
export function motionOf({ sections: { motion } }) {
  if (!motion) return "";
  const zones = motion.zones?.length ? ` in ${motion.zones.join(", ")}` : "";
  const what = motion.labels?.join(", ") || "motion";
  if (motion.state === "moving") return `${what[0].toUpperCase()}${what.slice(1)}${zones}`;
  return motion.since ? `Last motion ${moment(motion.since)}` : "";
}

/** One line about a device, for its card. */
export function lineOf(device) {
  const state = stateOf(device);
  const { problem } = device.sections.camera;
  if (state === "offline") return [sinceOf(device), problem].filter(Boolean).join(". ");
  if (state === "failed") return problem || "The camera failed";
  const stream = streamOf(device);
  const parts = stream ? [size(stream.width_px, stream.height_px), `${Math.round(stream.fps)} fps`] : [];
  if (state === "starting") return ["Starting the camera …", ...parts].join(" · ");
  return [motionOf(device), watchersOf(device), ...parts].filter(Boolean).join(" · ") || "Starts when you open it";
}
