// Everybody who may come in, and what each may do.

import { get, post, segment } from "./api.js";
import { el, refill } from "./dom.js";
import { count } from "./format.js";
import { addressOf, choice, confirmed, field, form, secret } from "./form.js";

const ROLES = [
  ["none", "Only what is granted"],
  ["viewer", "Viewer: watches every camera"],
  ["operator", "Operator: also controls and shares"],
  ["admin", "Administrator: also manages accounts"],
];

export class UsersPage {
  #open = null;

  constructor({ me, cameras }) {
    this.me = me;
    this.cameras = cameras;
    this.said = el("div", {});
    this.list = el("ul", { class: "rows", "aria-label": "Users" });
    this.name = field("Name", { name: "new-user", maxlength: "128", required: true, autocomplete: "off" });
    this.role = choice("Role", "new-role", ROLES);
    this.element = el("div", { class: "panels wide" }, el("section", { class: "box" }, el("h2", {}, "Add somebody"), form("Add", () => this.#add(), this.name, this.role), this.said), this.list);
  }

  async load() {
    const [{ users, problem }, { groups }] = await Promise.all([get("api/users"), get("api/groups")]);
    if (problem) return this.list.replaceChildren(el("li", { class: "form-error" }, problem));
    this.groups = Object.keys(groups ?? {});
    return refill(this.list, users.map((user) => this.#row(user)));
  }

  async #add() {
    const role = this.role.input.value;
    const { name, link, problem } = await post("api/users", { name: this.name.input.value.trim(), ...(role === "none" ? {} : { role }) });
    if (problem) return problem;
    this.name.input.value = "";
    this.#tellLink(name, link);
    this.#open = name;
    await this.load();
    return null;
  }

  #tellLink(name, link) {
    this.said.replaceChildren(secret(addressOf(`#/welcome/${link}`), `Give ${name} this link, over a way that you trust. It is good for one day, once.`));
  }

  #row(user) {
    const ways = [user.has_password && "password", user.has_code && "code", user.passkeys && count(user.passkeys, "passkey", "passkeys"), user.is_company && "company account"].filter(Boolean);
    const state = user.disabled ? "disabled" : ways.join(", ") || "has not signed in yet";
    const summary = el("summary", {}, el("strong", {}, user.name), el("span", { class: "tag" }, user.role ?? count(user.grants.length, "grant", "grants")), el("span", { class: "hint" }, state));
    const details = el("details", { open: user.name === this.#open, ontoggle: () => details.open && (this.#open = user.name) }, summary, this.#editor(user));
    return el("li", { class: user.disabled ? "is-off" : "" }, details);
  }

  #editor(user) {
    const error = el("p", { class: "form-error", role: "alert" });
    const change = async (path, body) => {
      const answer = await post(`api/users/${segment(user.name)}${path}`, body);
      error.textContent = answer.problem ?? "";
      if (!answer.problem) await this.load();
      return answer;
    };
    const role = choice("Role", `role-${user.name}`, ROLES);
    role.input.value = user.role ?? "none";
    role.input.addEventListener("change", () => change("", { role: role.input.value }));
    const button = (words, onclick, kind = "") => el("button", { type: "button", class: `button ${kind}`, onclick }, words);
    const link = async (body) => {
      const answer = await change("/link", body);
      if (!answer.problem) this.#tellLink(user.name, answer.link);
    };
    const acts = el(
      "div",
      { class: "acts" },
      button("New password link", () => link({})),
      user.has_code ? button("Lost authenticator", () => link({ remove_code: true })) : null,
      user.passkeys ? button("Lost passkeys", (event) => confirmed(event.target, () => change("/passkeys/remove", {}))) : null,
      button(user.disabled ? "Let in again" : "Shut out", () => change("", { disabled: !user.disabled })),
      button("Remove", (event) => confirmed(event.target, () => change("/remove", {})), "danger"),
    );
    return el("div", { class: "editor" }, role, this.#grants(user, change), acts, error);
  }

  #grants(user, change) {
    const items = user.grants.map(({ role, camera, group }) => {
      const target = camera ? { camera } : { group };
      const words = `${role} of ${camera ? this.#nameOf(camera) : `group ${group}`}`;
      return el("li", {}, words, el("button", { type: "button", class: "button small", "aria-label": `Take away: ${words}`, onclick: () => change("", { revoke: { role, ...target } }) }, "Take away"));
    });
    const targets = [...this.groups.map((group) => [`g:${group}`, `Group ${group}`]), ...this.cameras().map(({ id, name }) => [`c:${id}`, name])];
    const target = choice("Camera or group", `target-${user.name}`, targets);
    const role = choice("May", `grant-${user.name}`, [["viewer", "watch"], ["operator", "watch, look back and control"], ["admin", "manage"]]);
    const submit = async () => {
      const [kind, id] = [target.input.value.slice(0, 1), target.input.value.slice(2)];
      return (await change("", { grant: { role: role.input.value, [kind === "c" ? "camera" : "group"]: id } })).problem;
    };
    return el("div", { class: "grants" }, items.length ? el("ul", {}, ...items) : null, targets.length ? form("Grant", submit, target, role) : null);
  }

  #nameOf(id) {
    return this.cameras().find((camera) => camera.id === id)?.name ?? id;
  }
}
