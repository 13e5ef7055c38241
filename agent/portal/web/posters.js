// The last picture of each camera: what this browser tab saw of it, or the portal's newest still where that is newer.

import { segment } from "./api.js";

const PREFIX = "pinhole-poster:";
const MAX_POSTERS = 40;
const WIDTH_PX = 480;
const LOOK_EVERY_MS = 60_000; // at the portal, for a newer still of one camera
const SOON_MS = 6_000; // while the camera makes one
const MAX_STILLS = 200;

/** Oldest first; sessionStorage keeps a copy over a reload. */
const posters = new Map(stored());

/** By camera, {at, url}: the portal has them, so they are not stored here. */
const stills = new Map();
const lookedAt = new Map();

/** Remember what `video` shows now. */
export function savePoster(device, video) {
  if (!video.videoWidth) return;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH_PX;
  canvas.height = Math.round((WIDTH_PX * video.videoHeight) / video.videoWidth);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const poster = { at: Date.now(), url: canvas.toDataURL("image/jpeg", 0.7) };
  posters.delete(device);
  posters.set(device, poster);
  if (posters.size > MAX_POSTERS) forget(posters.keys().next().value);
  try {
    sessionStorage.setItem(PREFIX + device, JSON.stringify(poster));
  } catch {
    // The quota is used up: this picture lasts until the next reload.
  }
}

/** @returns {{at: number, url: string} | undefined} `at` in ms since the epoch. */
export function posterOf(device) {
  const [seen, still] = [posters.get(device), stills.get(device)];
  return still && still.at > (seen?.at ?? 0) ? still : seen;
}

/** Ask the portal for a newer picture of a camera that does not play; calls `onPoster` for each that comes. `api`: for a share link another. */
export async function lookForStill(device, onPoster, api = "api") {
  if (Date.now() - (lookedAt.get(device) ?? 0) < LOOK_EVERY_MS) return;
  lookedAt.set(device, Date.now());
  if (await fetchStill(device, onPoster, api)) setTimeout(() => fetchStill(device, onPoster, api), SOON_MS);
}

/** @returns whether the camera makes a newer one now. */
async function fetchStill(device, onPoster, api) {
  const after = ((posterOf(device)?.at ?? 0) / 1000).toFixed(3);
  const answer = await fetch(`${api}/devices/${segment(device)}/still?after=${after}`, { cache: "no-store" }).catch(() => null);
  if (answer?.status === 200) {
    keepStill(device, Number(answer.headers.get("Pinhole-Taken-At")) * 1000, URL.createObjectURL(await answer.blob()));
    onPoster();
  }
  return answer?.headers.get("Pinhole-Newer-Is-Asked") === "1";
}

function keepStill(device, at, url) {
  dropStill(device);
  stills.set(device, { at, url });
  if (stills.size > MAX_STILLS) dropStill(stills.keys().next().value);
}

function dropStill(device) {
  if (stills.has(device)) URL.revokeObjectURL(stills.get(device).url);
  stills.delete(device);
}

export function clearPosters() {
  for (const device of [...posters.keys()]) forget(device);
  for (const device of [...stills.keys()]) dropStill(device);
  lookedAt.clear();
}

function forget(device) {
  posters.delete(device);
  sessionStorage.removeItem(PREFIX + device);
}

function stored() {
  return Object.keys(sessionStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => [key.slice(PREFIX.length), JSON.parse(sessionStorage.getItem(key))])
    .sort(([, a], [, b]) => a.at - b.at);
}
