// Polygons in parts of a picture's sides, as the camera takes them: `0.1,0.2 0.5,0.2 0.3,0.6`. Pure.

/** A new one, in the middle. */
export const START = [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]];

export function parse(text) {
  return text.split(" ").map((corner) => corner.split(",").map(Number));
}

/** One or several; numbers end after four digits, which is less than a pixel. */
export function encode(polygons) {
  return polygons.map((corners) => corners.map((corner) => corner.map((share) => Number(share.toFixed(4))).join(",")).join(" ")).join("; ");
}

const within = (share) => Math.min(1, Math.max(0, share));

/** One corner elsewhere, and never outside the picture. */
export function moved(corners, at, dx, dy) {
  return corners.map(([x, y], each) => (each === at ? [within(x + dx), within(y + dy)] : [x, y]));
}

/** All of it elsewhere, in its shape. */
export function placed(corners, dx, dy) {
  const [right, down] = [0, 1].map((side) => {
    const shares = corners.map((corner) => corner[side]);
    return Math.min(1 - Math.max(...shares), Math.max(-Math.min(...shares), side ? dy : dx));
  });
  return corners.map(([x, y]) => [x + right, y + down]);
}

/** One more corner, in the middle of the side behind one. */
export function addCorner(corners, at) {
  const [[x, y], [nextX, nextY]] = [corners[at], corners[(at + 1) % corners.length]];
  return [...corners.slice(0, at + 1), [(x + nextX) / 2, (y + nextY) / 2], ...corners.slice(at + 1)];
}
