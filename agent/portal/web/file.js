// A file of the camera, over a data channel of a viewer's session.

import { setText } from "./dom.js";
import { parseSaid } from "./said.js";

const SILENCE_MS = 45_000; // the camera gives up after 30 s in which nobody takes anything
const MAX_TEXT = 4_096;
const GATHER_BYTES = 16e6; // then it goes into a Blob, which browsers keep on disk

/**
 * @param {(here: number, size: number) => void} onProgress in bytes.
 * @returns {{blob: Promise<Blob>, cancel: () => void}} cancelled, it fails without words.
 */
export function fetchFile(viewer, { id, size_bytes: size }, onProgress) {
  let cancel = () => {};
  const blob = new Promise((resolve, reject) => {
    const channel = viewer.openChannel("file", `${id}@0`);
    if (!channel) return reject(new Error("The camera is not connected."));
    channel.binaryType = "arraybuffer";
    let [gathered, parts, waiting, here, timer] = [new Blob(), [], 0, 0, 0];
    const end = (error) => {
      clearTimeout(timer);
      channel.onmessage = channel.onclose = null;
      channel.close();
      if (error !== null) reject(new Error(error));
      else resolve(new Blob([gathered, ...parts], { type: "video/mp4" }));
    };
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(end, SILENCE_MS, "Nothing came for a while: try again.");
    };
    cancel = () => end("");
    channel.onclose = () => end("The camera ended the transfer: try again.");
    channel.onmessage = ({ data }) => {
      alive();
      if (typeof data === "string") {
        const { type, message } = parseSaid(data, MAX_TEXT) ?? {};
        if (type === "error") end(message);
        else if (type === "end") end(here === size ? null : "Not all of it came: try again.");
        return;
      }
      here += data.byteLength;
      parts.push(data);
      waiting += data.byteLength;
      if (waiting > GATHER_BYTES) [gathered, parts, waiting] = [new Blob([gathered, ...parts]), [], 0];
      onProgress(here, size);
    };
    return alive();
  });
  return { blob, cancel };
}

/** For `fetchFile`: how far it is, in a bar and in words. */
export const showProgress = (bar, said) => (here, size) => {
  bar.hidden = false;
  bar.value = here / size;
  setText(said, `${megabytes(here)} of ${megabytes(size)}`);
};

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** For a file's name. */
export function stampOf(unixSeconds) {
  const then = new Date(unixSeconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${then.getFullYear()}${two(then.getMonth() + 1)}${two(then.getDate())}-${two(then.getHours())}${two(then.getMinutes())}${two(then.getSeconds())}`;
}
