// Says to the portal that somebody looks: what nobody looks at is told to others, where a rule says so.

import { send } from "./api.js";

const EVERY_MS = 60_000;
let saidAt = -EVERY_MS;

/** While the page is in sight, at most once a minute. */
export function noteSeen() {
  if (document.visibilityState !== "visible" || performance.now() - saidAt < EVERY_MS) return;
  saidAt = performance.now();
  send("api/notify/seen", {});
}
