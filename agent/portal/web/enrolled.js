// Which cameras were let in: a code for a new one, and a way to shut one out.

import { get, post, segment } from "./api.js";
import { el, refill } from "./dom.js";
import { addressOf, choice, confirmed, field, form, secret } from "./form.js";
import { moment } from "./format.js";

const LIFETIMES = [
  ["3600", "One hour"],
  ["86400", "One day"],
  ["604800", "One week"],
];

export class EnrolledPage {
  constructor({ cameras }) {
    this.cameras = cameras;
    this.said = el("div", {});
    this.list = el("ul", { class: "rows", "aria-label": "Cameras" });
    this.device = field("Its id, where you know it", { name: "claim-device", maxlength: "64", pattern: "[A-Za-z0-9_\\-]+", autocomplete: "off", placeholder: "any new camera" });
    this.name = field("What to call it", { name: "claim-name", maxlength: "64", autocomplete: "off", placeholder: "as it calls itself" });
    this.lifetime = choice("The code works for", "claim-lifetime", LIFETIMES);
    this.lifetime.input.value = "86400";
    const hint = el("p", { class: "hint" }, "A claim code lets one camera in, once. For a camera that has a new card, or was shut out, name its id.");
    this.element = el("div", { class: "panels wide" }, el("section", { class: "box" }, el("h2", {}, "Add a camera"), hint, form("Make a claim code", () => this.#claim(), this.device, this.name, this.lifetime), this.said), this.list);
  }

  async load() {
    const { devices, problem } = await get("api/devices");
    if (problem) return this.list.replaceChildren(el("li", { class: "form-error" }, problem));
    return refill(this.list, devices.map((device) => this.#row(device)));
  }

  async #claim() {
    const device = this.device.input.value.trim();
    const name = this.name.input.value.trim();
    const { code, expires_at, problem } = await post("api/claims", { lifetime_s: Number(this.lifetime.input.value), ...(device && { device }), ...(name && { name }) });
    if (problem) return problem;
    this.device.input.value = this.name.input.value = "";
    const command = `sudo pinhole enroll --portal ${addressOf("").replace(/\/$/, "")} --code ${code}`;
    this.said.replaceChildren(secret(command, `Run this on ${device || "the camera"} before ${moment(expires_at)}. The code is shown here once.`, "Command", "camera"));
    return null;
  }

  #row({ id, name, enrolled_at, by, revoked_at, is_pending }) {
    const callsItself = this.cameras().find((one) => one.id === id)?.sections.portal.calls_itself;
    const history = [name !== id ? id : null, callsItself ? `calls itself “${callsItself}”` : null, `enrolled ${moment(enrolled_at)} by ${by}`, revoked_at ? `shut out ${moment(revoked_at)}${is_pending ? "; the broker is not told yet" : ""}` : null];
    const revoke = async () => {
      const { problem } = await post(`api/devices/${segment(id)}/revoke`);
      error.textContent = problem ?? "";
      if (!problem) await this.load();
    };
    const rename = async () => {
      const { problem } = await post(`api/devices/${segment(id)}/name`, { name: called.input.value.trim() });
      if (!problem) await this.load();
      return problem;
    };
    const called = field("New name", { name: `name-${id}`, value: name, maxlength: "64", required: true, autocomplete: "off" });
    const editor = el("details", { class: "rename" }, el("summary", {}, "Give it another name"), form("Rename", rename, called));
    const error = el("p", { class: "form-error", role: "alert" });
    const words = el("div", {}, el("strong", {}, name), el("p", { class: "hint" }, history.filter(Boolean).join(" · ")), editor, error);
    const button = el("button", { type: "button", class: "button danger", onclick: (event) => confirmed(event.target, revoke) }, "Shut out");
    return el("li", { class: revoked_at ? "row-line is-off" : "row-line" }, words, revoked_at ? null : button);
  }
}
