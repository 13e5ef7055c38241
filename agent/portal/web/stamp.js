// Reads the time stamp that a camera may burn into its picture: 48 black or white cells along the top edge,
// most significant bit first, 40 bits of Unix milliseconds and 8 bits of check (agent/model/stamp.py).

export const CELLS = 48;
const MODULUS_MS = 2 ** 40;

/** The time in ms modulo 2**40, or null where the check fails. `bits` is 48 booleans. */
export function decodeBits(bits) {
  const bytes = Array.from({ length: 6 }, (_, i) => bits.slice(i * 8, i * 8 + 8).reduce((byte, bit) => (byte << 1) | bit, 0));
  const check = (bytes.slice(0, 5).reduce((sum, byte) => sum + byte, 0) + 0xa5) & 0xff;
  if (check !== bytes[5]) return null;
  return bytes.slice(0, 5).reduce((value, byte) => value * 256 + byte, 0); // more bits than << can hold
}

/** How old a stamp is; small negative values are clocks that differ. */
export function ageMs(stampMs, nowMs) {
  const age = (((nowMs - stampMs) % MODULUS_MS) + MODULUS_MS) % MODULUS_MS;
  return age > MODULUS_MS / 2 ? age - MODULUS_MS : age;
}

/** Wall time in ms, finer than Date.now(). */
export const nowMs = () => performance.timeOrigin + performance.now();

/** Draws one row of the picture and reads its cells. */
export class StampReader {
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d", { willReadFrequently: true });

  /** The stamp of the picture that `video` shows now, or null. */
  read(video) {
    const width = video.videoWidth;
    const cell = Math.floor(width / CELLS);
    if (cell < 1) return null;
    const row = Math.max(2, Math.floor(video.videoHeight / 45)) >> 1;
    if (this.#canvas.width !== width) this.#canvas.width = width;
    this.#canvas.height = 1;
    this.#context.drawImage(video, 0, row, width, 1, 0, 0, width, 1);
    const pixels = this.#context.getImageData(0, 0, width, 1).data;
    const middle = cell >> 1;
    return decodeBits(Array.from({ length: CELLS }, (_, i) => pixels[(i * cell + middle) * 4 + 1] > 127));
  }
}
