// What is rarely wanted, behind one button.

import { el, tool } from "./dom.js";

/** A button and what it opens; `items` are tools, and each closes it. */
export function menu(label, items) {
  const id = "menu";
  for (const item of items) {
    item.setAttribute("popovertarget", id);
    item.setAttribute("popovertargetaction", "hide");
  }
  const button = tool("menu", label, null, { popovertarget: id });
  return [button, el("div", { id, class: "menu", popover: "auto" }, ...items)];
}
