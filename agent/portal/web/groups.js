// Cameras that are granted together.

import { get, post, segment } from "./api.js";
import { el, refill } from "./dom.js";
import { confirmed, field, form } from "./form.js";
import { count } from "./format.js";

export class GroupsPage {
  constructor({ cameras }) {
    this.cameras = cameras;
    this.list = el("ul", { class: "rows", "aria-label": "Groups" });
    this.name = field("Name", { name: "new-group", maxlength: "128", required: true, autocomplete: "off" });
    this.element = el("div", { class: "panels wide" }, el("section", { class: "box" }, el("h2", {}, "Add a group"), form("Add", () => this.#add(), this.name)), this.list);
  }

  async load() {
    const { groups, problem } = await get("api/groups");
    if (problem) return this.list.replaceChildren(el("li", { class: "form-error" }, problem));
    return refill(this.list, Object.entries(groups).map(([name, cameras]) => this.#row(name, cameras)));
  }

  async #add() {
    const { problem } = await post(`api/groups/${segment(this.name.input.value.trim())}`, { cameras: [] });
    if (problem) return problem;
    this.name.input.value = "";
    await this.load();
    return null;
  }

  #row(name, members) {
    const known = new Map(this.cameras().map((camera) => [camera.id, camera.name]));
    for (const id of members) if (!known.has(id)) known.set(id, id);
    const boxes = [...known].map(([id, words]) => {
      const input = el("input", { type: "checkbox", value: id });
      input.checked = members.includes(id);
      return el("label", { class: "check" }, input, words);
    });
    const save = async () => {
      const cameras = boxes.map((box) => box.firstChild).filter((input) => input.checked).map((input) => input.value);
      const { problem } = await post(`api/groups/${segment(name)}`, { cameras });
      if (!problem) await this.load();
      return problem;
    };
    const remove = el("button", { type: "button", class: "button danger", onclick: (event) => confirmed(event.target, () => this.#remove(name)) }, "Remove");
    const summary = el("summary", {}, el("strong", {}, name), el("span", { class: "tag" }, count(members.length, "camera", "cameras")));
    return el("li", {}, el("details", {}, summary, el("div", { class: "editor" }, form("Save", save, el("div", { class: "checks" }, ...boxes)), el("div", { class: "acts" }, remove))));
  }

  async #remove(name) {
    await post(`api/groups/${segment(name)}/remove`);
    await this.load();
  }
}
