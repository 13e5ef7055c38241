// This browser as a channel: its subscription at the push service that belongs to it.

import { post } from "./api.js";
import { browserName } from "./browser.js";

const isApple = /iPhone|iPad/.test(navigator.userAgent);

/** Why this browser cannot be told anything, in words; null where it can. */
export function hindrance() {
  if (!isSecureContext) return "Browsers take notifications by https alone: ask whoever runs the portal.";
  if (isApple && !navigator.standalone) return "On an iPhone or iPad: press Share, then “Add to Home Screen”, and open Pinhole from there.";
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return "This browser takes no notifications.";
  if (Notification.permission === "denied") return "You have blocked notifications of this site: allow them in the browser’s settings of this site, then come back.";
  return null;
}

/** Its subscription, and which channel that is; null where there is none. */
export async function ownSubscription() {
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return null;
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = (await registration?.pushManager.getSubscription()) ?? null;
  return subscription && { subscription, key: await keyOf(subscription.endpoint) };
}

/** As the portal tells channels from each other. */
async function keyOf(endpoint) {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`push ${endpoint}`));
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Asks for permission and has the portal tell this browser; returns a problem in words, or null. */
export async function switchOn(pushKey) {
  if ((await Notification.requestPermission()) !== "granted") return "Without your permission the browser shows nothing.";
  try {
    const registration = await navigator.serviceWorker.register("sw.js");
    await navigator.serviceWorker.ready;
    const former = await registration.pushManager.getSubscription();
    // One that another portal's key made, or a key of before, is no good.
    if (former && !isFor(former, pushKey)) await former.unsubscribe();
    const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(pushKey) });
    const { endpoint, keys } = subscription.toJSON();
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
    const body = { name: browserName(navigator.userAgent), endpoint, p256dh: keys.p256dh, auth: keys.auth, zone, with_rule: true };
    return (await post("api/notify/push", body)).problem;
  } catch (error) {
    return `The browser’s push service did not take it: ${error.message}`;
  }
}

/** Nothing is told here any more, also where the portal cannot be reached. */
export async function switchOff() {
  const own = await ownSubscription().catch(() => null);
  if (!own) return;
  await Promise.allSettled([post("api/notify/push/gone", { endpoint: own.subscription.endpoint }), own.subscription.unsubscribe()]);
}

const bytesOf = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

function isFor(subscription, pushKey) {
  const made = new Uint8Array(subscription.options.applicationServerKey ?? []);
  const wanted = bytesOf(pushKey);
  return made.length === wanted.length && made.every((byte, i) => byte === wanted[i]);
}
