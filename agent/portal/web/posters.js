// The last picture of each camera that this browser tab saw, so that the grid is not a wall of grey.

const PREFIX = "pinhole-poster:";
const MAX_POSTERS = 40;
const WIDTH_PX = 480;

/** Remember what `video` shows now. */
export function savePoster(device, video) {
  if (!video.videoWidth) return;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH_PX;
  canvas.height = Math.round((WIDTH_PX * video.videoHeight) / video.videoWidth);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const poster = JSON.stringify({ at: Date.now(), url: canvas.toDataURL("image/jpeg", 0.7) });
  try {
    dropOldest();
    sessionStorage.setItem(PREFIX + device, poster);
  } catch {
    clearPosters(); // the quota is used up: a grid without pictures works too
  }
}

/** @returns {{at: number, url: string} | null} */
export function posterOf(device) {
  const stored = sessionStorage.getItem(PREFIX + device);
  return stored ? JSON.parse(stored) : null;
}

export function clearPosters() {
  for (const key of keys()) sessionStorage.removeItem(key);
}

function keys() {
  return Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX));
}

function dropOldest() {
  const all = keys();
  if (all.length < MAX_POSTERS) return;
  const age = (key) => JSON.parse(sessionStorage.getItem(key)).at;
  sessionStorage.removeItem(all.reduce((oldest, key) => (age(key) < age(oldest) ? key : oldest)));
}
