// The dashboard: what the portal says goes into `devices`, the hash chooses the view.

import { Activity, isGood } from "./activity.js";
import { post } from "./api.js";
import { CameraView } from "./camera.js";
import { isOnline, nameOf as calledOf, readDevice } from "./device.js";
import { announce, el, icon, tool } from "./dom.js";
import { GridView } from "./grid.js";
import { SecondFactorView } from "./factor.js";
import { showHelp } from "./help.js";
import { menu } from "./menu.js";
import { clearPosters, lookForStill, posterOf } from "./posters.js";
import { switchOff } from "./push.js";
import { noteSeen } from "./seen.js";
import { PAGE_NAMES, SettingsView } from "./settings.js";
import { NoticeView, SignInView, WelcomeView } from "./signin.js";
import { Signal } from "./signal.js";
import { Viewer } from "./viewer.js";

const AWAY_AFTER_MS = 1_000; // a reconnect that is quicker is nobody's business
const TOAST_MS = 8_000;
const MAX_TOASTS = 3;
/** The links that bring a secret along. */
const SECRET_LINK = /^#\/(welcome|enter|share)\/([\w-]+)$/;
const SESSION_TYPES = new Set(["answer", "candidate", "reject", "restart", "bye", "error"]);

const root = document.getElementById("app");
const toasts = document.getElementById("toasts");
const banner = el("div", { class: "banner", role: "alert", hidden: true });
const base = `${location.origin.replace(/^http/, "ws")}${location.pathname.replace(/[^/]*$/, "")}`;
/** A page that a share link opened shows that camera and nothing else, for as long as it is open. */
const isShared = /^#\/shared?\//.test(location.hash);
const signal = isShared ? new Signal(`${base}api/share/ws?sections`, "api/share") : new Signal(`${base}api/ws?sections`, "api/session");

let devices = null;
let iceServers = [];
let linkEnds;
let brokerConnected = true;
let portalAway = false;
let awayTimer = 0;
let gridFrame = 0;
let view = null;
let linkProblem = null;
let route = { name: "signin", id: null };

const nameOf = (id) => {
  const device = devices?.get(id);
  return device ? calledOf(device) : id;
};
const activity = new Activity(nameOf);

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

/** `at` is the time, in Unix seconds, that a notification's link is about. */
function routeOf(hash) {
  const [, name, id, at] = /^#\/([a-z]+)(?:\/([^/]+)(?:\/(\d{1,12}))?)?$/.exec(hash) ?? [];
  try {
    if (PAGE_NAMES.includes(name)) return { name, id: id ? decodeURIComponent(id) : null };
    return name === (isShared ? "shared" : "camera") && id ? { name: "camera", id: decodeURIComponent(id), at: at ? Number(at) : null } : { name: "grid", id: null };
  } catch {
    return { name: "grid", id: null }; // a damaged escape in the address
  }
}

function navigate() {
  if (SECRET_LINK.test(location.hash)) return location.reload(); // pasted where the dashboard was open
  if (route.name === "signin") return;
  const next = routeOf(location.hash);
  if (view && next.name === route.name && next.id === route.id) return next.at && view.lookAt?.(next.at);
  const from = route.id;
  route = next;
  if (next.name === "camera") openCamera(next.id, next.at);
  else if (isShared) location.reload(); // somebody left the shared camera: the page begins afresh
  else if (next.name === "grid") openGrid(from);
  else show(new SettingsView(next.name, next.id, () => devices, (device, video) => new Viewer({ signal, device, video, iceServers: () => iceServers, stream: "preview" })));
}

function openGrid(from) {
  document.title = "Pinhole";
  const items = [
    tool("person", "Account and settings", () => { location.hash = "#/account"; }),
    tool("theme", "Change between dark and light", toggleTheme),
    tool("help", "Keyboard shortcuts", showHelp, { title: "?" }),
    tool("sign-out", "Sign out", signOut),
  ];
  show(new GridView([activity.button, activity.panel, ...menu("Menu", items)], { signal, iceServers: () => iceServers }));
  view.update(devices);
  view.focus(from);
}

/** @param {number | null} at of a link that leads to what was recorded then. */
function openCamera(id, at) {
  show(new CameraView({ id, signal, iceServers: () => iceServers, poster: posterOf(id), showHelp, isShared }));
  const opened = view;
  if (at) view.lookAt(at);
  lookForStill(id, () => opened.showPoster(posterOf(id)), isShared ? "api/share" : "api");
  if (devices) startCamera();
}

/** Playback starts at once where the portal has said hello already. */
function startCamera() {
  view.update(devices.get(route.id), linkEnds);
  view.start();
  view.focus();
}

function openSignIn() {
  const [, problem] = /^#\/company\/([a-z-]+)$/.exec(location.hash) ?? [];
  if (problem) history.replaceState(null, "", "#/");
  showOutside("Sign in", isShared ? linkIsOver() : new SignInView(comeIn, problem, linkProblem));
  linkProblem = null;
  forget(); // last, for a view that is left keeps its picture
}

function linkIsOver(words = "It has expired or was revoked. Ask whoever sent it to you for a new one.") {
  return new NoticeView("This link is no longer good", words);
}

/** A view for who is not signed in. */
function showOutside(title, next) {
  document.title = `${title} – Pinhole`;
  route = { name: "signin", id: null };
  devices = null;
  hideBanner();
  show(next);
  view.focus();
}

/** A secret leaves the address bar before anything else happens. */
async function begin() {
  const [, kind, token] = SECRET_LINK.exec(location.hash) ?? [];
  if (kind === "welcome") {
    history.replaceState(null, "", "#/");
    return showOutside("Welcome", new WelcomeView(token, comeIn));
  }
  if (kind === "enter") {
    history.replaceState(null, "", "#/");
    const answer = await post("api/enter", { token });
    linkProblem = answer.problem; // told to who is not signed in already
    if (!linkProblem) return comeIn(answer);
  }
  if (kind === "share") {
    const { device, status, problem } = await post("api/share/open", { token });
    if (problem) return showOutside("Link", linkIsOver(status === 404 ? undefined : problem));
    history.replaceState(null, "", `#/shared/${encodeURIComponent(device)}`);
  }
  else if (!mayBeSignedIn()) return openSignIn();
  return enter();
}

/** What the portal wrote into the page; where it could not tell, the WebSocket will. */
function mayBeSignedIn() {
  const known = document.documentElement.dataset.sessions.split(" ");
  return known.includes(isShared ? "link" : "user") || known.includes("unknown");
}

/** With what the portal says of who has just signed in. */
function comeIn({ second_factor_needed: isFactorNeeded }) {
  return isFactorNeeded ? openSecondFactor() : enter();
}

function openSecondFactor() {
  showOutside("Second factor", new SecondFactorView(enter, signOut));
}

function enter() {
  route = { name: "", id: null };
  signal.start();
  navigate();
}

async function signOut() {
  await switchOff(); // what is told here was for who signs out
  await post("api/logout");
  signal.stop();
  location.hash = "#/";
  openSignIn();
}

/** Nothing that was seen stays in the browser of who is signed out. */
function forget() {
  clearPosters();
  activity.clear();
}

const handlers = {
  hello(message) {
    const isFirst = devices === null;
    if (isFirst && !isShared) noteSeen();
    devices = new Map(message.devices.map((device) => [device.id, readDevice(device)]));
    [iceServers, brokerConnected, linkEnds] = [message.ice_servers, message.broker, message.link_ends_at];
    if (isFirst && route.name === "camera") startCamera();
    else refresh();
    if (isFirst) return;
    eachViewer((viewer) => {
      viewer.resume();
      viewer.onReachable();
    });
  },
  device(message) {
    const device = readDevice(message.device);
    const known = devices.get(device.id);
    const [wasOnline, online] = [known && isOnline(known), isOnline(device)];
    if (known && wasOnline !== online) {
      activity.add({ device: device.id, kind: online ? "online" : "offline", message: "", at: Date.now() / 1000 });
    }
    devices.set(device.id, device);
    refresh();
    if (online && !wasOnline && device.id === route.id) view.viewer?.onReachable();
  },
  gone({ device }) {
    devices.delete(device);
    refresh();
  },
  ice(message) {
    iceServers = message.ice_servers;
    eachViewer((viewer) => viewer.onIceServers());
  },
  broker(message) {
    brokerConnected = message.connected;
    if (brokerConnected) eachViewer((viewer) => viewer.onReachable());
    refresh();
  },
  event(message) {
    activity.add(message);
    toast(isGood(message) ? "good" : "bad", nameOf(message.device), message.message);
  },
  events({ events }) {
    activity.past(events);
  },
};

/** The one that is watched, or those on the cards. */
function eachViewer(call) {
  for (const viewer of view?.viewers ?? []) call(viewer);
}

function refresh() {
  updateBanner();
  if (route.name === "camera") view.update(devices.get(route.id), linkEnds);
  else if (route.name !== "grid") view?.update?.();
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

function toggleTheme() {
  const { dataset } = document.documentElement;
  const theme = dataset.theme = dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("pinhole-theme", theme);
  announce(`${theme} colours`);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches?.("input, select, textarea")) return;
  if (event.key === "Escape" && document.querySelector(":popover-open")) return; // which the browser closes
  if (event.key === "?") showHelp();
  else if (event.key === "Escape" && !isShared && !["signin", "grid"].includes(route.name) && !document.fullscreenElement) location.hash = "#/";
  else if (!view?.onKey?.(event.key, event)) return;
  event.preventDefault();
}

signal.addEventListener("message", ({ detail }) => {
  if (SESSION_TYPES.has(detail.type)) eachViewer((viewer) => viewer.onMessage(detail));
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
  eachViewer((viewer) => viewer.onPortalAway());
});
signal.addEventListener("signed-out", openSignIn);
signal.addEventListener("second-factor-needed", openSecondFactor);
window.addEventListener("hashchange", navigate);
document.addEventListener("visibilitychange", () => devices && !isShared && noteSeen());
navigator.serviceWorker?.addEventListener("message", ({ data }) => {
  if (data?.type === "open") location.hash = data.path; // a notification was pressed
});
window.addEventListener("keydown", onKey);
window.addEventListener("pagehide", () => view?.close());
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

begin();
