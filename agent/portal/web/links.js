// Links with which anybody may watch one camera for a while.

import { get, post } from "./api.js";
import { el, refill } from "./dom.js";
import { addressOf, choice, field, form, secret } from "./form.js";
import { count, moment } from "./format.js";

const LIFETIMES = [
  ["3600", "One hour"],
  ["86400", "One day"],
  ["604800", "One week"],
  ["2592000", "30 days"],
];

export class LinksPage {
  constructor({ cameras }) {
    this.cameras = cameras;
    this.said = el("div", {});
    this.list = el("ul", { class: "rows", "aria-label": "Share links" });
    this.camera = choice("Camera", "share-camera", cameras().map(({ id, name }) => [id, name]));
    this.label = field("For whom", { name: "share-label", maxlength: "100", required: true, autocomplete: "off", placeholder: "the plumber" });
    this.lifetime = choice("Good for", "share-lifetime", LIFETIMES);
    this.lifetime.input.value = "86400";
    const make = form("Make a link", () => this.#make(), this.camera, this.label, this.lifetime);
    const hint = el("p", { class: "hint" }, "Whoever has the link may watch this one camera, without an account, until it expires or you revoke it.");
    this.element = el("div", { class: "panels wide" }, el("section", { class: "box" }, el("h2", {}, "Share a camera"), hint, make, this.said), this.list);
  }

  async load() {
    const { shares, problem } = await get("api/shares");
    if (problem) return this.list.replaceChildren(el("li", { class: "form-error" }, problem));
    return refill(this.list, shares.map((share) => this.#row(share)));
  }

  async #make() {
    const body = { device: this.camera.input.value, label: this.label.input.value, lifetime_s: Number(this.lifetime.input.value) };
    const { token, label, problem } = await post("api/shares", body);
    if (problem) return problem;
    this.label.input.value = "";
    this.said.replaceChildren(secret(addressOf(`#/share/${token}`), `The link for ${label}. It is shown here once.`));
    await this.load();
    return null;
  }

  #row({ id, device, label, made_by, expires_at, opened }) {
    const name = this.cameras().find((camera) => camera.id === device)?.name ?? device;
    const revoke = async () => {
      await post("api/shares/revoke", { id });
      await this.load();
    };
    return el(
      "li",
      { class: "row-line" },
      el("div", {}, el("strong", {}, label), el("p", { class: "hint" }, `${name} · until ${moment(expires_at)} · by ${made_by} · opened ${count(opened, "time", "times")}`)),
      el("button", { type: "button", class: "button danger", "aria-label": `Revoke the link for ${label}`, onclick: revoke }, "Revoke"),
    );
  }
}
