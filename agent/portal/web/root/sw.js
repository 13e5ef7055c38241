// Shows what the portal pushes to this browser, and opens what it is about. It holds no page back and stores nothing.

const QUIET = { title: "Pinhole", body: "Something happened at your cameras.", path: "#/events" };

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

/** Each push is shown: a browser whose pushes show nothing is cut off by its push service. */
self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));

function read(data) {
  try {
    return { ...QUIET, ...data.json() };
  } catch {
    return QUIET;
  }
}

function show({ title, body, tag, path, severity, at }) {
  const options = { body, tag, icon: "icon-192.png", badge: "icon-badge.png", data: { path }, timestamp: at ? at * 1000 : undefined };
  // A double takes the place of the first and rings no second time; what is wrong stays until somebody looks.
  return self.registration.showNotification(title, { ...options, requireInteraction: severity === "error" });
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { path } = event.notification.data ?? {};
  event.waitUntil(open(typeof path === "string" && path.startsWith("#/") ? path : "#/"));
});

/** In the dashboard that is open, where there is one. */
async function open(path) {
  const url = new URL(path, self.registration.scope).href;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((one) => one.url.startsWith(self.registration.scope) && !/#\/shared?\//.test(one.url));
  if (!page) return self.clients.openWindow(url);
  await page.focus().catch(() => null); // where the browser does not let us, the page goes there all the same
  return page.postMessage({ type: "open", path });
}

/** The push service gave this browser another address: the portal is told, and keeps its rules. */
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(move(event)));

async function move({ oldSubscription: old, newSubscription }) {
  const key = old?.options.applicationServerKey;
  const fresh = newSubscription ?? (key && (await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key })));
  if (!fresh || !old) return;
  const { endpoint, keys } = fresh.toJSON();
  const body = JSON.stringify({ name: "This browser", endpoint, p256dh: keys.p256dh, auth: keys.auth, former: old.endpoint });
  await fetch("api/notify/push", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}
