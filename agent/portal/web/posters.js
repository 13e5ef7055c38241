// The last picture of each camera that this browser tab saw, so that the grid is not a wall of grey.

const PREFIX = "pinhole-poster:";
const MAX_POSTERS = 40;
const WIDTH_PX = 480;

/** Oldest first; sessionStorage keeps a copy over a reload. */
const posters = new Map(stored());

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
  return posters.get(device);
}

export function clearPosters() {
  for (const device of [...posters.keys()]) forget(device);
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
