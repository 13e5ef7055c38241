// Numbers and times as people read them; "–" where there is nothing to say.

const NONE = "–";

const known = (value) => value !== undefined && value !== null && Number.isFinite(value);

export function bitrate(bps) {
  if (!known(bps)) return NONE;
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(2)} Mb/s` : `${Math.round(bps / 1e3)} kb/s`;
}

export const milliseconds = (ms) => (known(ms) ? `${Math.round(ms)} ms` : NONE);
export const percent = (share) => (known(share) ? `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %` : NONE);
export const frameRate = (fps) => (known(fps) ? `${Math.round(fps)} fps` : NONE);
export const size = (width, height) => (width && height ? `${width} × ${height}` : NONE);

/** Words with the stop that they may lack. */
export const sentence = (words) => (/[.!?…]$/.test(words) ? words : `${words}.`);

export const gigabytes = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min` : `${Math.floor(seconds)} s`;
}

/** A moment in Unix seconds: the time today, else the date as well. */
export function moment(unixSeconds) {
  const then = new Date(unixSeconds * 1000);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (then.toDateString() === new Date().toDateString()) return time;
  return `${then.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

/** How long ago a moment in Unix seconds was, in its largest unit. */
export function ago(unixSeconds) {
  const seconds = Date.now() / 1000 - unixSeconds;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

/** A moment today, to the second. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { timeStyle: "medium" });

/** Degrees as they were rounded: what follows the last digit is nobody's business. */
export function place({ latitude_deg: latitude, longitude_deg: longitude }) {
  if (!known(latitude) || !known(longitude)) return NONE;
  return `${Math.abs(latitude)}° ${latitude < 0 ? "S" : "N"}, ${Math.abs(longitude)}° ${longitude < 0 ? "W" : "E"}`;
}

export function count(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}
