// The list of keyboard shortcuts.

import { el, iconButton } from "./dom.js";

const KEYS = [
  ["Arrows", "Move between cameras, or a zoomed picture"],
  ["Enter", "Open a camera"],
  ["/", "Search cameras"],
  ["Esc", "Back to all cameras"],
  ["f", "Full screen"],
  ["i", "Statistics"],
  ["+ − 0", "Zoom in, out, whole picture"],
  ["m", "Show or hide what moves the camera"],
  ["Arrows + −", "Move the camera while that is shown; Shift is faster"],
  ["Arrows + − Enter", "On the picture, while pointing: move a mark, size a box, turn and zoom there"],
  ["r", "Look back at what was recorded"],
  ["Space , . [ ] l", "Looking back: play or pause, picture before and next, event before and next, live"],
  ["s", "Save a snapshot"],
  ["d", "Small picture, which saves data"],
  ["p", "Picture in picture"],
  ["?", "This help"],
];

export function showHelp() {
  if (document.querySelector("dialog.help")) return;
  const list = el("dl", {}, ...KEYS.map(([key, what]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what))));
  const dialog = el("dialog", { class: "help", "aria-labelledby": "help-title", onclose: () => dialog.remove() });
  const close = iconButton("close", "Close", () => dialog.close());
  dialog.append(el("div", { class: "help-top" }, el("h2", { id: "help-title" }, "Keyboard shortcuts"), close), list);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
