// The dashboard: what the portal says goes into `devices`, the hash chooses the view.

import { CameraView } from "./camera.js";
import { announce, el, icon, iconButton } from "./dom.js";
import { GridView } from "./grid.js";
import { showHelp } from "./help.js";
import { clearPosters, posterOf } from "./posters.js";
import { SignInView } from "./signin.js";
import { Signal } from "./signal.js";

const AWAY_AFTER_MS = 1_000; // a reconnect that is quicker is nobody's business
const TOAST_MS = 8_000;
const MAX_TOASTS = 3;
const SESSION_TYPES = new Set(["answer", "candidate", "reject", "restart", "bye", "error"]);

const root = document.getElementById("app");
const toasts = document.getElementById("toasts");
const banner = el("div", { class: "banner", role: "alert", hidden: true });
const signal = new Signal(`${location.origin.replace(/^http/, "ws")}${location.pathname.replace(/[^/]*$/, "")}api/ws`);

let devices = null;
let iceServers = [];
let brokerConnected = true;
let portalAway = false;
let awayTimer = 0;
let gridFrame = 0;
let view = null;
let route = { name: "signin", id: null };

/** For tests and for the curious; read-only. */
window.pinhole = Object.freeze({
  get state() {
    return Object.freeze({
      view: route.name,
      phase: view?.viewer?.state.phase ?? null,
      portal: signal.isUp,
      broker: brokerConnected,
      devices: devices?.size ?? 0,
    });
  },
  stats: () => ({ ...view?.viewer?.stats }),
  get latencies() {
    return [...(view?.viewer?.latencies ?? [])];
  },
});

function show(next) {
  view?.close();
  view = next;
  root.replaceChildren(banner, view.element);
}

function routeOf(hash) {
  const match = /^#\/camera\/([^/]+)$/.exec(hash);
  try {
    return match ? { name: "camera", id: decodeURIComponent(match[1]) } : { name: "grid", id: null };
  } catch {
    return { name: "grid", id: null }; // a damaged escape in the address
  }
}

function navigate() {
  if (route.name === "signin") return;
  const next = routeOf(location.hash);
  if (view && next.name === route.name && next.id === route.id) return;
  const from = route.id;
  route = next;
  if (next.name === "camera") openCamera(next.id);
  else openGrid(from);
}

function openGrid(from) {
  document.title = "Pinhole";
  const actions = [
    iconButton("moon", "Change between dark and light", toggleTheme, { class: "icon-button theme-toggle" }),
    iconButton("help", "Keyboard shortcuts (?)", showHelp, { class: "icon-button wide-only" }),
    iconButton("sign-out", "Sign out", signOut),
  ];
  show(new GridView(actions));
  paintThemeToggle();
  view.update(devices);
  view.focus(from);
}

function openCamera(id) {
  show(new CameraView({ id, signal, iceServers: () => iceServers, poster: posterOf(id), showHelp }));
  if (devices) startCamera();
}

/** Playback starts at once where the portal has said hello already. */
function startCamera() {
  view.update(devices.get(route.id));
  view.start();
  view.focus();
}

function openSignIn() {
  document.title = "Sign in – Pinhole";
  route = { name: "signin", id: null };
  devices = null;
  hideBanner();
  show(new SignInView(enter));
  view.focus();
}

function enter() {
  route = { name: "", id: null };
  signal.start();
  navigate();
}

async function signOut() {
  await fetch("api/logout", { method: "POST" }).catch(() => null);
  signal.stop();
  clearPosters();
  location.hash = "#/";
  openSignIn();
}

const handlers = {
  hello(message) {
    const isFirst = devices === null;
    devices = new Map(message.devices.map((device) => [device.id, device]));
    [iceServers, brokerConnected] = [message.ice_servers, message.broker];
    if (isFirst && route.name === "camera") startCamera();
    else refresh();
    if (!isFirst) view.viewer?.onReachable();
  },
  device({ device }) {
    const wasOnline = devices.get(device.id)?.online;
    devices.set(device.id, device);
    refresh();
    if (device.online && !wasOnline && device.id === route.id) view.viewer?.onReachable();
  },
  ice(message) {
    iceServers = message.ice_servers;
    view.viewer?.onIceServers();
  },
  broker(message) {
    brokerConnected = message.connected;
    if (brokerConnected) view.viewer?.onReachable();
    refresh();
  },
  event(message) {
    const name = devices.get(message.device)?.name ?? message.device;
    toast(message.kind === "camera-recovered" ? "good" : "bad", name, message.message);
  },
};

function refresh() {
  updateBanner();
  if (route.name === "camera") view.update(devices.get(route.id));
  if (route.name !== "grid" || gridFrame) return;
  // A fleet that comes back at once is drawn once.
  gridFrame = requestAnimationFrame(() => {
    gridFrame = 0;
    if (route.name === "grid") view.update(devices);
  });
}

function updateBanner() {
  if (portalAway) return showBanner("Reconnecting to the portal …", "Streams that are open play on where they can.");
  if (!brokerConnected) return showBanner("The portal has lost the MQTT broker.", "What is shown may be out of date; open streams play on.");
  hideBanner();
}

function showBanner(title, detail) {
  banner.hidden = false;
  banner.replaceChildren(icon("cloud-off"), el("p", {}, el("strong", {}, title), " ", el("span", {}, detail)));
}

function hideBanner() {
  banner.hidden = true;
}

function toast(kind, title, text) {
  const item = el("div", { class: `toast ${kind}` }, icon(kind === "good" ? "camera" : "alert"), el("div", {}, el("strong", {}, title), el("p", {}, text)));
  while (toasts.childElementCount >= MAX_TOASTS) toasts.firstChild.remove();
  toasts.append(item);
  setTimeout(() => item.remove(), TOAST_MS);
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function toggleTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("pinhole-theme", theme);
  paintThemeToggle();
  announce(`${theme} colours`);
}

function paintThemeToggle() {
  document.querySelector(".theme-toggle")?.replaceChildren(icon(isDark() ? "sun" : "moon"));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches?.("input")) return;
  if (event.key === "?") showHelp();
  else if (event.key === "Escape" && route.name === "camera" && !document.fullscreenElement) location.hash = "#/";
  else if (!view?.onKey?.(event.key)) return;
  event.preventDefault();
}

signal.addEventListener("message", ({ detail }) => {
  if (SESSION_TYPES.has(detail.type)) view.viewer?.onMessage(detail);
  else handlers[detail.type]?.(detail);
});
signal.addEventListener("up", () => {
  clearTimeout(awayTimer);
  portalAway = false;
  updateBanner();
});
signal.addEventListener("down", () => {
  clearTimeout(awayTimer);
  awayTimer = setTimeout(() => {
    portalAway = route.name !== "signin" && !signal.isUp;
    updateBanner();
  }, AWAY_AFTER_MS);
  view.viewer?.onPortalAway();
});
signal.addEventListener("signed-out", openSignIn);
window.addEventListener("hashchange", navigate);
window.addEventListener("keydown", onKey);
window.addEventListener("pagehide", () => view?.close());
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

// The WebSocket tells by itself whether we are signed in: no round trip before it.
enter();
