// A device's state as one word with a colour, and as one line.

import { el, setText } from "./dom.js";
import { count, moment, size } from "./format.js";

const LABELS = { live: "Live", idle: "Idle", starting: "Starting", failed: "Failed", offline: "Offline" };

/** offline, failed, starting, live or idle. */
export function stateOf(device) {
  return device.online ? device.camera : "offline";
}

export function badge() {
  return el("span", { class: "badge" });
}

export function updateBadge(element, state) {
  element.dataset.state = state;
  setText(element, LABELS[state] ?? state);
}

/** What keeps an online device from serving, as one line; empty where its doctor finds nothing. */
export function warningOf(device) {
  const fault = device.online ? device.health?.faults[0] : null;
  return fault ? `${fault.check}: ${fault.message}` : "";
}

/** One line about a device, for its card. */
export function lineOf(device) {
  const state = stateOf(device);
  if (state === "offline") return device.since ? `Offline since ${moment(device.since)}` : "Offline";
  if (state === "failed") return device.problem || "The camera failed";
  const stream = device.streams.find((one) => one.name === "main") ?? device.streams[0];
  const parts = stream ? [size(stream.width_px, stream.height_px), `${Math.round(stream.fps)} fps`] : [];
  if (state === "starting") return ["Starting the camera …", ...parts].join(" · ");
  if (device.viewers) parts.push(count(device.viewers, "viewer", "viewers"));
  return parts.join(" · ") || "Starts when you open it";
}
